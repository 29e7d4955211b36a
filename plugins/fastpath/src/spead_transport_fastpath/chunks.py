"""Chunks natively: what streams and their users share, and what puts heaps into them."""

from __future__ import annotations

from collections.abc import Callable

from spead_transport.engine.chunks import (
    Chunk,
    ChunkLayout,
    ChunkRingCore,
    ChunkRingStatistics,
    ChunkStreamConfig,
)
from spead_transport.engine.chunks.callback import CompiledPlacer
from spead_transport.engine.chunks.config import CHUNK_STATS
from spead_transport.engine.interface import ChunkWindow, EndPolicy, ReaderRunner
from spead_transport.engine.recv_config import RingStreamConfig, StreamConfig
from spead_transport.engine.stats import CORE_STATS, EXTRA_STATS, StreamStatConfig, StreamStats
from spead_transport.engine.thread_pool import ThreadPool
from spead_transport.errors import Empty, Full
from spead_transport.transport import PacketReceiver

from . import _native
from .endpoints import native_receiver
from .settings import receive_settings
from .workers import assign_worker

__all__ = ["NativeChunkRing", "NativeChunkRunner", "NativeChunkWindow"]


class NativeChunkRing(ChunkRingCore):
    """A ring that native streams use without Python."""

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self.native: _native.ChunkRing = _native.ChunkRing(maxsize)

    @property
    def data_fd(self) -> int:
        return self.native.data_fd

    @property
    def space_fd(self) -> int:
        return self.native.space_fd

    def __len__(self) -> int:
        return len(self.native)

    def statistics(self) -> ChunkRingStatistics:
        put, taken, waiting, peak, full, empty = self.native.statistics()
        return ChunkRingStatistics(put=put, taken=taken, waiting=waiting, peak=peak, full=full, empty=empty)

    def put_nowait(self, chunk: Chunk) -> None:
        if not self.native.put(chunk):
            raise Full(f"there are {self._maxsize} chunks in the ring already")

    def get_nowait(self) -> Chunk:
        chunk = self.native.get()
        if chunk is None:
            raise Empty("there is no chunk in the ring")
        return chunk

    def stop(self) -> bool:
        return self.native.stop()

    def add_producer(self) -> None:
        self.native.add_producer()

    def remove_producer(self) -> bool:
        return self.native.remove_producer()

    def offer(self, chunk: Chunk, when_space: Callable[[], None]) -> bool:
        return self.native.offer(chunk, when_space)

    def request(self, when_data: Callable[[], None]) -> Chunk | None:
        return self.native.request(when_data)

    def forget(self, callback: Callable[[], None]) -> None:
        self.native.forget(callback)

    def put_last(self, chunks: list[Chunk]) -> None:
        self.native.put_last(chunks)


class NativeChunkWindow(ChunkWindow):
    """The chunks that native streams fill together."""

    def __init__(
        self, max_chunks: int, data_ring: NativeChunkRing, free_ring: NativeChunkRing, *, lossless: bool
    ) -> None:
        self.native: _native.ChunkWindow = _native.ChunkWindow(
            max_chunks=max_chunks, data_ring=data_ring.native, free_ring=free_ring.native, lossless=lossless
        )

    @property
    def began(self) -> bool:
        return self.native.began

    def close(self) -> None:
        self.native.close()

    def runner(
        self, config: StreamConfig, chunk_config: ChunkStreamConfig, thread_pool: ThreadPool, end: EndPolicy
    ) -> NativeChunkRunner:
        return NativeChunkRunner(config, chunk_config, self, thread_pool, end)


class NativeChunkRunner(ReaderRunner):
    """Puts heaps into chunks natively; a placement that is written in Python is called once for each batch."""

    def __init__(
        self,
        config: StreamConfig,
        chunk_config: ChunkStreamConfig,
        window: NativeChunkWindow,
        thread_pool: ThreadPool,
        end: EndPolicy,
    ) -> None:
        self._stats_config = (*config.stats, *EXTRA_STATS)
        self._thread_pool = thread_pool
        placer, items = _placer(chunk_config)
        own = config.stats[len(CORE_STATS) : -len(CHUNK_STATS)]
        self._native = _native.ChunkRunner(
            settings=receive_settings(config, RingStreamConfig(), end),
            window=window.native,
            placer=placer,
            stream_id=config.stream_id,
            max_chunks=chunk_config.max_chunks,
            items=items,
            max_heap_extra=chunk_config.max_heap_extra,
            num_core_stats=len(CORE_STATS),
            packet_size=chunk_config.packet_presence_payload_size,
            stats_are_maxima=[stat.mode is StreamStatConfig.Mode.MAXIMUM for stat in own],
        )

    def add_reader(self, receiver: PacketReceiver, *, worker: bool) -> None:
        # There is no call of the user's that could drive it.
        self._native.add_reader(native_receiver(receiver), assign_worker(self._thread_pool))

    def start(self) -> None:
        self._native.start()

    def stop(self) -> None:
        self._native.stop()

    def stats(self) -> StreamStats:
        core, own, extra = self._native.statistics()
        return StreamStats(self._stats_config, [*core, *own, *extra])

    def drops(self) -> dict[str, int]:
        return self._native.drops()


def _placer(config: ChunkStreamConfig) -> tuple[_native.Placer, list[int]]:
    """What finds places natively, and the items it is to be given."""
    place, items = config.placer()
    if isinstance(config.place, ChunkLayout):
        layout = config.place
        required = [items.index(item_id) for item_id in layout.required_ids]
        return _native.Placer.layout(len(items), required, layout.programs()), items
    if isinstance(place, CompiledPlacer):
        user_data = place.user_data[0] or 0 if place.user_data else None
        return _native.Placer.compiled(place.address, user_data, place), items
    return _native.Placer.python(place, len(items), config.max_heap_extra), items
