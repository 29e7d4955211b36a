"""Receiving from memory."""

from __future__ import annotations

import numpy as np

from ..errors import EndOfStream
from ..protocol.batch import BufferLike, Bytes, PacketBatch, as_bytes
from ..protocol.framing import frame_packets
from ..transport import Capabilities, EventReadiness, PacketReceiver, Readiness

__all__ = ["BufferReceiver"]


class BufferReceiver(PacketReceiver):
    """Finds the packets that lie back to back in memory. What is left over at the end is handed out as one packet,
    so that it is counted.

    Parameters
    ----------
    buffer
        Any contiguous buffer. It is referenced, not copied.

    Raises
    ------
    ValueError
        If it is not contiguous.
    """

    def __init__(self, buffer: BufferLike) -> None:
        self._data = as_bytes(buffer)
        super().__init__("buffer:", Capabilities(lossy=False, ordered=True, reach="process", signals_end=True))
        self._position = 0
        self._readable = EventReadiness()
        self._readable.set()

    @property
    def data(self) -> Bytes:
        """The bytes that the packets lie in, all of them."""
        return self._data

    @property
    def readable(self) -> Readiness:
        return self._readable

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            if self._position == len(self._data):
                raise EndOfStream
            offsets, sizes = frame_packets(self._data, self._position, limit)
            if not len(offsets):
                offsets = np.array([self._position], np.int64)
                sizes = len(self._data) - offsets
            self._position = int(offsets[-1] + sizes[-1])
            return PacketBatch(self._data, offsets, sizes)

    def _release_resources(self) -> None:
        self._readable.wake()
