"""Where the packets of a queue wait. Nothing here locks: the queue does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import attrs
import numpy as np

from spead_transport.transport import Bytes, FdSetReadiness, PacketBatch

__all__ = ["Entry", "Lane", "Tally", "merge"]

#: Small batches are handed out together, up to this many bytes: copying them costs less than another batch does.
#: A larger one is handed out as it is, whatever the limit, for a receiver can adopt its memory.
_MERGED_BYTES: Final = 1 << 18


@attrs.define
class Tally:
    """A number of packets and their size in bytes."""

    packets: int = 0
    nbytes: int = 0

    def add(self, packets: int, nbytes: int) -> None:
        self.packets += packets
        self.nbytes += nbytes


@attrs.frozen(eq=False)
class Entry:
    """A batch, or a single packet, that waits."""

    content: PacketBatch | Bytes
    packets: int
    nbytes: int

    @classmethod
    def of(cls, batch: PacketBatch) -> Entry:
        return cls(batch, len(batch), batch.nbytes)

    @classmethod
    def copy_of(cls, batch: PacketBatch) -> Entry:
        """A copy of `batch`, to keep."""
        copy = batch.copy()
        return cls.of(attrs.evolve(copy, destination=0) if copy.destination else copy)

    def batch(self) -> PacketBatch:
        return self.content if isinstance(self.content, PacketBatch) else PacketBatch.of([self.content])

    def cut(self, count: int) -> tuple[Entry, Entry]:
        """The first `count` packets, and the others."""
        batch = self.batch()
        return Entry.of(batch[:count]), Entry.of(batch[count:])


@attrs.define(eq=False)
class Lane:
    """Packets on their way to one receiver, or to all that share them."""

    entries: deque[Entry] = attrs.field(factory=deque)
    waiting: Tally = attrs.field(factory=Tally)
    readers: list[FdSetReadiness] = attrs.field(factory=list)
    #: Packets dropped that no receiver has reported yet.
    dropped: int = 0

    def push(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.waiting.add(entry.packets, entry.nbytes)
        self.wake()

    def wake(self) -> None:
        # A copy: a leaked endpoint may be collected, and so leave the list, at any point in here.
        for readable in tuple(self.readers):
            readable.set()

    def pop(self, most: int | None = None) -> Entry:
        """The first entry, or its first `most` packets if it has more."""
        entry = self.entries.popleft()
        if most is not None and entry.packets > most:
            entry, rest = entry.cut(most)
            self.entries.appendleft(rest)
        self.waiting.add(-entry.packets, -entry.nbytes)
        return entry

    def take(self, limit: int) -> list[Entry]:
        """Take out `limit` packets at most, in small entries; or one large entry."""
        taken: list[Entry] = []
        nbytes = 0
        while self.entries and limit > 0:
            nbytes += self.entries[0].nbytes
            if nbytes > _MERGED_BYTES:
                return taken or [self.pop()]
            taken.append(self.pop(limit))
            limit -= taken[-1].packets
        return taken

    def drop(self, packets: int, nbytes: int) -> Iterator[Entry]:
        """Take out the packets that wait longest: at least so many, and so many bytes, or all."""
        while self.entries and (packets > 0 or nbytes > 0):
            count = packets
            if nbytes > 0:
                count = max(count, 1 + int(np.searchsorted(np.cumsum(self.entries[0].batch().sizes), nbytes)))
            dropped = self.pop(count)
            packets -= dropped.packets
            nbytes -= dropped.nbytes
            self.dropped += dropped.packets
            yield dropped


def merge(entries: list[Entry]) -> PacketBatch:
    """One batch of all packets of `entries` (at least one)."""
    parts: list[PacketBatch] = []
    singles: list[Bytes] = []
    for content in [*(entry.content for entry in entries), None]:
        if isinstance(content, np.ndarray):
            singles.append(content)
            continue
        if singles:
            parts.append(PacketBatch.of(singles))
            singles = []
        if content is not None:
            parts.append(content)
    batch = PacketBatch.concatenate(parts)
    if len(batch.bodies) < 2:
        return batch
    return attrs.evolve(batch, bodies=(np.concatenate(batch.bodies),), adoptable=True)
