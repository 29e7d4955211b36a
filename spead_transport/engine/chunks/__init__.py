"""Chunks: many heaps in one piece of memory, each put in its place as it arrives.

Nothing here depends on how packets are taken apart: that is an engine's business.
"""

from __future__ import annotations

from .chunk import Chunk
from .config import ChunkStreamConfig, ChunkStreamGroupConfig
from .heaps import HeapsToPlace
from .layout import ChunkLayout
from .ring import ChunkRingCore, ChunkRingStatistics, PythonChunkRing

__all__ = [
    "Chunk",
    "ChunkLayout",
    "ChunkRingCore",
    "ChunkRingStatistics",
    "ChunkStreamConfig",
    "ChunkStreamGroupConfig",
    "HeapsToPlace",
    "PythonChunkRing",
]
