"""What was received, as a picture: the power spectrum of each polarisation, averaged over all heaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .digitiser import POLARISATIONS, SAMPLE_RATE, Polarisation, Reading, Samples

__all__ = ["Spectrum", "plot"]

_BLOCK: Final = 4096
_WINDOW: Final = np.hanning(_BLOCK)


class Spectrum:
    """Averages the power spectra of blocks of samples."""

    def __init__(self) -> None:
        self._power: npt.NDArray[np.floating[Any]] = np.zeros(_BLOCK // 2 + 1)

    def add(self, samples: Samples) -> None:
        """Take the blocks of one heap in; what does not fill a block at the end is left out."""
        blocks = samples[: len(samples) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
        self._power += np.mean(np.abs(np.fft.rfft(blocks * _WINDOW)) ** 2, axis=0)

    @property
    def frequencies(self) -> npt.NDArray[np.floating[Any]]:
        """Of the channels, in Hz."""
        return np.fft.rfftfreq(_BLOCK, 1 / SAMPLE_RATE)

    @property
    def decibels(self) -> npt.NDArray[np.floating[Any]]:
        """Power in each channel, relative to the noise: the median of all channels."""
        floor = np.median(self._power)
        if floor == 0:
            return np.zeros_like(self._power)
        decibels: npt.NDArray[np.floating[Any]] = 10 * np.log10(np.maximum(self._power / floor, 1e-3))
        return decibels

    def peaks(self, count: int) -> npt.NDArray[np.floating[Any]]:
        """Frequencies of the `count` strongest local maxima, in Hz, in ascending order."""
        power = self._power
        inner = np.flatnonzero((power[1:-1] > power[:-2]) & (power[1:-1] >= power[2:])) + 1
        strongest = inner[np.argsort(power[inner])[-count:]]
        return np.sort(self.frequencies[strongest])


def plot(readings: Sequence[Reading], title: str, path: Path) -> None:
    """Draw the spectra of all polarisations, one above the other, into a PNG file."""
    figure = Figure(figsize=(10, 6.5), layout="constrained", dpi=110)
    axes = figure.subplots(len(POLARISATIONS), sharex=True, sharey=True)
    for axis, polarisation in zip(axes, POLARISATIONS, strict=True):
        spectrum = Spectrum()
        for reading in readings:
            spectrum.add(reading.samples[polarisation.name])
        _draw(axis, polarisation, spectrum)
    axes[-1].set_xlabel("Frequency (MHz)")
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw(axis: Axes, polarisation: Polarisation, spectrum: Spectrum) -> None:
    bits = np.iinfo(polarisation.dtype).bits
    axis.plot(spectrum.frequencies / 1e6, spectrum.decibels, linewidth=0.8, color="tab:blue")
    for frequency in spectrum.peaks(len(polarisation.tones)):
        level = np.interp(frequency, spectrum.frequencies, spectrum.decibels)
        axis.annotate(
            f"{frequency / 1e6:.0f} MHz",
            (frequency / 1e6, level),
            xytext=(8, -4),
            textcoords="offset points",
            color="tab:red",
        )
    axis.set_xlim(0, SAMPLE_RATE / 2e6)
    axis.margins(y=0.15)
    axis.set_ylabel("Power (dB above noise)")
    axis.set_title(f"{polarisation.name}, {bits} bit", loc="left", fontsize="medium")
    axis.grid(alpha=0.3)
