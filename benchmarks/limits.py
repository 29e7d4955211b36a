"""What the machine can do at best, in C."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

from . import compiled
from .operation import Operation

__all__ = ["memcpy", "tcp", "udp"]

_HEADERS: Final = 72  #: bytes of a packet of one item that are not payload


@contextmanager
def memcpy(heap_size: int) -> Iterator[Operation]:
    """Copy that many bytes."""
    source = np.ones(heap_size, np.uint8)
    target = np.zeros_like(source)
    copy = _load().limit_memcpy
    copy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
    copy.restype = None
    yield Operation(lambda n: copy(target.ctypes.data, source.ctypes.data, heap_size, n))


@contextmanager
def udp(heap_size: int, packet_size: int) -> Iterator[Operation]:
    """The datagrams of a heap, many in a call, through a socket."""
    carry = _function("udp")
    datagrams = -(-heap_size // (packet_size - _HEADERS))
    yield Operation(lambda n: carry(min(packet_size, heap_size + _HEADERS), n * datagrams))


@contextmanager
def tcp(heap_size: int) -> Iterator[Operation]:
    """The bytes of a heap through a connection."""
    carry = _function("tcp")
    yield Operation(lambda n: carry(heap_size, n))


def _function(name: str) -> Callable[[int, int], None]:
    function = getattr(_load(), f"limit_{name}")
    function.argtypes = [ctypes.c_size_t, ctypes.c_long]

    def call(nbytes: int, times: int) -> None:
        result = function(nbytes, times)
        if result < 0:
            raise OSError(-result, os.strerror(-result))

    return call


def _load() -> ctypes.CDLL:
    return compiled.load("limits")
