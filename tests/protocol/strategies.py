"""Items of every kind, with values that fit them."""

from __future__ import annotations

from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt
import spead2
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from spead_transport.protocol.flavour import Flavour
from spead_transport.protocol.formats import ElementFormat, Field
from spead_transport.protocol.item import Item

from . import wire

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
DESCRIPTIONS = st.text(st.characters(min_codepoint=0, max_codepoint=126), max_size=20)
#: All flavours that have room for a descriptor.
FLAVOURS = st.builds(wire.flavour, st.sampled_from(wire.ADDRESS_BITS[1:]), st.sampled_from(wire.BUG_COMPAT))
#: Those with room for a heap with values too.
ROOMY_FLAVOURS = FLAVOURS.filter(lambda flavour: flavour.heap_address_bits > 16)


@attrs.frozen(eq=False)
class Definition:
    """What an item is made of, for either package."""

    id: int
    name: str
    description: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any] | None
    order: Literal["C", "F"]
    format: list[tuple[str, int]] | None
    value: Any

    def item(self) -> Item:
        return Item(self.id, self.name, self.description, self.shape, self.dtype, self.order, self.format, self.value)

    def spead2_item(self) -> spead2.Item:
        value = self.value
        if isinstance(value, np.ndarray) and self.format is not None:
            value = _of_python(value)
        return spead2.Item(
            self.id, self.name, self.description, self.shape, self.dtype, self.order, self.format, value=value
        )

    def expect(self, received: object) -> None:
        """Fail if `received` is not the value."""
        if type(self.value) is str:
            assert type(received) is str
        _assert_equal(np.asarray(received), np.asarray(self.value))


def _assert_equal(actual: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    """Compare structures field by field: so numbers that are none (NaN) are equal too."""
    if expected.dtype.names is None:
        np.testing.assert_array_equal(actual, expected)
    else:
        assert actual.dtype.names == expected.dtype.names
        for name in expected.dtype.names:
            _assert_equal(actual[name], expected[name])


def _of_python(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same numbers as Python objects, which spead2 wants where there is no NumPy type for the width."""
    if value.dtype.names is None:
        return value.astype(object)
    return value.astype([(name, object) for name in value.dtype.names])


_SIDES = st.lists(st.integers(0, 4), max_size=3).map(tuple)
_PLAIN_TYPES = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    npst.complex_number_dtypes(endianness="?", sizes=(64, 128)),
    npst.byte_string_dtypes(max_len=5),
    npst.unicode_string_dtypes(endianness="?", max_len=5),
)
#: Structures too; spead2 does not take colons in names of fields.
_TYPES = st.one_of(
    _PLAIN_TYPES,
    npst.array_dtypes(_PLAIN_TYPES, max_size=3, allow_subarrays=True).filter(
        lambda dtype: str(dtype).isascii() and ":" not in str(dtype)
    ),
)


@st.composite
def _field_values(draw: st.DrawFn, field: Field, count: int) -> list[Any]:
    limits = field.limits
    element: st.SearchStrategy[Any]
    if limits is not None:
        element = st.integers(*limits)
    elif field.code == "b":
        element = st.booleans()
    elif field.code == "c":
        element = st.integers(1, 127).map(lambda character: bytes([character]))  # spead2 does not take others
    else:
        element = st.floats(width=32 if field.bits == 32 else 64)
    return draw(st.lists(element, min_size=count, max_size=count))


#: Codes and widths that spead2 knows too.
FIELDS = st.one_of(
    st.tuples(st.sampled_from("ui"), st.one_of(st.integers(1, 70), st.sampled_from([8, 16, 32, 64]))),
    st.tuples(st.just("b"), st.sampled_from([1, 2, 8, 16])),
    st.tuples(st.just("f"), st.sampled_from([32, 64])),
    st.just(("c", 8)),
)


@st.composite
def _formatted(draw: st.DrawFn) -> tuple[tuple[int | None, ...], list[tuple[str, int]], Any]:
    """A shape, a format and a value."""
    codes = draw(st.one_of(FIELDS.map(lambda field: [field]), st.lists(FIELDS, min_size=1, max_size=3)))
    sides = draw(_SIDES)
    if codes == [("c", 8)] and len(sides) == 1:
        length = draw(st.integers(0, 10))
        text = draw(st.text(st.characters(min_codepoint=1, max_codepoint=127), min_size=length, max_size=length))
        return draw(st.sampled_from([(None,), (length,)])), codes, text
    elements = ElementFormat.parse(codes)
    value = np.empty(sides, elements.value_dtype)
    for number, field in enumerate(elements.fields):
        array = np.empty(value.size, field.dtype)
        array[:] = draw(_field_values(field, value.size))
        if value.dtype.names:
            value[f"f{number}"] = array.reshape(sides)
        else:
            value = array.reshape(sides)
    varying = draw(st.sampled_from([None, *range(len(sides))])) if value.size else None
    # What fills up the last byte may look like further elements.
    if varying is not None and elements.bits * value.size % 8 == 0:
        return (*sides[:varying], None, *sides[varying + 1 :]), codes, value
    return sides, codes, value


_ORDERS: st.SearchStrategy[Literal["C", "F"]] = st.sampled_from(["C", "F"])


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """Items of every kind; all flavours have their ids."""
    common = draw(st.integers(7, 127)), draw(NAMES), draw(DESCRIPTIONS)
    if draw(st.booleans()):
        shape, codes, value = draw(_formatted())
        return Definition(*common, shape, None, "C", codes, value if shape else _scalar(value))
    dtype = draw(_TYPES)
    sides = draw(_SIDES)
    value = draw(npst.arrays(dtype, sides))
    return Definition(*common, sides, dtype, draw(_ORDERS), None, value)


def _scalar(value: Any) -> Any:
    """A value without dimensions as a Python object."""
    return value if isinstance(value, str) or value.dtype.names else value.item()


def unique_definitions(max_size: int = 5) -> st.SearchStrategy[list[Definition]]:
    """Definitions that can be in one group."""
    return st.lists(
        definitions(), min_size=1, max_size=max_size, unique_by=(lambda one: one.id, lambda one: one.name)
    )


def spead2_flavour(flavour: Flavour) -> spead2.Flavour:
    return spead2.Flavour(4, 64, flavour.heap_address_bits, flavour.bug_compat)
