"""Endpoints around endpoints, which keep a copy of what passes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import attrs
import numpy as np

from spead_transport.transport import Capabilities, PacketBatch, PacketReceiver, PacketSender, Readiness

from .writer import LARGEST_PACKET, CaptureWriter

__all__ = ["Recorder", "RecordingReceiver", "RecordingSender"]

_log = logging.getLogger("spead_transport")


class Recorder:
    """Writes packets to a capture; what goes wrong is logged and counted, and does not disturb the stream.

    Parameters
    ----------
    writer
        The capture, which belongs to the recorder from now on.
    url
        What messages call it.
    now
        Tells the seconds since 1970.
    """

    def __init__(self, writer: CaptureWriter, url: str, *, now: Callable[[], float] = time.time) -> None:
        self._writer = writer
        self._url = url
        self._now = now
        self._broken = False
        #: Packets that are in the capture.
        self.recorded: int = 0
        #: Packets that are not: too large for a datagram, or the system refused to write.
        self.missed: int = 0

    def record(self, batch: PacketBatch) -> None:
        """Write packets."""
        fitting = np.flatnonzero(batch.sizes <= LARGEST_PACKET)
        if len(fitting) < len(batch):
            self._miss(len(batch) - len(fitting), f"packets of more than {LARGEST_PACKET} bytes fit no datagram")
        if self._broken:
            self.missed += len(fitting)
        elif len(fitting):
            try:
                self._writer.write(batch.take(fitting), self._now())
                self.recorded += len(fitting)
            except OSError as error:
                self._broken = True
                self._miss(len(fitting), str(error))

    def close(self) -> None:
        """Close the capture."""
        self._writer.close()

    def _miss(self, count: int, why: str) -> None:
        if not self.missed or self._broken:
            _log.error("%s: the recording is not complete: %s", self._url, why)
        self.missed += count


def _capabilities(inner: Capabilities) -> Capabilities:
    return attrs.evolve(inner, native=False)


class RecordingSender(PacketSender):
    """Sends through another sender, and records what that takes.

    Parameters
    ----------
    inner
        The sender within, which belongs to this one from now on.
    recorder
        Where to record, likewise.
    url
        What messages call the sender.
    """

    def __init__(self, inner: PacketSender, recorder: Recorder, url: str) -> None:
        super().__init__(url, _capabilities(inner.capabilities))
        self._inner = inner
        self.recorder: Recorder = recorder

    @property
    def writable(self) -> Readiness:
        return self._inner.writable

    @property
    def num_destinations(self) -> int:
        return self._inner.num_destinations

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            count = self._inner.try_send(batch)
            if count:
                self.recorder.record(batch[:count])
            return count

    def _release_resources(self) -> None:
        self._inner.close()
        self.recorder.close()


class RecordingReceiver(PacketReceiver):
    """Receives from another receiver, and records what that hands out.

    Parameters
    ----------
    inner
        The receiver within, which belongs to this one from now on.
    recorder
        Where to record, likewise.
    url
        What messages call the receiver.
    """

    def __init__(self, inner: PacketReceiver, recorder: Recorder, url: str) -> None:
        super().__init__(url, _capabilities(inner.capabilities))
        self._inner = inner
        self.recorder: Recorder = recorder

    @property
    def readable(self) -> Readiness:
        return self._inner.readable

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            batch = self._inner.try_recv(limit)
            if len(batch):
                self.recorder.record(attrs.evolve(batch, destination=0))
            return batch

    def release(self) -> None:
        self._inner.release()

    def drops(self) -> dict[str, int]:
        return self._inner.drops()

    def _release_resources(self) -> None:
        self._inner.close()
        self.recorder.close()
