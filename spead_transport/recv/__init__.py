"""Receiving streams.

:func:`open_receiver` opens a stream from any transports. :class:`Stream` and its ``add_…_reader`` methods have the
names and arguments of earlier packages.
"""

from __future__ import annotations

from ..engine.chunks import (
    Chunk,
    ChunkLayout,
    ChunkRingStatistics,
    ChunkStreamConfig,
    ChunkStreamGroupConfig,
    HeapsToPlace,
)
from ..engine.interface import ReceivedHeap
from ..engine.recv_config import RingStreamConfig, StreamConfig
from ..engine.stats import RingStatistics, StreamStatConfig, StreamStats
from ..protocol.received import Heap, IncompleteHeap, RawItem
from . import asyncio, stream_stat_indices
from .chunk_rings import ChunkRing, ChunkRingbuffer, ChunkRingPair
from .chunks import ChunkRingStream, ChunkStreamGroupMember, ChunkStreamRingGroup
from .ibverbs import UdpIbvConfig
from .stream import Ringbuffer, RingStream, Stream, open_receiver

__all__ = [
    "Chunk",
    "ChunkLayout",
    "ChunkRing",
    "ChunkRingPair",
    "ChunkRingStatistics",
    "ChunkRingStream",
    "ChunkRingbuffer",
    "ChunkStreamConfig",
    "ChunkStreamGroupConfig",
    "ChunkStreamGroupMember",
    "ChunkStreamRingGroup",
    "Heap",
    "HeapsToPlace",
    "IncompleteHeap",
    "RawItem",
    "ReceivedHeap",
    "RingStatistics",
    "RingStream",
    "RingStreamConfig",
    "Ringbuffer",
    "Stream",
    "StreamConfig",
    "StreamStatConfig",
    "StreamStats",
    "UdpIbvConfig",
    "asyncio",
    "open_receiver",
    "stream_stat_indices",
]
