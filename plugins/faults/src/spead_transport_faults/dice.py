"""Chance that can be repeated: the number for a packet depends on its place in the stream and on nothing else.

There is no state between calls, so that it does not matter how packets are cut into batches, and the arithmetic is
that of 64-bit integers, so that it does not matter on which machine. (The generator is SplitMix64: Steele, Lea and
Flood, "Fast splittable pseudorandom number generators", 2014.)
"""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Dice"]

_WORD: Final = (1 << 64) - 1
_GAMMA: Final = 0x9E3779B97F4A7C15
_MULTIPLIERS: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class Dice:
    """Numbers for the packets of one stream.

    Parameters
    ----------
    seed
        Any whole number.
    stream
        Which stream: the same seed gives each its own numbers.
    """

    def __init__(self, seed: int, stream: str) -> None:
        self._key = _mix(_mix(seed & _WORD) ^ zlib.crc32(stream.encode()))

    def throw(self, purpose: str, first: int, count: int) -> npt.NDArray[np.float64]:
        """A number at least 0 and below 1 for each of `count` packets, of which the first has the index `first`."""
        key = _mix(self._key ^ zlib.crc32(purpose.encode()))
        index = np.arange(first, first + count, dtype=np.uint64)
        z = index * np.uint64(_GAMMA) + np.uint64(key)
        for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(multiplier)
        z ^= z >> np.uint64(31)
        # The upper 53 bits are exact in a float.
        return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(z: int) -> int:
    z = z + _GAMMA & _WORD
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        z = (z ^ z >> shift) * multiplier & _WORD
    return z ^ z >> 31
