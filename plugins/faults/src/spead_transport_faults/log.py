"""What was done to which packets."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable

import attrs

from .config import Side

__all__ = ["Fault", "FaultLog"]


@attrs.frozen(kw_only=True)
class Fault:
    """Something that happened to a packet."""

    #: ``loss``, ``outage``, ``script_drop``, ``queue_full``, ``refused``, ``unsent``; ``duplication``,
    #: ``corruption``, ``truncation``, ``reordering``, ``delay``.
    what: str
    side: Side
    destination: int
    #: Number of the packet in the stream to its destination, from 1; ``None`` if that is not known any more.
    packet: int | None
    #: Cnt of the packet's heap; ``None`` if it is no packet of a heap.
    heap: int | None

    def __str__(self) -> str:
        packet = "a packet" if self.packet is None else f"packet {self.packet}"
        heap = "" if self.heap is None else f" (heap {self.heap})"
        return f"{self.what}: {packet}{heap} to destination {self.destination}, {self.side} side"


class FaultLog:
    """The faults that happened, in their order; any thread may read it at any time.

    Parameters
    ----------
    limit
        How many are kept: the latest. All are counted.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._faults: deque[Fault] = deque(maxlen=limit)

    def __repr__(self) -> str:
        return f"<FaultLog {', '.join(f'{what}={count}' for what, count in self.counts.items()) or 'empty'}>"

    @property
    def counts(self) -> dict[str, int]:
        """How many faults of each kind happened."""
        with self._lock:
            return dict(self._counts)

    @property
    def faults(self) -> list[Fault]:
        """The latest faults."""
        with self._lock:
            return list(self._faults)

    def add(self, faults: Iterable[Fault]) -> None:
        """Note faults."""
        with self._lock:
            for fault in faults:
                self._counts[fault.what] += 1
                self._faults.append(fault)
