"""Receiving what was captured."""

from __future__ import annotations

from collections import deque
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
#: Packets handed out in one call.
_MOST_PACKETS: Final = 1024


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
        #: Payloads that were read and not handed out, and when they were captured.
        self._waiting: deque[tuple[float, bytes]] = deque()
        #: What to add to a frame's time (divided by the speed) to have the clock's.
        self._shift: float | None = None

    @property
    def readable(self) -> EventReadiness:
        return self._readable

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            count = min(limit, _MOST_PACKETS)
            if not self._waiting and not self._capture.ended:
                self._waiting.extend(self._capture.read(count))
            payloads = self._due(count)
            if not self._waiting and not payloads and self._capture.ended:
                raise EndOfStream
            return _cut(_batch(payloads))

    def drops(self) -> dict[str, int]:
        return dict(self._capture.drops)

    def _due(self, count: int) -> list[bytes]:
        """The payloads whose time has come, at most `count`; if the next one's has not, the clock will say when."""
        if self._speed is None:
            return [self._waiting.popleft()[1] for _ in range(min(count, len(self._waiting)))]
        payloads: list[bytes] = []
        while self._waiting and len(payloads) < count:
            when = self._when(self._waiting[0][0], self._speed)
            if when > self._clock.now():
                self._readable.clear()
                self._cancel()
                self._alarm = self._clock.call_at(when, self._readable.set)
                return payloads
            payloads.append(self._waiting.popleft()[1])
        self._readable.set()
        return payloads

    def _when(self, time: float, speed: float) -> float:
        """When a frame is due that was captured at `time`. The first one is due at once."""
        if self._shift is None:
            self._shift = self._clock.now() - time / speed
        return time / speed + self._shift

    def _cancel(self) -> None:
        if self._alarm is not None:
            self._clock.cancel(self._alarm)
            self._alarm = None

    def _release_resources(self) -> None:
        self._cancel()
        self._capture.close()
        self._readable.set()
        self._readable.wake()


def _batch(payloads: list[bytes]) -> PacketBatch:
    """A batch of whole packets, made faster than `PacketBatch.of` does it for buffers of any kind."""
    sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
    return PacketBatch(np.frombuffer(bytearray().join(payloads), np.uint8), np.cumsum(sizes) - sizes, sizes)


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
