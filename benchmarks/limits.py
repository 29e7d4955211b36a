"""What the machine can do at best, in C: made by the compiler when it is first asked for."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from .operation import Operation

__all__ = ["LIBRARY", "NoCompilerError", "build", "memcpy", "tcp", "udp"]

_SOURCE: Final = Path(__file__).with_suffix(".c")
LIBRARY: Final = _SOURCE.parents[1] / "build" / "benchmarks" / "limits.so"
_HEADERS: Final = 72  #: bytes of a packet of one item that are not payload


class NoCompilerError(RuntimeError):
    """There is no C compiler, or it refused the program."""


def build(library: Path = LIBRARY) -> Path:
    """Compile the program unless that was done already.

    Raises
    ------
    NoCompilerError
        If that does not work.
    """
    if library.exists() and library.stat().st_mtime >= _SOURCE.stat().st_mtime:
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    fresh = library.with_suffix(f".{os.getpid()}")  # whoever reads the library never sees half of it
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-O3", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", str(_SOURCE)]
    try:
        subprocess.run([*command, "-o", str(fresh)], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NoCompilerError(f"there is no C compiler {compiler!r}: apt-get install gcc, or set CC") from None
    except subprocess.CalledProcessError as error:
        raise NoCompilerError(f"{compiler} does not compile {_SOURCE.name}:\n{error.stderr}") from None
    fresh.replace(library)
    return library


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


@lru_cache(maxsize=1)
def _load() -> ctypes.CDLL:
    return ctypes.CDLL(str(build()))
