"""Bit packing, compared with the same done in Python, bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport.protocol.bitpack import PACK_SLACK, integer_type, pack, packed_size, unpack

WIDTHS = [*range(1, 67), 100, 127, 128, 129, 200, 10_007]


def _numbers(values: list[int], width: int, signed: bool) -> npt.NDArray[Any]:
    return np.array(values, integer_type(width, signed))


def _bits(values: list[int], width: int) -> bytes:
    """The values one after the other, as a string of bits, filled up with zeros to whole bytes."""
    text = "".join(format(value % (1 << width), f"0{width}b") for value in values)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[start : start + 8], 2) for start in range(0, len(text), 8))


def _pack(values: npt.NDArray[Any], width: int, first: int = 0, step: int | None = None) -> bytes:
    step = step or width
    data = np.zeros(packed_size(len(values), step) + PACK_SLACK, np.uint8)
    pack(data, values, width, first=first, step=step)
    assert not data[-PACK_SLACK:].any()
    return data[:-PACK_SLACK].tobytes()


def _some_values(width: int, signed: bool, count: int) -> list[int]:
    low, high = (-1 << (width - 1), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    spread = [low, high, low, high // 3, high // 5, high // 7 + low // 2, 0, low + 1 if signed else 1]
    return [min(max(value, low), high) for value in (spread * (count // len(spread) + 1))[:count]]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_any_width(width: int, signed: bool) -> None:
    for count in (0, 1, 2, 3, 7, 8, 9, 17, 64):
        values = _some_values(width, signed, count)
        data = _pack(_numbers(values, width, signed), width)
        assert data == _bits(values, width)
        result = unpack(np.frombuffer(data, np.uint8), count, width, first=0, step=width, signed=signed)
        assert result.dtype == integer_type(width, signed)
        assert result.tolist() == values


@st.composite
def _elements(draw: st.DrawFn) -> tuple[list[tuple[int, bool]], list[list[int]]]:
    """Widths and signs of the fields of an element, and values for each field."""
    fields = draw(st.lists(st.tuples(st.integers(1, 80), st.booleans()), min_size=1, max_size=4))
    count = draw(st.integers(0, 20))
    values = [
        draw(
            st.lists(
                st.integers(-1 << (width - 1), (1 << (width - 1)) - 1)
                if signed
                else st.integers(0, (1 << width) - 1),
                min_size=count,
                max_size=count,
            )
        )
        for width, signed in fields
    ]
    return fields, values


@given(_elements())
def test_fields_of_structures(elements: tuple[list[tuple[int, bool]], list[list[int]]]) -> None:
    fields, values = elements
    step = sum(width for width, _ in fields)
    count = len(values[0])
    data = np.zeros(packed_size(count, step) + PACK_SLACK, np.uint8)
    first = 0
    for (width, signed), column in zip(fields, values, strict=True):
        pack(data, _numbers(column, width, signed), width, first=first, step=step)
        first += width
    text = "".join(
        format(column[row] % (1 << width), f"0{width}b")
        for row in range(count)
        for (width, _), column in zip(fields, values, strict=True)
    )
    packed = data[:-PACK_SLACK]
    assert "".join(format(byte, "08b") for byte in packed.tolist())[: len(text)] == text
    first = 0
    for (width, signed), column in zip(fields, values, strict=True):
        assert unpack(packed, count, width, first=first, step=step, signed=signed).tolist() == column
        first += width


@pytest.mark.parametrize("width", WIDTHS)
def test_upper_bits_are_dropped(width: int) -> None:
    values = [-1, 0, -2, -1]
    numbers = np.array(values, np.int64 if width <= 64 else object)
    assert _pack(numbers, width) == _bits(values, width)


def test_booleans() -> None:
    values = np.array([True, False, True, True, False, False, False, True, True])
    assert _pack(values, 1) == bytes([0b10110001, 0b10000000])


def test_integer_type_is_the_smallest() -> None:
    widths = (1, 8, 9, 16, 17, 32, 33, 64, 65)
    assert [integer_type(width, False).str[1:] for width in widths] == [
        "u1", "u1", "u2", "u2", "u4", "u4", "u8", "u8", "O",
    ]  # fmt: skip
    assert integer_type(12, True) == np.int16


def test_unpacking_does_not_read_beyond_its_bytes() -> None:
    """A view at the very end of a block gives what the same bytes give alone."""
    block = np.frombuffer(bytes(range(200, 232)), np.uint8)
    for width in (3, 12, 31, 57, 63):
        count = 8 * 7 // width
        data = block[-packed_size(count, width) :]
        assert (
            unpack(data, count, width, first=0, step=width, signed=False).tolist()
            == unpack(data.copy(), count, width, first=0, step=width, signed=False).tolist()
        )
