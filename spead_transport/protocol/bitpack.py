"""Numbers of any width, packed without gaps, most significant bit first (specification section 5): in vectors.

Elements repeat their position within a byte after at most eight of them. So the packed bytes are a table: each row
holds that many elements, and a column of elements is a strided view of words, which two shifts line up.
"""

from __future__ import annotations

from math import gcd
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from .batch import Bytes

__all__ = ["PACK_SLACK", "integer_type", "pack", "packed_size", "unpack"]

#: Integers, booleans, or objects that are Python integers.
_Numbers: TypeAlias = npt.NDArray[Any]

#: How many bytes behind the last element :func:`pack` needs.
PACK_SLACK: Final = 8
#: A word of 64 bits holds so many bits from any position within its first byte.
_WORD: Final = 57
#: The widest integer that NumPy has.
_WIDEST: Final = 64
_HALF: Final = 32


def packed_size(count: int, step: int) -> int:
    """Bytes that `count` elements of `step` bits take; the last byte is filled up with zeros."""
    return (count * step + 7) // 8


def unpack(data: Bytes, count: int, width: int, *, first: int, step: int, signed: bool) -> _Numbers:
    """Take fields of `width` bits out of packed elements.

    Parameters
    ----------
    data
        At least ``packed_size(count, step)`` bytes.
    count
        Number of elements.
    width
        Of the field, in bits.
    first
        Where the field starts within its element, in bits.
    step
        Size of an element, in bits.
    signed
        Whether the field is in two's complement.

    Returns
    -------
    ndarray
        `count` numbers of the smallest integer type that holds `width` bits, in the machine's byte order; Python
        integers if there is none.
    """
    if width == step == 1 and not signed:
        return np.unpackbits(data, count=count)
    if width > _WIDEST:
        return _unpack_wide(data, count, width, first, step, signed)
    out = np.empty(count, integer_type(width, signed))
    if _fits_word(width, first, step):
        _unpack_words(data, out, width, first, step, signed)
    else:
        out[...] = unpack(data, count, width - _HALF, first=first, step=step, signed=signed)
        out <<= _HALF
        low = unpack(data, count, _HALF, first=first + width - _HALF, step=step, signed=False)
        out |= low.astype(out.dtype)
    return out


def pack(data: Bytes, numbers: _Numbers, width: int, *, first: int, step: int) -> None:
    """Put fields of `width` bits into packed elements; the reverse of :func:`unpack`.

    Parameters
    ----------
    data
        At least ``packed_size(len(numbers), step) + PACK_SLACK`` bytes, with zeros where the fields go.
    numbers
        The values. Bits beyond `width` are dropped.
    width, first, step
        As for :func:`unpack`.
    """
    if width == step == 1 and numbers.dtype == np.bool_:
        bits = np.packbits(numbers)
        data[: len(bits)] = bits
    elif width > _WIDEST:
        _pack_wide(data, numbers, width, first, step)
    elif numbers.dtype == object:
        pack(data, (numbers & (1 << width) - 1).astype(np.uint64), width, first=first, step=step)
    elif _fits_word(width, first, step):
        _pack_words(data, numbers, width, first, step)
    else:
        pack(data, numbers >> _HALF, width - _HALF, first=first, step=step)
        pack(data, numbers, _HALF, first=first + width - _HALF, step=step)


def integer_type(width: int, signed: bool) -> np.dtype[Any]:
    """The smallest integer type that holds `width` bits, in the machine's byte order; ``object`` if there is none."""
    if width > _WIDEST:
        return np.dtype(object)
    return np.dtype(f"{'i' if signed else 'u'}{_word_size(width)}")


def _word_size(width: int) -> int:
    """Size of the smallest word of `width` bits, in bytes."""
    return next(size for size in (1, 2, 4, 8) if width <= 8 * size)


def _fits_word(width: int, first: int, step: int) -> bool:
    """Whether a word of 64 bits holds the field wherever it starts in its first byte."""
    return width <= _WORD or (first % 8 == 0 and step % 8 == 0)


def _columns(step: int) -> int:
    """After how many elements the position within a byte repeats."""
    return 8 // gcd(step, 8)


def _unpack_words(data: Bytes, out: _Numbers, width: int, first: int, step: int, signed: bool) -> None:
    columns = _columns(step)
    row = columns * step // 8
    reach = packed_size(len(out), step) + PACK_SLACK
    if len(data) < reach:
        data = np.concatenate((data, np.zeros(reach - len(data), np.uint8)))
    for column in range(min(columns, len(out))):
        part = out[column::columns]
        byte, shift = divmod(first + column * step, 8)
        size = _word_size(shift + width)
        words: _Numbers = np.ndarray((len(part),), f">u{size}", data, byte, (row,))
        words = words << shift if shift else words.astype(f"u{size}")
        if signed:
            words = words.view(f"i{size}")
        part[...] = words >> (8 * size - width)


def _pack_words(data: Bytes, numbers: _Numbers, width: int, first: int, step: int) -> None:
    columns = _columns(step)
    row = columns * step // 8
    while row < _word_size(min(width + 7, _WIDEST)):  # words of one column must not overlap
        columns *= 2
        row *= 2
    for column in range(min(columns, len(numbers))):
        part = numbers[column::columns]
        byte, shift = divmod(first + column * step, 8)
        size = _word_size(shift + width)
        words: _Numbers = np.ndarray((len(part),), f">u{size}", data, byte, (row,))
        words |= part.astype(f"u{size}") << (8 * size - width) >> shift


def _unpack_wide(data: Bytes, count: int, width: int, first: int, step: int, signed: bool) -> _Numbers:
    """Fields that are wider than NumPy's integers, one by one."""
    packed = data.tobytes()
    out = np.empty(count, object)
    for index in range(count):
        start, end, unused = _place(first + index * step, width)
        number = int.from_bytes(packed[start:end], "big") >> unused & (1 << width) - 1
        out[index] = number - (number >> (width - 1) << width) if signed else number
    return out


def _pack_wide(data: Bytes, numbers: _Numbers, width: int, first: int, step: int) -> None:
    for index, number in enumerate(numbers.tolist()):
        start, end, unused = _place(first + index * step, width)
        field = (number & (1 << width) - 1) << unused
        data[start:end] |= np.frombuffer(field.to_bytes(end - start, "big"), np.uint8)


def _place(bit: int, width: int) -> tuple[int, int, int]:
    """The bytes in which a field lies that starts at `bit`, and how many bits of the last one follow it."""
    end = (bit + width + 7) // 8
    return bit // 8, end, 8 * end - bit - width
