"""Receiving what was captured."""

from __future__ import annotations

from typing import Final

import numpy as np

from spead_transport.errors import EndOfStream
from spead_transport.protocol.constants import MAGIC
from spead_transport.protocol.packets import decode_headers, frame_packets
from spead_transport.protocol.rejection import Rejection
from spead_transport.transport import Capabilities, Clock, EventReadiness, PacketBatch, PacketReceiver, system_clock
from spead_transport.transport.clock import Alarm

from .capture import Capture
from .writer import LARGEST_PACKET

__all__ = ["CAPABILITIES", "PcapReceiver"]

CAPABILITIES: Final = Capabilities(
    lossy=False, ordered=True, reach="host", largest_packet=LARGEST_PACKET, signals_end=True
)
#: Packets handed out, and frames looked at, in one call.
_MOST_PACKETS: Final = 1024
_MOST_FRAMES: Final = 8192


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
        self._frames = capture.frames()
        self._speed = speed
        self._clock = clock
        self._alarm: Alarm | None = None
        self._readable = EventReadiness()
        self._readable.set()
        #: The payload that is next, and when it is due.
        self._next: tuple[float, memoryview] | None = None
        #: What to add to a frame's time (divided by the speed) to have the clock's.
        self._shift: float | None = None
        self._ended = False

    @property
    def readable(self) -> EventReadiness:
        return self._readable

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            payloads: list[memoryview] = []
            for _ in range(_MOST_FRAMES):
                if len(payloads) == min(limit, _MOST_PACKETS) or not self._look_ahead() or not self._due():
                    break
                if self._next is not None:
                    payloads.append(self._next[1])
                    self._next = None
            if self._ended and not payloads:
                raise EndOfStream
            return _cut(PacketBatch.of(payloads))

    def drops(self) -> dict[str, int]:
        return dict(self._capture.drops)

    def _look_ahead(self) -> bool:
        """See to it that the next payload is known, unless the next frame has none; False at the end."""
        if self._next is None and not self._ended:
            try:
                time, payload = next(self._frames)
            except StopIteration:
                self._ended = True
            else:
                self._next = None if payload is None else (self._due_time(time), payload)
        return not self._ended

    def _due_time(self, time: float) -> float:
        if self._speed is None:
            return -float("inf")
        if self._shift is None:
            self._shift = self._clock.now() - time / self._speed
        return time / self._speed + self._shift

    def _due(self) -> bool:
        """Whether the next payload may go; if not, the clock will say when."""
        if self._next is None or self._next[0] <= self._clock.now():
            self._readable.set()
            return True
        self._readable.clear()
        if self._alarm is not None:
            self._clock.cancel(self._alarm)
        self._alarm = self._clock.call_at(self._next[0], self._readable.set)
        return False

    def _release_resources(self) -> None:
        if self._alarm is not None:
            self._clock.cancel(self._alarm)
        self._capture.close()
        self._readable.set()
        self._readable.wake()


def _cut(batch: PacketBatch) -> PacketBatch:
    """Take packets apart that were captured in one piece.

    With segmentation offload, what a capture on the sender's machine shows are not the packets on the wire but what
    the network card (or the receiver's socket) was to make of them: many packets back to back.
    """
    pieces = {
        row: starts
        for row in np.flatnonzero(decode_headers(batch).reason == Rejection.SIZE_MISMATCH).tolist()
        if len(starts := _packet_starts(batch, row)) > 1
    }
    if not pieces:
        return batch
    offsets = [start for row, offset in enumerate(batch.head_offsets.tolist()) for start in pieces.get(row, [offset])]
    cuts = np.array([*offsets, len(batch.heads)], np.int64)
    return PacketBatch(batch.heads, cuts[:-1], np.diff(cuts))


def _packet_starts(batch: PacketBatch, row: int) -> list[int]:
    """Where packets begin in one that is nothing but packets; nothing if it is something else."""
    start, size = int(batch.head_offsets[row]), int(batch.head_sizes[row])
    offsets, sizes = frame_packets(batch.heads[: start + size], start)
    # Junk is framed, too: in pieces that do not begin as packets do.
    whole = sizes.sum() == size and bool(np.all(batch.heads[offsets] == MAGIC))
    return offsets.tolist() if whole else []
