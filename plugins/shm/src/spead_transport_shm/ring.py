"""The memory that packets wait in. Nothing here talks to anybody.

A record is a table of the packets' sizes (of the head and of the body of each, ``uint32`` in the machine's byte
order); from the next multiple of :data:`ALIGNMENT` on, all heads back to back; and from the next one on, all bodies.
So the payload of a heap lies in one piece, and moves as one. A record lies in one piece, too, wherever the sender
likes. The memory's size is sealed before it is passed on, for whoever reads where a file does not reach any more is
killed by the system.

Engines of native code read and write the same (``shm_ring.cpp`` in ``plugins/fastpath``).
"""

from __future__ import annotations

import bisect
import fcntl
import mmap
import os
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import attrs
import numpy as np

from spead_transport.transport import Bytes, Offsets, PacketBatch

from .config import LARGEST_RING, SMALLEST_RING
from .messages import KEPT_SHARE, MOST_PACKETS, WINDOW, Announcement

__all__ = ["ALIGNMENT", "Record", "RecordError", "RingReader", "RingWriter", "Space", "kept_bytes", "size_for"]

_Number = TypeVar("_Number", int, Offsets)

#: In bytes: of a cache line.
ALIGNMENT: Final = 64
#: Of a packet's line in the table, in bytes.
_ENTRY_BYTES: Final = 8
#: A record takes no more than this share of the ring if it has several packets, so that reading and writing overlap.
_SHARES: Final = 8
#: What a record of one packet takes beside its bytes at most.
_LEAST_OVERHEAD: Final = 2 * ALIGNMENT
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def _aligned(size: _Number) -> _Number:
    return -(-size // ALIGNMENT) * ALIGNMENT


class RecordError(ValueError):
    """The sizes in a record contradict its announcement."""


@attrs.frozen(eq=False)
class Record:
    """A record's packets in a ring: where their heads and their bodies begin, and how long each is, in bytes."""

    heads: int
    head_sizes: Offsets
    bodies: int
    body_sizes: Offsets


@attrs.define
class Space:
    """Which parts of a ring are in use, by records."""

    #: In bytes.
    size: int
    #: Where each record starts and ends, in this order.
    _records: list[tuple[int, int]] = attrs.field(factory=list, init=False)

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self._records)

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Where the next record may lie, ``[start, end)``, in order of preference.

        As near to the beginning as possible: memory that was used a moment ago is still in the processor's caches,
        and what never was costs nothing.
        """
        end = 0
        for start, next_end in self._records:
            if start > end:
                yield end, start
            end = next_end
        if end < self.size:
            yield end, self.size

    def occupy(self, start: int, end: int) -> None:
        """Note a record in one of the gaps."""
        bisect.insort(self._records, (start, _aligned(end)))

    def free(self, start: int) -> None:
        """Forget the record that starts there.

        Raises
        ------
        ValueError
            If there is none.
        """
        index = bisect.bisect_left(self._records, (start, 0))
        if index == len(self._records) or self._records[index][0] != start:
            raise ValueError(f"a record at {start} was acknowledged, where none is")
        del self._records[index]


def kept_bytes(size: int) -> int:
    """How much of a ring of `size` bytes a receiver may keep, at its beginning, in bytes."""
    return size * KEPT_SHARE // 16


def size_for(packet: int) -> int:
    """The smallest ring that takes packets of `packet` bytes, in bytes."""
    return _aligned(-(-(packet + _LEAST_OVERHEAD) * 16 // (16 - KEPT_SHARE)))


class RingWriter:
    """The sender's side.

    Parameters
    ----------
    size
        In bytes.

    Raises
    ------
    OSError
        If the system has no memory left, or the process no file descriptor.
    """

    def __init__(self, size: int) -> None:
        size = _aligned(size)
        fd = os.memfd_create("spead-transport-shm", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            self.memory: Bytes = np.frombuffer(mmap.mmap(fd, size), np.uint8)
        except BaseException:
            os.close(fd)
            raise
        #: To be passed on, and closed then.
        self.fd: int = fd
        self.space: Space = Space(size)

    @property
    def largest_packet(self) -> int:
        """In bytes."""
        return self.space.size - kept_bytes(self.space.size) - _LEAST_OVERHEAD

    def write(self, batch: PacketBatch) -> Announcement | None:
        """Write a record of as many packets from the front of `batch` as there is room for, if for any."""
        if self.space.records >= WINDOW:
            return None
        counts: Offsets = np.arange(1, len(batch) + 1)
        head_bytes: Offsets = np.cumsum(batch.head_sizes)
        needed = _bodies_within(counts, head_bytes) + np.cumsum(batch.body_sizes)
        most = max(self.space.size // _SHARES, int(needed[0]))
        wanted = min(MOST_PACKETS, int(np.searchsorted(needed, most, "right")))
        count = at = 0
        for start, end in self.space.gaps():
            fitting = min(wanted, int(np.searchsorted(needed, end - start, "right")))
            if fitting > count:
                count, at = fitting, start
            if count == wanted:
                break
        if not count:
            return None
        return self._write(batch[:count] if count < len(batch) else batch, at)

    def close(self) -> None:
        """Give the memory up; the receiver keeps it for as long as it needs it."""
        self.memory = self.memory[:0].copy()

    def _write(self, batch: PacketBatch, start: int) -> Announcement:
        count = len(batch)
        announcement = Announcement(start, count, int(batch.head_sizes.sum()), int(batch.body_sizes.sum()))
        table = self.memory[start : start + _ENTRY_BYTES * count].view(np.uint32)
        table[0::2] = batch.head_sizes
        table[1::2] = batch.body_sizes
        heads, bodies = start + _heads_within(count), start + _bodies_within(count, announcement.head_bytes)
        PacketBatch(batch.heads, batch.head_offsets, batch.head_sizes).flatten(self.memory[heads:bodies])
        only_bodies = attrs.evolve(batch, head_sizes=np.zeros(count, np.int64))
        only_bodies.flatten(self.memory[bodies : bodies + announcement.body_bytes])
        self.space.occupy(start, bodies + announcement.body_bytes)
        return announcement


def _heads_within(count: _Number) -> _Number:
    """Where the heads begin, from the start of a record."""
    return _aligned(_ENTRY_BYTES * count)


def _bodies_within(count: _Number, head_bytes: _Number) -> _Number:
    return _aligned(_heads_within(count) + head_bytes)


class RingReader:
    """The receiver's side, which believes nothing.

    Parameters
    ----------
    fd
        The memory; it stays the caller's.
    size
        What the sender says is its size, in bytes.

    Raises
    ------
    ValueError
        If it is not sealed memory of this size.
    OSError
        If the system refuses.
    """

    def __init__(self, fd: int, size: int) -> None:
        if not SMALLEST_RING <= size <= LARGEST_RING or size % ALIGNMENT:
            raise ValueError(f"expected a ring of {SMALLEST_RING} to {LARGEST_RING} bytes, not {size}")
        try:
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        except OSError:
            seals = 0  # not a file that can have any
        actual = os.fstat(fd).st_size
        if seals & _SEALS != _SEALS or actual != size:
            raise ValueError(f"expected sealed memory of {size} bytes, not {actual} bytes with the seals {seals:#x}")
        self._memory: Bytes = np.frombuffer(mmap.mmap(fd, size, prot=mmap.PROT_READ), np.uint8)

    def read(self, announcement: Announcement) -> Record:
        """Where the packets of a record are.

        Raises
        ------
        RecordError
            If the sizes in the record are not those of its announcement.
        ValueError
            If the announcement itself is impossible.
        """
        start, count = announcement.start, announcement.count
        heads = start + _heads_within(count)
        bodies = start + _bodies_within(count, announcement.head_bytes)
        if start % ALIGNMENT or not 0 < count <= MOST_PACKETS or bodies + announcement.body_bytes > len(self._memory):
            raise ValueError(f"expected a record within {len(self._memory)} bytes, not {announcement}")
        # A copy of what may be changed at any time.
        table = self._memory[start : start + _ENTRY_BYTES * count].view(np.uint32).astype(np.int64)
        record = Record(heads, table[0::2], bodies, table[1::2])
        found = int(record.head_sizes.sum()), int(record.body_sizes.sum())
        if found != (announcement.head_bytes, announcement.body_bytes):
            raise RecordError(f"expected sizes that agree with {announcement}, not {found[0]} and {found[1]} bytes")
        return record

    def batch(self, records: Sequence[Record]) -> PacketBatch:
        """The packets of some records (at least one) that :meth:`read` found, where they lie."""
        return PacketBatch(
            self._memory,
            np.concatenate([_starts(record.heads, record.head_sizes) for record in records]),
            np.concatenate([record.head_sizes for record in records]),
            (self._memory,),
            np.concatenate([_starts(record.bodies, record.body_sizes) for record in records]),
            np.concatenate([record.body_sizes for record in records]),
        )


def _starts(first: int, sizes: Offsets) -> Offsets:
    """Where things of these sizes start that lie back to back."""
    starts: Offsets = np.cumsum(sizes)
    return starts - sizes + first
