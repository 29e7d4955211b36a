"""The reference engine: numpy and batches; runs anywhere."""

from __future__ import annotations

from typing import ClassVar

from ...transport import Capabilities, PacketSender
from .. import recv_config, send_config
from ..chunks import ChunkRingCore
from ..interface import EndPolicy, Engine
from ..numbering import CntSequence
from ..pool_blocks import PoolSettings
from ..stats import EXTRA_STATS, StreamStats
from ..thread_pool import ThreadPool
from .assembler import PythonAssembler
from .chunk_runner import PythonChunkWindow
from .encoder import PythonEncoder
from .placement import AllocatedHeaps
from .pool_blocks import PythonPoolBlocks
from .receive_runner import PythonReceiveRunner
from .send_runner import PythonSendRunner

__all__ = ["PythonEngine"]


class PythonEngine(Engine):
    """See :class:`~spead_transport.engine.interface.Engine`."""

    name: ClassVar[str] = "python"
    receives: ClassVar[frozenset[str]] = frozenset({"max_heap_age", "sequential_heaps"})

    def encoder(self, config: send_config.StreamConfig, capabilities: Capabilities) -> PythonEncoder:
        return PythonEncoder(config, capabilities)

    def assembler(
        self, config: recv_config.StreamConfig, ring_config: recv_config.RingStreamConfig
    ) -> PythonAssembler:
        return PythonAssembler(config, AllocatedHeaps(config, ring_config), _empty_stats(config))

    def send_runner(
        self,
        sender: PacketSender,
        config: send_config.StreamConfig,
        sequence: CntSequence,
        thread_pool: ThreadPool,
    ) -> PythonSendRunner:
        return PythonSendRunner(sender, self.encoder(config, sender.capabilities), config, sequence, thread_pool)

    def receive_runner(
        self,
        config: recv_config.StreamConfig,
        ring_config: recv_config.RingStreamConfig,
        thread_pool: ThreadPool,
        end: EndPolicy,
    ) -> PythonReceiveRunner:
        assembler = self.assembler(config, ring_config)
        return PythonReceiveRunner(assembler, config, ring_config, thread_pool, end)

    def pool_blocks(self, settings: PoolSettings) -> PythonPoolBlocks:
        return PythonPoolBlocks(settings)

    def chunk_window(
        self, max_chunks: int, data_ring: ChunkRingCore, free_ring: ChunkRingCore, *, lossless: bool
    ) -> PythonChunkWindow:
        return PythonChunkWindow(max_chunks, data_ring, free_ring, lossless=lossless)


def _empty_stats(config: recv_config.StreamConfig) -> StreamStats:
    return StreamStats((*config.stats, *EXTRA_STATS))
