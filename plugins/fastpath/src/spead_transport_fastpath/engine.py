"""The native engine, as ``spead_transport`` asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from spead_transport.engine.chunks import ChunkRingCore
from spead_transport.engine.interface import (
    EndPolicy,
    Engine,
    HeapAssembler,
    HeapEncoder,
    NumberedHeap,
    ReceivedHeap,
    ReceiveRunner,
    SendFutures,
    SendRunner,
)
from spead_transport.engine.numbering import CntSequence
from spead_transport.engine.pool_blocks import PoolSettings
from spead_transport.engine.recv_config import RingStreamConfig
from spead_transport.engine.recv_config import StreamConfig as ReceiveConfig
from spead_transport.engine.send_config import GroupMode, HeapReferenceList
from spead_transport.engine.send_config import StreamConfig as SendConfig
from spead_transport.engine.stats import (
    EXTRA_STATS,
    RingStatistics,
    SenderStatistics,
    StreamStatConfig,
    StreamStats,
)
from spead_transport.engine.thread_pool import ThreadPool
from spead_transport.protocol.batch import PacketBatch
from spead_transport.protocol.outgoing import Heap
from spead_transport.transport import Capabilities, PacketReceiver, PacketSender

from . import _native
from .chunks import NativeChunkRing, NativeChunkWindow
from .endpoints import native_receiver, native_sender
from .memory import NativePoolBlocks
from .settings import receive_settings
from .workers import assign_worker

__all__ = ["NativeEngine"]


class NativeEncoder(HeapEncoder):
    """Cuts heaps into packets, natively."""

    def __init__(self, config: SendConfig, capabilities: Capabilities) -> None:
        self._config = _send_config(config, capabilities.largest_batch)

    def encode(self, heaps: Sequence[NumberedHeap], mode: GroupMode) -> Iterator[tuple[PacketBatch, float]]:
        yield from _native.encode(heaps, mode, self._config)


class NativeAssembler(HeapAssembler):
    """Puts heaps together, natively."""

    def __init__(self, config: ReceiveConfig, ring_config: RingStreamConfig) -> None:
        self._stats_config = (*config.stats, *EXTRA_STATS)
        self._native = _native.Assembler(receive_settings(config, ring_config, "all"))

    @property
    def stopped(self) -> bool:
        return self._native.stopped

    def add(self, batch: PacketBatch, now: float) -> list[ReceivedHeap]:
        return self._native.add(batch, now)

    def expire(self, now: float) -> list[ReceivedHeap]:
        return self._native.expire(now)

    @property
    def next_expiry(self) -> float:
        return self._native.next_expiry

    def flush(self) -> list[ReceivedHeap]:
        return self._native.flush()

    def stats(self) -> StreamStats:
        return _stream_stats(self._stats_config, self._native.statistics())


class NativeSendRunner(SendRunner):
    """Drives a sender natively; one that is written in Python is called once for each batch."""

    def __init__(
        self, sender: PacketSender, config: SendConfig, sequence: CntSequence, thread_pool: ThreadPool
    ) -> None:
        self._thread_pool = thread_pool
        capabilities = sender.capabilities
        self._native = _native.SendRunner(
            native_sender(sender),
            _send_config(config, capabilities.largest_batch),
            sequence,
            sender.num_destinations,
            capabilities.keeps_rate,
        )

    def send(self, heaps: HeapReferenceList, mode: GroupMode, timeout: float | None) -> int:
        return self._native.send(heaps, mode, timeout)

    def send_one(self, heap: Heap, cnt: int, substream_index: int, rate: float, timeout: float | None) -> int:
        return self._native.send_one(heap, cnt, substream_index, rate, timeout)

    def futures(self) -> SendFutures:
        return _native.SendFutures(self._native, self._drive_in_background)

    def _drive_in_background(self) -> None:
        self._native.drive_with(assign_worker(self._thread_pool), self._thread_pool)

    def flush(self, timeout: float | None) -> None:
        self._native.flush(timeout)

    def close(self) -> None:
        self._native.close()

    def statistics(self) -> SenderStatistics:
        sent, nbytes, failed, refused, waiting, peak = self._native.statistics()
        return SenderStatistics(
            heaps_sent=sent,
            bytes_sent=nbytes,
            heaps_failed=failed,
            heaps_refused=refused,
            heaps_waiting=waiting,
            peak_waiting=peak,
        )


class NativeReceiveRunner(ReceiveRunner):
    """Drives receivers natively; one that is written in Python is called once for each batch."""

    def __init__(
        self,
        config: ReceiveConfig,
        ring_config: RingStreamConfig,
        thread_pool: ThreadPool,
        end: EndPolicy,
    ) -> None:
        self._stats_config = (*config.stats, *EXTRA_STATS)
        self._thread_pool = thread_pool
        self._native = _native.ReceiveRunner(receive_settings(config, ring_config, end))

    def add_reader(self, receiver: PacketReceiver, *, worker: bool) -> None:
        driver = assign_worker(self._thread_pool) if worker else None
        self._native.add_reader(native_receiver(receiver), driver)

    def start(self) -> None:
        self._native.start()

    def take(self) -> ReceivedHeap | None:
        return self._native.take()

    def get(self, timeout: float | None) -> ReceivedHeap:
        return self._native.get(timeout)

    def iterate(self, owner: object) -> Iterator[ReceivedHeap]:
        return self._native.iterate(owner)

    def fileno(self) -> int:
        return self._native.fileno()

    def stop(self) -> None:
        self._native.stop()

    def stats(self) -> StreamStats:
        return _stream_stats(self._stats_config, self._native.statistics())

    def drops(self) -> dict[str, int]:
        return self._native.drops()

    def ring_statistics(self) -> RingStatistics:
        put, taken, waiting, peak, full = self._native.ring_statistics()
        return RingStatistics(put=put, taken=taken, waiting=waiting, peak=peak, full=full)


class NativeEngine(Engine):
    """See :class:`~spead_transport.engine.interface.Engine`."""

    name: ClassVar[str] = "native"
    receives: ClassVar[frozenset[str]] = frozenset({"max_heap_age", "sequential_heaps"})

    def encoder(self, config: SendConfig, capabilities: Capabilities) -> NativeEncoder:
        return NativeEncoder(config, capabilities)

    def assembler(self, config: ReceiveConfig, ring_config: RingStreamConfig) -> NativeAssembler:
        return NativeAssembler(config, ring_config)

    def shortcuts(self) -> _native.ItemShortcuts:
        return _native.ItemShortcuts()

    def send_runner(
        self, sender: PacketSender, config: SendConfig, sequence: CntSequence, thread_pool: ThreadPool
    ) -> NativeSendRunner:
        return NativeSendRunner(sender, config, sequence, thread_pool)

    def receive_runner(
        self,
        config: ReceiveConfig,
        ring_config: RingStreamConfig,
        thread_pool: ThreadPool,
        end: EndPolicy,
    ) -> NativeReceiveRunner:
        return NativeReceiveRunner(config, ring_config, thread_pool, end)

    def pool_blocks(self, settings: PoolSettings) -> NativePoolBlocks:
        return NativePoolBlocks(settings)

    def chunk_ring(self, maxsize: int) -> NativeChunkRing:
        return NativeChunkRing(maxsize)

    def chunk_window(
        self, max_chunks: int, data_ring: ChunkRingCore, free_ring: ChunkRingCore, *, lossless: bool
    ) -> NativeChunkWindow | None:
        if isinstance(data_ring, NativeChunkRing) and isinstance(free_ring, NativeChunkRing):
            return NativeChunkWindow(max_chunks, data_ring, free_ring, lossless=lossless)
        return None  # rings that were made for another engine


def _send_config(config: SendConfig, largest_batch: int | None) -> _native.SendConfig:
    return _native.SendConfig(
        max_packet_size=config.max_packet_size,
        rate=config.rate,
        burst_size=config.burst_size,
        max_heaps=config.max_heaps,
        burst_rate_ratio=config.burst_rate_ratio,
        largest_batch=largest_batch or 0,
    )


def _stream_stats(config: Sequence[StreamStatConfig], statistics: tuple[list[int], list[int]]) -> StreamStats:
    """The library's counters around those of the user's own, which engines do not touch."""
    core, extra = statistics
    return StreamStats(config, [*core, *[0] * (len(config) - len(core) - len(extra)), *extra])
