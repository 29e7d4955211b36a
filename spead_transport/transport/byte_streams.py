"""Packets back to back in a stream of bytes: for transports that move bytes, not packets.

TCP connections, pipes, files and serial lines carry SPEAD packets one after the other with nothing between them;
where a packet ends is in its header. What such a transport needs beside reading and writing bytes is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from ..protocol.batch import Bytes, Offsets, PacketBatch
from ..protocol.framing import frame_packets, oversized

__all__ = ["PacketFramer", "PacketWriter"]

#: The fixed part of a packet's header, in bytes.
_HEADER_BYTES: Final = 8
#: Bytes read at a time at most, which stay in the processor's cache.
_BLOCK_BYTES: Final = 1 << 20
#: Bytes written at a time: about what a socket takes, so that little is prepared in vain.
_PIECE_BYTES: Final = 1 << 18
#: Packets that are smaller than this on average, in bytes, are put together in one block instead of a gather list.
#: (Measured: at 1472 bytes either costs the same; with larger packets the copy is dearer, up to twice as dear.)
_WORTH_GATHERING: Final = 1024
#: Most buffers in one gather list (IOV_MAX on Linux).
_MOST_BUFFERS: Final = 1024


class PacketFramer:
    """Finds the packets in bytes that are read piece by piece. They stay where they were read to: nothing is copied.

    Bytes that cannot start a packet are handed out in packets of 8 bytes, so that they are counted as rejected, and
    the search goes on behind them. Of a packet that is too large the first 8 bytes are handed out, to be counted as
    truncated, and the others skipped. ::

        count = connection.recv_into(framer.room())
        batch = framer.packets(count) if count else framer.rest()

    Parameters
    ----------
    max_packet_size
        The largest packet that is kept until it is complete, in bytes: a claim must not fill the memory.
    """

    def __init__(self, max_packet_size: int) -> None:
        self._max_packet_size = max_packet_size
        self._block: Bytes = np.empty(_BLOCK_BYTES, np.uint8)
        # What has been read and not handed out: the beginning of a packet.
        self._start = 0
        self._end = 0
        #: How many bytes of a packet that is too large are still to come.
        self._skip = 0

    def room(self) -> memoryview:
        """Where to read the next bytes to; never empty. The last batch is not valid any more."""
        waiting = self._end - self._start
        if self._end > len(self._block) // 2:
            # A packet that fills half of the block needs a larger one: as its bytes come, not as it claims.
            block = self._block if waiting <= len(self._block) // 2 else np.empty(2 * len(self._block), np.uint8)
            block[:waiting] = self._block[self._start : self._end]
            self._block, self._start, self._end = block, 0, waiting
        return self._block.data[self._end : self._end + _BLOCK_BYTES]

    def packets(self, count: int) -> PacketBatch:
        """The packets that are complete, now that `count` bytes were read into the room. Valid until :meth:`room`."""
        self._end += count
        data = self._block[: self._end]
        found = [self._frame(data)]
        while claim := oversized(data, self._start, self._max_packet_size):
            found.append((np.array([self._start]), np.array([_HEADER_BYTES])))
            self._skip = claim
            found.append(self._frame(data))
        offsets, sizes = found[0] if len(found) == 1 else map(np.concatenate, zip(*found, strict=True))
        return PacketBatch(self._block, offsets, sizes)

    def _frame(self, data: Bytes) -> tuple[Offsets, Offsets]:
        """Skip what is to be skipped, and go on to the next packet that is incomplete or too large."""
        skipped = min(self._skip, len(data) - self._start)
        self._start += skipped
        self._skip -= skipped
        offsets, sizes = frame_packets(data, self._start, max_packet_size=self._max_packet_size)
        if len(offsets):
            self._start = int(offsets[-1] + sizes[-1])
        return offsets, sizes

    def rest(self) -> PacketBatch:
        """What is left if no more bytes come: an incomplete packet, which is counted as such, or nothing."""
        rest = self._block[self._start : self._end]
        self._start = self._end
        return PacketBatch.of([rest] if len(rest) else [])


class PacketWriter:
    """Writes packets where any part of what is offered may be taken.

    A packet counts as taken when its last byte is written. One of which only a part was written so far is kept, and
    finished by the next call. If that call brings the packet again, as the contract asks for, it is not written
    twice; if it does not, because the caller gave the packet up, the packets that follow begin where they should.

    Parameters
    ----------
    write
        Writes some of the bytes in a list of at most 1024 buffers and returns how many; raises
        :exc:`BlockingIOError` if there is no room now. Other errors come out of :meth:`send`.
    """

    def __init__(self, write: Callable[[list[memoryview]], int]) -> None:
        self._write = write
        self._block: Bytes = np.empty(_PIECE_BYTES, np.uint8)
        #: The packet of which a part was written, and how much of it.
        self._cut: bytes = b""
        self._cut_written = 0
        self._failure: OSError | None = None

    @property
    def at_rest(self) -> bool:
        """Whether nothing failed, and each packet that was begun is written to its end."""
        return not self._cut and self._failure is None

    def send(self, batch: PacketBatch) -> int:
        """Write packets from the front of `batch`; how many were taken, as ``PacketSender.try_send`` counts them.

        Raises
        ------
        OSError
            What writing raised, from then on at every call.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # which would grow with each call
        taken = 0
        if self._cut:
            self._cut_written += self._write_all([memoryview(self._cut)[self._cut_written :]])
            if self._cut_written < len(self._cut):
                return self._taken(0)
            taken = int(_first(batch) == self._cut)
            self._cut = b""
        for piece in _pieces(batch[taken:]):
            written = self._write_all(self._buffers(piece))
            ends = np.cumsum(piece.sizes)
            count = int(np.searchsorted(ends, written, "right"))
            taken += count
            if count < len(piece):
                self._cut_written = written - int(ends[count - 1] if count else 0)
                self._cut = _first(piece[count:]) if self._cut_written else b""
                break
        return self._taken(taken)

    def _taken(self, count: int) -> int:
        """A failure is raised at once only if nothing was taken before it."""
        if self._failure is not None and not count:
            raise self._failure
        return count

    def _buffers(self, piece: PacketBatch) -> list[memoryview]:
        if piece.nbytes < _WORTH_GATHERING * len(piece):
            piece = piece.flatten(self._block)
        return piece.buffers()

    def _write_all(self, buffers: list[memoryview]) -> int:
        """Write until all is written or no more is taken; how many bytes were written."""
        written = 0
        for first in range(0, len(buffers), _MOST_BUFFERS):
            part = buffers[first : first + _MOST_BUFFERS]
            try:
                count = self._write(part)
            except BlockingIOError:
                break
            except OSError as error:
                self._failure = error
                break
            written += count
            if count < sum(map(len, part)):
                break
        return written


def _pieces(batch: PacketBatch) -> Iterator[PacketBatch]:
    """Cut a batch in parts of `_PIECE_BYTES` at most, or of one packet if that is larger."""
    ends = np.cumsum(batch.sizes)
    first = start = 0
    while first < len(batch):
        last = max(first + 1, int(np.searchsorted(ends, start + _PIECE_BYTES, "right")))
        yield batch[first:last]
        first, start = last, int(ends[last - 1])


def _first(batch: PacketBatch) -> bytes:
    """A copy of the first packet; nothing if there is none."""
    return next((packet.tobytes() for packet in batch[:1].packets()), b"")
