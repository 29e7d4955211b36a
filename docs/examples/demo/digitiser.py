"""The signal that sender and receiver agree on: a digitiser that samples two polarisations.

It is computed from the number of the heap alone, so that a receiver can check every bit of what arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

__all__ = [
    "DESCRIPTOR_FREQUENCY",
    "DIGITISER_ID",
    "HEAP_ADDRESS_BITS",
    "HORIZONTAL",
    "POLARISATIONS",
    "SAMPLES",
    "SAMPLE_RATE",
    "VERTICAL",
    "Polarisation",
    "Reading",
    "Samples",
    "describe",
    "reading",
]

#: Samples of any width, one-dimensional.
Samples: TypeAlias = npt.NDArray[np.signedinteger[Any]]

SAMPLE_RATE: Final = 1712e6  #: Hz
SAMPLES: Final = 1 << 18  #: per heap and polarisation
HEAP_ADDRESS_BITS: Final = 48
DIGITISER_ID: Final = 0xD161
DESCRIPTOR_FREQUENCY: Final = 4  #: every so many heaps carry descriptors
_TIMESTAMP_ITEM: Final = 0x1600
_DIGITISER_ID_ITEM: Final = 0x3101


@attrs.frozen
class Polarisation:
    """One of the digitiser's inputs.

    Parameters
    ----------
    item_id, name
        The item that carries its samples.
    dtype
        Type of the samples.
    noise
        Standard deviation of the noise, in units of the last bit.
    tones
        Frequency in Hz and amplitude, in units of the last bit, of each tone in the noise.
    """

    item_id: int
    name: str
    dtype: type[np.signedinteger[Any]]
    noise: float
    tones: tuple[tuple[float, float], ...]

    def samples(self, heap: int) -> Samples:
        """The samples of one heap: noise that is new in each heap, and tones that go on from heap to heap."""
        signal = np.random.default_rng([self.item_id, heap]).normal(0.0, self.noise, SAMPLES)
        time = (heap * SAMPLES + np.arange(SAMPLES)) / SAMPLE_RATE
        for frequency, amplitude in self.tones:
            signal += amplitude * np.sin(2 * np.pi * frequency * time)
        limits = np.iinfo(self.dtype)
        return np.clip(np.rint(signal), limits.min, limits.max).astype(self.dtype)


HORIZONTAL: Final = Polarisation(0x3300, "samples_h", np.int8, 12.0, ((237.5e6, 6.0), (611.0e6, 2.5)))
VERTICAL: Final = Polarisation(0x3301, "samples_v", np.int16, 900.0, ((237.5e6, 150.0), (611.0e6, 500.0)))
POLARISATIONS: Final = (HORIZONTAL, VERTICAL)


@attrs.frozen(eq=False)
class Reading:
    """What one heap carries: the number of its first sample since the start, and the samples by item name."""

    timestamp: int
    samples: dict[str, Samples]

    @property
    def values(self) -> dict[str, object]:
        """The values of all items, by item name."""
        return {"timestamp": self.timestamp, "digitiser_id": DIGITISER_ID, **self.samples}

    @property
    def nbytes(self) -> int:
        """Size of the samples, in bytes."""
        return sum(samples.nbytes for samples in self.samples.values())


def reading(heap: int) -> Reading:
    """The content of heap number `heap`, counted from 0."""
    return Reading(heap * SAMPLES, {polarisation.name: polarisation.samples(heap) for polarisation in POLARISATIONS})


class ItemGroup(Protocol):
    """What :func:`describe` needs of an item group; those of spead2 and of spead_transport have it."""

    def add_item(
        self,
        id: int | None,
        name: str,
        description: str,
        shape: Sequence[int | None],
        *,
        dtype: npt.DTypeLike | None = None,
        format: list[tuple[str, int]] | None = None,
    ) -> object: ...


def describe(group: ItemGroup) -> None:
    """Add the items of a heap. The first two fit in the item pointer, and so take no room in the payload."""
    number = [("u", HEAP_ADDRESS_BITS)]
    group.add_item(_TIMESTAMP_ITEM, "timestamp", "Number of the first sample", (), format=number)
    group.add_item(_DIGITISER_ID_ITEM, "digitiser_id", "Which digitiser this is", (), format=number)
    for polarisation in POLARISATIONS:
        description = f"Samples at {SAMPLE_RATE / 1e6:g} MHz"
        group.add_item(polarisation.item_id, polarisation.name, description, (SAMPLES,), dtype=polarisation.dtype)
