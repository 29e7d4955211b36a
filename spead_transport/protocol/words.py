"""The words of packet headers: the first one, and item pointers."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from .batch import Bytes, Offsets
from .constants import MAGIC, VERSION

__all__ = ["BIG_ENDIAN", "NATIVE", "WORD", "Words", "header_word", "immediate_word", "item_key", "words_at"]

Words: TypeAlias = npt.NDArray[np.uint64]
#: Size of a word, in bytes.
WORD: Final = 8
BIG_ENDIAN: Final = np.dtype(">u8")
NATIVE: Final = np.dtype(np.uint64)


def header_word(heap_address_bits: int, num_items: int) -> np.uint64:
    """The first word of a packet."""
    address_bytes = heap_address_bits // 8
    word = MAGIC << 56 | VERSION << 48 | (WORD - address_bytes) << 40 | address_bytes << 32 | num_items
    return np.uint64(word)


def immediate_word(item_id: int, heap_address_bits: int) -> np.uint64:
    """The pointer of an immediate item whose value is 0."""
    return np.uint64(1 << 63 | item_id << heap_address_bits)


def item_key(item_id: int, heap_address_bits: int) -> np.uint64:
    """The bits above the value, in the pointer of an immediate item."""
    return np.uint64(1 << 63 - heap_address_bits | item_id)


def words_at(block: Bytes, offsets: Offsets, count: int) -> Words:
    """``(len(offsets), count)`` words in the machine's byte order, starting at `offsets` (bytes) of `block`."""
    if not count:
        return np.zeros((len(offsets), 0), NATIVE)
    if np.any(offsets % WORD):
        index = offsets[:, np.newaxis] + np.arange(count * WORD)
        found = block[index].view(BIG_ENDIAN)
    else:  # an eighth of the work
        words = block[: len(block) // WORD * WORD].view(BIG_ENDIAN)
        found = words[offsets[:, np.newaxis] // WORD + np.arange(count)]
    result: Words = found.astype(NATIVE)
    return result
