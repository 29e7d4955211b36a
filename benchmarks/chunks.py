"""Heaps into chunks, placed by compiled code."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

from . import compiled
from .library import Library
from .operation import Operation
from .parts import packets_of
from .streams import patiently

__all__ = ["chunks_only"]

_HEAP_CNT: Final = 1  #: item ids that chunks.c is told the values of
_HEAP_LENGTH: Final = 2
_HELD: Final = 64 << 20  #: bytes of packets in memory
_CHUNK: Final = 4 << 20  #: bytes
_CHUNKS: Final = 4  #: at a time: two are filled, and two on their way
_SIGNATURE: Final = b"void (void *, size_t, void *)"


@contextmanager
def chunks_only(library: Library, *, heap_size: int, packet_size: int) -> Iterator[Operation]:
    """Packets that lie in memory to heaps in chunks."""
    recv = library.module.recv
    held = _HELD // heap_size
    heaps = _CHUNK // heap_size
    packets = packets_of(library, heap_size, packet_size, held, 1)
    thread_pool = library.module.ThreadPool()
    config = library.chunk_config()
    place = _placement(heaps)
    chunk_config = recv.ChunkStreamConfig(items=[_HEAP_CNT, _HEAP_LENGTH], max_chunks=2, place=place)
    chunks = [recv.Chunk(data=np.zeros(_CHUNK, np.uint8), present=np.zeros(heaps, np.uint8)) for _ in range(_CHUNKS)]

    def run(count: int) -> None:
        for _ in range(count // held):
            data, free = recv.ChunkRingbuffer(_CHUNKS), recv.ChunkRingbuffer(_CHUNKS)
            for chunk in chunks:
                free.put(chunk)
            receiver = recv.ChunkRingStream(thread_pool, config, chunk_config, data, free)
            with patiently(receiver):
                receiver.add_buffer_reader(packets)
                arrived = 0
                for chunk in data:
                    arrived += int(np.count_nonzero(chunk.present))
                    free.put(chunk)
                receiver.stop()
                free.stop()  # spead2's stream stops it by itself
                chunks[:] = free
            if arrived != held:
                raise RuntimeError(f"{arrived} of {held} heaps were received")

    yield Operation(run, step=held)


def _placement(heaps: int) -> tuple[object, ...]:
    """What places so many heaps in each chunk: as scipy.LowLevelCallable is, without the need for SciPy."""
    function = compiled.load("chunks").place
    user_data = ctypes.c_uint64(heaps)
    new_capsule = ctypes.pythonapi.PyCapsule_New
    new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    new_capsule.restype = ctypes.py_object
    set_context = ctypes.pythonapi.PyCapsule_SetContext
    set_context.argtypes = [ctypes.py_object, ctypes.c_void_p]
    capsule = new_capsule(ctypes.cast(function, ctypes.c_void_p), _SIGNATURE, None)
    set_context(capsule, ctypes.addressof(user_data))
    return capsule, function, user_data
