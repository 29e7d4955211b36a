"""The arrays of the spectrometer, and what is computed with them."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np

import spead_transport as spead

__all__ = ["CHANNELS", "SAMPLES", "Samples", "Spectrum", "as_samples", "as_spectrum", "as_timestamp", "power", "zero"]

#: In a heap.
SAMPLES: Final = 4096
CHANNELS: Final = SAMPLES // 2 + 1

Samples: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int16]]
Spectrum: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float32]]


def as_timestamp(item: spead.Item) -> int:
    """The value of an item that has a number.

    Raises
    ------
    ValueError
        If it has something else.
    """
    value = item.value
    if not isinstance(value, int | np.integer):
        raise ValueError(f"expected a number in {item.name}, not {value!r}")
    return int(value)


def as_samples(item: spead.Item) -> Samples:
    """The value of an item that has samples.

    Raises
    ------
    ValueError
        If it has something else.
    """
    value = item.value
    if not isinstance(value, np.ndarray) or value.dtype != np.int16 or value.shape != (SAMPLES,):
        raise ValueError(f"expected {SAMPLES} samples in {item.name}, 16 bits each, not {item!r}")
    return value


def as_spectrum(item: spead.Item) -> Spectrum:
    """The value of an item that has a spectrum.

    Raises
    ------
    ValueError
        If it has something else.
    """
    value = item.value
    if not isinstance(value, np.ndarray) or value.dtype != np.float32 or value.shape != (CHANNELS,):
        raise ValueError(f"expected {CHANNELS} channels in {item.name}, not {item!r}")
    return value


def zero() -> Spectrum:
    """A spectrum without power."""
    return np.zeros(CHANNELS, np.float32)


def power(samples: Samples) -> Spectrum:
    """The power in each channel."""
    amplitudes = np.fft.rfft(samples * np.hanning(SAMPLES))
    return (np.square(np.abs(amplitudes)) / SAMPLES).astype(np.float32)
