"""Captures in the pcap format, many frames at a time.

The format (pcap-savefile(5)) is a header, and then for each frame 16 bytes, which say when it came and how much of it
was captured, and that. What is done with captures that break these rules is what libpcap does.
"""

from __future__ import annotations

import logging
import os
import struct
from collections import Counter
from typing import Final

import attrs
import numpy as np
import numpy.typing as npt

from spead_transport.transport import Offsets

from .bpf import Filter
from .frames import SPARE
from .payloads import NONE, Payloads

__all__ = ["FILE_HEADER_SIZE", "Format", "RecordFile"]

_log = logging.getLogger("spead_transport")
FILE_HEADER_SIZE: Final = 24
_RECORD_HEADER_SIZE: Final = 16
_SIZE_AT: Final = 8  #: of the size that was captured, in a frame's header
#: What the file's first word may be, and how many of the times' smaller units make a second.
_TICKS: Final = {0xA1B2C3D4: 10**6, 0xA1B23C4D: 10**9}
#: No frame is longer, in bytes (libpcap's MAXIMUM_SNAPLEN): a length beyond that is a lie.
_LARGEST_FRAME: Final = 262144
#: Bytes that are read in one piece: more than a frame has, and few enough for the processor's caches.
_SLAB_SIZE: Final = 1 << 20


@attrs.frozen
class Format:
    """How a file is written.

    Parameters
    ----------
    order
        ``"<"`` or ``">"``, the order of bytes.
    ticks
        How many units of time make a second.
    """

    order: str
    ticks: int

    @classmethod
    def of(cls, header: bytes) -> Format | None:
        """The format of a file that begins like this, or none if it is another one."""
        if len(header) < FILE_HEADER_SIZE:
            return None
        for order in "<>":
            magic, *version = struct.unpack_from(f"{order}IHH", header)
            if magic in _TICKS and version == [2, 4]:
                return cls(order, _TICKS[magic])
        return None

    @property
    def record(self) -> np.dtype[np.void]:
        """A frame's header in the file."""
        word = f"{self.order}u4"
        return np.dtype([("seconds", word), ("ticks", word), ("captured", word), ("length", word)])


class RecordFile:
    """The UDP payloads in such a file; see :class:`.payloads.Source`.

    Parameters
    ----------
    path
        The file.
    format
        How it is written.
    link_type
        What frames look like, one of :data:`.frames.LINK_TYPES`.
    snaplen
        How much of each frame is looked at, in bytes.
    filter
        Which frames are wanted; ``None`` for all.
    timed
        Whether anybody wants to know when frames were captured.
    url
        What messages call it.

    Raises
    ------
    OSError
        If it cannot be opened.
    """

    def __init__(
        self, path: str, format: Format, link_type: int, snaplen: int, filter: Filter | None, timed: bool, url: str
    ) -> None:
        self.drops: Counter[str] = Counter()
        self.ended: bool = False
        self._url = url
        self._record = format.record
        self._size = struct.Struct(f"{format.order}I")
        self._ticks = format.ticks
        self._link_type = link_type
        self._snaplen = snaplen
        self._filter = filter
        self._timed = timed
        #: What was read of the file; of that, `_at` to `_end` is still to be looked at.
        self._slab = np.zeros(_SLAB_SIZE + SPARE, np.uint8)
        self._at = self._end = 0
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.lseek(self._fd, FILE_HEADER_SIZE, os.SEEK_SET)

    def read(self) -> Payloads:
        while not self.ended:
            frames, captured = self._walk()
            if len(frames):
                return self._payloads(frames, captured)
            self._go_on()
        return NONE

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _go_on(self) -> None:
        """Read more of the file, because there is no whole frame any more; or find that this is the end."""
        if self._next_size() > _LARGEST_FRAME:
            self._end_early(f"a frame of {self._next_size()} bytes; there are {_LARGEST_FRAME} at most")
            return
        left = self._end - self._at
        self._slab[:left] = self._slab[self._at : self._end].copy()
        self._at, self._end = 0, left
        try:
            count = os.readv(self._fd, [self._slab[left : len(self._slab) - SPARE].data])
        except OSError as error:
            self._end_early(error.strerror or str(error))
            return
        self._end += count
        if not count and left:
            self._end_early(f"truncated dump file: it ends within a frame, {left} bytes after where that begins")
        self.ended = self.ended or not count

    def _end_early(self, problem: str) -> None:
        self.ended = True
        self.drops["unreadable"] += 1
        _log.warning("%s: the rest of the capture cannot be read: %s", self._url, problem)

    def _next_size(self) -> int:
        """What the header of the next frame says of its size; 0 if that was not read yet."""
        if self._at + _RECORD_HEADER_SIZE > self._end:
            return 0
        return int(self._size.unpack_from(self._slab.data, self._at + _SIZE_AT)[0])

    def _walk(self) -> tuple[Offsets, Offsets]:
        """Go on to the end of the last frame that was read as a whole; returns where they start, and their sizes."""
        firsts: list[int] = []
        steps: list[int] = []
        counts: list[int] = []
        while self._at + _RECORD_HEADER_SIZE <= self._end:
            step = _RECORD_HEADER_SIZE + self._next_size()
            if step > _RECORD_HEADER_SIZE + _LARGEST_FRAME or self._at + step > self._end:
                break
            count = self._run(step)
            firsts.append(self._at + _RECORD_HEADER_SIZE)
            steps.append(step)
            counts.append(count)
            self._at += count * step
        numbers = np.array(counts, np.int64)
        each = np.repeat(np.array(steps, np.int64), numbers)
        within = np.arange(len(each)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        return np.repeat(np.array(firsts, np.int64), numbers) + within * each, each - _RECORD_HEADER_SIZE

    def _run(self, step: int) -> int:
        """How many frames from the next one on have the same size, `step` bytes with the header."""
        most = (self._end - self._at) // step
        if (
            most < 2
            or self._size.unpack_from(self._slab.data, self._at + step + _SIZE_AT)[0] != step - _RECORD_HEADER_SIZE
        ):
            return 1  # told quickly: there may be many of these
        sizes = np.ndarray((most,), self._record["captured"], self._slab, self._at + _SIZE_AT, (step,))
        other = sizes != step - _RECORD_HEADER_SIZE
        return int(other.argmax()) or most

    def _payloads(self, frames: Offsets, captured: Offsets) -> Payloads:
        captured = np.minimum(captured, self._snaplen)
        if self._filter is not None:
            lengths = self._headers(frames)["length"].astype(np.int64)
            wanted = self._filter.wanted(self._slab, frames, captured, lengths)
            frames, captured = frames[wanted], captured[wanted]
        times = np.zeros(len(frames))
        if self._timed:
            headers = self._headers(frames)
            times += headers["seconds"] + headers["ticks"] / self._ticks
        payloads, reasons = Payloads.in_frames(self._link_type, self._slab, frames, captured, times)
        self.drops.update(reasons)
        return payloads

    def _headers(self, frames: Offsets) -> npt.NDArray[np.void]:
        everywhere = np.ndarray(len(self._slab) - _RECORD_HEADER_SIZE + 1, self._record, self._slab, 0, (1,))
        headers: npt.NDArray[np.void] = everywhere[frames - _RECORD_HEADER_SIZE]
        return headers
