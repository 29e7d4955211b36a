"""What the spectrometer does with two streams, whatever they go over."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import spead_transport as spead
from spead_transport import recv, send

from .arrays import CHANNELS, SAMPLES, Spectrum, as_samples, as_timestamp, power, zero

__all__ = ["SAMPLES_ID", "SPECTRUM_ID", "TIMESTAMP_ID", "Counts", "Spectrometer"]

TIMESTAMP_ID: Final = 0x1600
SAMPLES_ID: Final = 0x3300
SPECTRUM_ID: Final = 0x4300
_log: Final = logging.getLogger(__name__)


@dataclass
class Counts:
    """What the spectrometer did so far."""

    heaps: int = 0
    bad_heaps: int = 0
    spectra: int = 0


class Spectrometer:
    """Averages the power spectra of so many heaps of samples, and sends each average.

    Parameters
    ----------
    receiver
        Gives the samples.
    sender
        Takes the spectra.
    average
        How many heaps make a spectrum.

    Raises
    ------
    ValueError
        If that is none.
    """

    def __init__(self, receiver: recv.Stream, sender: send.SyncStream, average: int = 4) -> None:
        if average < 1:
            raise ValueError(f"expected at least one heap for a spectrum, not {average}")
        self.counts = Counts()
        self._receiver = receiver
        self._sender = sender
        self._average = average
        self._sum: Spectrum = zero()
        self._summed = 0
        self._items = spead.ItemGroup()
        self._spectra = send.ItemGroup(descriptor_frequency=16)
        self._spectra.add_item(
            TIMESTAMP_ID, "timestamp", "Number of the last sample of the spectrum", (), format=[("u", 48)]
        )
        self._spectra.add_item(SPECTRUM_ID, "spectrum", "Mean power in each channel", (CHANNELS,), dtype="<f4")

    def run(self, spectra: int | None = None) -> None:
        """Go on until the samples end, or so many spectra are sent; then say that they end.

        Raises
        ------
        TransportError
            If a stream breaks.
        """
        while spectra is None or self.counts.spectra < spectra:
            try:
                heap = self._receiver.get()
            except spead.Stopped:
                break
            if isinstance(heap, recv.Heap):
                self._take(heap)
        self._sender.send_heap(self._spectra.get_end())

    def _take(self, heap: recv.Heap) -> None:
        try:
            updated = self._items.update(heap)
            if "samples" not in updated:
                return
            timestamp = as_timestamp(updated["timestamp"])
            self._sum += power(as_samples(updated["samples"]))
        except (KeyError, ValueError) as error:
            self.counts.bad_heaps += 1
            _log.warning("heap %d is not used: %s", heap.cnt, error)
            return
        self.counts.heaps += 1
        self._summed += 1
        if self._summed == self._average:
            self._send(timestamp + SAMPLES - 1)

    def _send(self, timestamp: int) -> None:
        self._spectra["timestamp"].value = timestamp
        self._spectra["spectrum"].value = self._sum / self._average
        self._sender.send_heap(self._spectra.get_heap())
        self.counts.spectra += 1
        self._sum = zero()
        self._summed = 0
