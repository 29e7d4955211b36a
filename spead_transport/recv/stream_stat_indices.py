"""Indices of the statistics that every stream has: ``stats[stream_stat_indices.HEAPS]``."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BATCHES",
    "CUSTOM",
    "HEAPS",
    "INCOMPLETE_HEAPS_EVICTED",
    "INCOMPLETE_HEAPS_FLUSHED",
    "MAX_BATCH",
    "PACKETS",
    "SEARCH_DIST",
    "SINGLE_PACKET_HEAPS",
    "WORKER_BLOCKED",
]

HEAPS: Final = 0
INCOMPLETE_HEAPS_EVICTED: Final = 1
INCOMPLETE_HEAPS_FLUSHED: Final = 2
PACKETS: Final = 3
BATCHES: Final = 4
MAX_BATCH: Final = 5
SINGLE_PACKET_HEAPS: Final = 6
SEARCH_DIST: Final = 7
WORKER_BLOCKED: Final = 8
#: Index of the first statistic of the user's own.
CUSTOM: Final = 9
