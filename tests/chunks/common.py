"""Streams with chunks, for either package, and packets for them.

Heaps are 16 bytes, and say themselves where they belong: item 0x1001 is the chunk, item 0x1002 the index in it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

import spead_transport
from spead_transport import recv
from spead_transport.recv import ChunkLayout

from ..wire import immediate, packet

__all__ = [
    "CHUNK",
    "HEAP_SIZE",
    "INDEX",
    "LAYOUT",
    "PLACE",
    "Circuit",
    "bytes_of",
    "chunk_of",
    "heap",
    "placed_by",
    "present_in",
    "receive",
]

HEAP_SIZE: Final = 16
CHUNK: Final = 0x1001
INDEX: Final = 0x1002
LAYOUT: Final = ChunkLayout(items={"chunk": CHUNK, "index": INDEX}, chunk_id="chunk", heap_index="index")


def heap(
    cnt: int,
    chunk: int | None,
    index: int = 0,
    *,
    offset: int = 0,
    size: int = HEAP_SIZE,
    length: int | None = HEAP_SIZE,
    extra: Iterable[int] = (),
) -> bytes:
    """A packet of a heap; the payload's bytes are the heap cnt."""
    words = [] if chunk is None else [immediate(CHUNK, chunk), immediate(INDEX, index)]
    return packet(cnt, bytes([cnt & 0xFF]) * size, [*words, *extra], offset=offset, length=length)


class _Record(ctypes.Structure):
    """``chunk_place_data`` as the manual of such callbacks describes it, written down anew."""

    _fields_ = (
        ("packet", ctypes.POINTER(ctypes.c_uint8)),
        ("packet_size", ctypes.c_size_t),
        ("items", ctypes.POINTER(ctypes.c_int64)),
        ("chunk_id", ctypes.c_int64),
        ("heap_index", ctypes.c_size_t),
        ("heap_offset", ctypes.c_size_t),
        ("batch_stats", ctypes.POINTER(ctypes.c_uint64)),
        ("extra", ctypes.POINTER(ctypes.c_uint8)),
        ("extra_offset", ctypes.c_size_t),
        ("extra_size", ctypes.c_size_t),
    )


_CALLBACK: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)


def placed_by(function: Callable[[Any], None]) -> Any:
    """A callback with the C signature that calls `function` with the record."""

    def call(address: int, size: int) -> None:
        assert size >= ctypes.sizeof(_Record)
        function(_Record.from_address(address))

    return _CALLBACK(call)


def _place(data: Any) -> None:
    data.chunk_id = data.items[0]
    data.heap_index = data.items[1]
    data.heap_offset = data.items[1] * HEAP_SIZE


#: Puts heaps where they belong; takes the items CHUNK and INDEX.
PLACE: Final = placed_by(_place)


def chunk_of(package: Any = spead_transport, heaps: int = 4, size: int = 64, **arguments: Any) -> Any:
    """A chunk whose memory is not zero."""
    return package.recv.Chunk(data=np.full(size, 0xEE, np.uint8), present=np.full(heaps, 9, np.uint8), **arguments)


def bytes_of(chunk: Any) -> list[int]:
    """The first byte of each place for a heap."""
    return np.asarray(chunk.data).reshape(-1)[::HEAP_SIZE].tolist()  # type: ignore[no-any-return]


def present_in(chunk: Any) -> list[int]:
    return np.asarray(chunk.present).tolist()  # type: ignore[no-any-return]


class Circuit:
    """A stream with rings and free chunks."""

    def __init__(
        self,
        place: Any = LAYOUT,
        package: Any = spead_transport,
        *,
        free: int = 20,
        data_size: int = 50,
        max_chunks: int = 2,
        presence: int = 0,
        max_heap_extra: int = 0,
        chunk: Callable[[], Any] | None = None,
        items: Iterable[int] = (CHUNK, INDEX),
        **config: Any,
    ) -> None:
        self.package = package
        stream_config = config.pop("config", None) or package.recv.StreamConfig(**config)
        chunk_config = package.recv.ChunkStreamConfig(
            items=list(items), max_chunks=max_chunks, place=place, max_heap_extra=max_heap_extra
        )
        if presence:
            chunk_config.enable_packet_presence(presence)
        self.data = package.recv.ChunkRingbuffer(data_size)
        self.free = package.recv.ChunkRingbuffer(50)
        self.pool = package.ThreadPool()
        self.stream = package.recv.ChunkRingStream(self.pool, stream_config, chunk_config, self.data, self.free)
        for _ in range(free):
            self.stream.add_free_chunk(chunk_of(package) if chunk is None else chunk())
        self.queue = package.InprocQueue()

    def __enter__(self) -> Circuit:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stream.stop()
        self.pool.stop()

    def send(self, packets: Iterable[bytes]) -> None:
        for data in packets:
            self.queue.add_packet(data)

    def start(self) -> None:
        self.stream.add_inproc_reader(self.queue)

    def run(self, packets: Iterable[bytes]) -> list[Any]:
        """The chunks that `packets` fill, until the stream ends."""
        self.send(packets)
        self.queue.stop()
        self.start()
        return list(self.data)


def receive(packets: Iterable[bytes], place: Any = LAYOUT, **options: Any) -> tuple[list[Any], recv.StreamStats]:
    """The chunks that `packets` fill, and the statistics; checks that each packet is counted once."""
    packets = list(packets)
    with Circuit(place, **options) as circuit:
        chunks = circuit.run(packets)
        stats = circuit.stream.stats
    rejected = sum(
        value for name, value in stats.items() if name.startswith("rejected_") and name != "rejected_heaps"
    )
    assert stats["packets"] + rejected == len(packets)
    return chunks, stats
