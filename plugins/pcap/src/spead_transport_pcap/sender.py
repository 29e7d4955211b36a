"""Sending into a capture."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable

import numpy as np

from spead_transport.errors import BrokenTransportError, TransportError
from spead_transport.transport import EventReadiness, PacketBatch, PacketSender

from .receiver import CAPABILITIES
from .writer import LARGEST_PACKET, CaptureWriter

__all__ = ["PcapSender"]


class PcapSender(PacketSender):
    """Writes packets into a capture, with the time at which they are sent.

    Parameters
    ----------
    writer
        The capture, which belongs to the sender from now on.
    url
        What messages call the sender.
    now
        Tells the seconds since 1970.
    """

    def __init__(self, writer: CaptureWriter, url: str, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(url, CAPABILITIES)
        self._writer = writer
        self._now = now
        self._writable = EventReadiness()
        self._writable.set()

    @property
    def writable(self) -> EventReadiness:
        return self._writable

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            if batch.destination != 0:
                raise ValueError(f"{self.url}: there is no destination {batch.destination}, only 0")
            too_large = np.flatnonzero(batch.sizes > LARGEST_PACKET)
            count = int(too_large[0]) if len(too_large) else len(batch)
            if not count and len(batch):
                raise TransportError(
                    f"a packet of {batch.sizes[0]} bytes does not fit into a datagram of {LARGEST_PACKET}",
                    errno=errno.EMSGSIZE,
                    url=self.url,
                )
            try:
                self._writer.write(batch[:count], self._now())
            except OSError as error:
                raise BrokenTransportError("cannot write", errno=error.errno, url=self.url) from error
            return count

    def _release_resources(self) -> None:
        self._writer.close()
        self._writable.wake()
