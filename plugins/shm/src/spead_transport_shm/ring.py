"""The memory that packets wait in. Nothing here talks to anybody.

A record is a table of the packets' sizes (``uint32`` in the machine's byte order) and, from the next multiple of
:data:`ALIGNMENT` on, the packets back to back. It lies in one piece, wherever the sender likes. The memory's size is
sealed before it is passed on, for whoever reads where a file does not reach any more is killed by the system.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections import deque
from collections.abc import Iterator
from typing import Final

import attrs
import numpy as np

from spead_transport.transport import Bytes, Offsets, PacketBatch

from .config import LARGEST_RING, SMALLEST_RING
from .messages import WINDOW, Announcement

__all__ = ["ALIGNMENT", "RecordError", "RingReader", "RingWriter", "Space"]

#: In bytes: of a cache line.
ALIGNMENT: Final = 64
_SIZE_BYTES: Final = 4
#: A record takes no more than this share of the ring if it has several packets, so that reading and writing overlap.
_SHARES: Final = 8
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


class RecordError(ValueError):
    """The sizes in a record contradict its announcement."""


@attrs.define
class Space:
    """Which parts of a ring are in use: by records, in the order in which they were written."""

    #: In bytes.
    size: int
    _records: deque[tuple[int, int]] = attrs.field(factory=deque, init=False)

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self._records)

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Where the next record may lie, ``[start, end)``, in order of preference."""
        if not self._records:
            # From the beginning: memory used a moment ago is still in the processor's cache.
            yield 0, self.size
            return
        oldest, newest = self._records[0][0], self._records[-1][1]
        if newest > oldest:
            yield newest, self.size
            yield 0, oldest
        else:
            yield newest, oldest

    def occupy(self, start: int, end: int) -> None:
        """Note a record in one of the gaps."""
        self._records.append((start, _aligned(end)))

    def forget_newest(self) -> None:
        """Forget the record that was noted last."""
        self._records.pop()

    def free(self, count: int) -> None:
        """Forget the oldest records.

        Raises
        ------
        ValueError
            If there are not so many.
        """
        if count > len(self._records):
            raise ValueError(f"{count} records were acknowledged, but only {len(self._records)} were sent")
        for _ in range(count):
            self._records.popleft()


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
        return self.space.size - ALIGNMENT

    def write(self, batch: PacketBatch) -> Announcement | None:
        """Write a record of as many packets from the front of `batch` as there is room for, if for any."""
        if self.space.records >= WINDOW:
            return None
        sizes = batch.sizes
        # A table of sizes ends anywhere within a line.
        needed = np.cumsum(sizes + _SIZE_BYTES) + ALIGNMENT - _SIZE_BYTES
        most = max(self.space.size // _SHARES, int(needed[0]))
        for start, end in self.space.gaps():
            count = int(np.searchsorted(needed, min(end - start, most), "right"))
            if count:
                return self._write(batch[:count] if count < len(batch) else batch, start)
        return None

    def close(self) -> None:
        """Give the memory up; the receiver keeps it for as long as it needs it."""
        self.memory = self.memory[:0].copy()

    def _write(self, batch: PacketBatch, start: int) -> Announcement:
        count, nbytes = len(batch), batch.nbytes
        packets = _packets_start(start, count)
        self.memory[start : start + _SIZE_BYTES * count].view(np.uint32)[:] = batch.sizes
        batch.flatten(into=self.memory[packets : packets + nbytes])
        self.space.occupy(start, packets + nbytes)
        return Announcement(start, count, nbytes)


def _packets_start(start: int, count: int) -> int:
    return _aligned(start + _SIZE_BYTES * count)


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

    def read(self, announcement: Announcement) -> tuple[Offsets, Offsets]:
        """Where the packets of a record are in :meth:`batch`'s memory.

        Returns
        -------
        offsets, sizes
            In bytes.

        Raises
        ------
        RecordError
            If the sizes in the record are not those of its announcement.
        ValueError
            If the announcement itself is impossible.
        """
        start, count, nbytes = announcement.start, announcement.count, announcement.nbytes
        size = len(self._memory)
        packets = _packets_start(start, count)
        if start % ALIGNMENT or not count or packets + nbytes > size:
            raise ValueError(f"expected a record within {size} bytes, not {announcement}")
        # A copy of what may be changed at any time.
        sizes = self._memory[start : start + _SIZE_BYTES * count].view(np.uint32).astype(np.int64)
        ends: Offsets = np.cumsum(sizes)
        if ends[-1] != nbytes:
            raise RecordError(f"expected {count} packets of {nbytes} bytes together, not of {ends[-1]}")
        return packets + ends - sizes, sizes

    def batch(self, offsets: Offsets, sizes: Offsets) -> PacketBatch:
        """Packets that :meth:`read` found (at least one), where they lie."""
        low, high = int(offsets.min()), int((offsets + sizes).max())
        return PacketBatch(self._memory[low:high], offsets - low, sizes)
