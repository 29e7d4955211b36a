"""Receiving what was captured."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from spead_transport.errors import EndOfStream
from spead_transport.protocol.constants import MAGIC, PAYLOAD_LENGTH_ID
from spead_transport.protocol.framing import frame_packets
from spead_transport.protocol.packets import decode_headers
from spead_transport.protocol.rejection import Rejection
from spead_transport.transport import Capabilities, Clock, EventReadiness, PacketBatch, PacketReceiver, system_clock
from spead_transport.transport.clock import Alarm

from .capture import Capture
from .payloads import NONE, Times
from .writer import LARGEST_PACKET

__all__ = ["CAPABILITIES", "PcapReceiver"]

#: In the first word of a packet, what says how it is written.
_FLAVOUR: Final = np.uint64(0xFFFFFFFF_00000000)

CAPABILITIES: Final = Capabilities(
    lossy=False, ordered=True, reach="host", largest_packet=LARGEST_PACKET, signals_end=True
)


class PcapReceiver(PacketReceiver):
    """Hands out the UDP payloads of a capture, then the end.

    Parameters
    ----------
    capture
        The capture, which belongs to the receiver from now on.
    speed
        How fast, compared to how the packets came; ``None`` for as fast as possible.
    url
        What messages call the receiver.
    clock
        Whose time `speed` goes by. It begins with the first call of :meth:`try_recv`.
    """

    def __init__(self, capture: Capture, speed: float | None, url: str, *, clock: Clock = system_clock) -> None:
        super().__init__(url, CAPABILITIES)
        self._capture = capture
        self._speed = speed
        self._clock = clock
        self._alarm: Alarm | None = None
        self._readable = EventReadiness()
        self._readable.set()
        #: Payloads that were read and not handed out.
        self._waiting = NONE
        #: What to add to a frame's time (divided by the speed) to have the clock's.
        self._shift: float | None = None

    @property
    def readable(self) -> EventReadiness:
        return self._readable

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            if not len(self._waiting) and not self._capture.ended:
                self._waiting = self._capture.read()
            if not len(self._waiting) and self._capture.ended:
                raise EndOfStream
            count = self._due(min(limit, len(self._waiting)))
            payloads, self._waiting = self._waiting[:count], self._waiting[count:]
            return _cut(payloads.batch())

    def drops(self) -> dict[str, int]:
        return dict(self._capture.drops)

    def _due(self, count: int) -> int:
        """How many of the next `count` payloads may go; if the next one may not, the clock will say when."""
        if self._speed is None or not count:
            return count
        due = self._when(self._waiting.times[:count], self._speed)
        early = due > self._clock.now()
        if not early.any():
            self._readable.set()
            return count
        first = int(early.argmax())
        self._readable.clear()
        self._cancel()
        self._alarm = self._clock.call_at(float(due[first]), self._readable.set)
        return first

    def _when(self, times: Times, speed: float) -> Times:
        """When frames are due that were captured at `times`. The first one of all is due at once."""
        if self._shift is None:
            self._shift = self._clock.now() - float(times[0]) / speed
        return times / speed + self._shift

    def _cancel(self) -> None:
        if self._alarm is not None:
            self._clock.cancel(self._alarm)
            self._alarm = None

    def _release_resources(self) -> None:
        self._cancel()
        self._capture.close()
        self._readable.set()
        self._readable.wake()


def _cut(batch: PacketBatch) -> PacketBatch:
    """Take packets apart that were captured in one piece.

    With segmentation offload, what a capture on the sender's machine shows are not the packets on the wire but what
    the network card (or the receiver's socket) was to make of them: many packets back to back.
    """
    odd = np.flatnonzero(~_are_whole(batch))
    if len(odd):
        odd = odd[decode_headers(batch.take(odd)).reason == Rejection.SIZE_MISMATCH]
    pieces = {row: starts for row in odd.tolist() if len(starts := _packet_starts(batch, row)) > 1}
    if not pieces:
        return batch
    cuts = [
        (start, end)
        for row, (offset, size) in enumerate(zip(batch.head_offsets.tolist(), batch.head_sizes.tolist(), strict=True))
        for start, end in pairwise([*pieces.get(row, [offset]), offset + size])
    ]
    offsets = np.array([start for start, _ in cuts], np.int64)
    return PacketBatch(batch.heads, offsets, np.array([end for _, end in cuts], np.int64) - offsets)


def _are_whole(batch: PacketBatch) -> npt.NDArray[np.bool_]:
    """Which packets are as long as their header says, told quickly.

    Only packets as everybody sends them are found: of the first one's flavour, and with the payload's length in the
    fourth item pointer.
    """
    words = np.ndarray(len(batch.heads) - 7, ">u8", batch.heads, 0, (1,))  # one at each byte
    first, pointer = (words[batch.head_offsets + at].astype(np.uint64) for at in (0, 32))
    flavour = first & _FLAVOUR
    width = int(flavour[0] >> np.uint64(32) & np.uint64(0xFF)) if len(flavour) else 0
    if not 0 < width < 8:
        return np.zeros(len(batch), np.bool_)
    bits = np.uint64(8 * width)
    size = (
        (first & np.uint64(0xFFFF)) * np.uint64(8) + (pointer & (np.uint64(1) << bits) - np.uint64(1)) + np.uint64(8)
    )
    found: npt.NDArray[np.bool_] = (flavour == flavour[0]) & (batch.head_sizes == size.astype(np.int64))
    found &= pointer >> bits == np.uint64(1 << 63) >> bits | np.uint64(PAYLOAD_LENGTH_ID)
    return found


def _packet_starts(batch: PacketBatch, row: int) -> list[int]:
    """Where packets begin in one that is nothing but packets; nothing if it is something else."""
    start, size = int(batch.head_offsets[row]), int(batch.head_sizes[row])
    offsets, sizes = frame_packets(batch.heads[: start + size], start)
    # Junk is framed, too: in pieces that do not begin as packets do.
    whole = sizes.sum() == size and bool(np.all(batch.heads[offsets] == MAGIC))
    return offsets.tolist() if whole else []
