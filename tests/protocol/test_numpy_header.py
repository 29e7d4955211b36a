"""The text of a NumPy header: read as a literal, and only types of plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from spead_transport.protocol.numpy_header import NumpyHeader

_GOOD: dict[str, Any] = {"descr": "<i4", "fortran_order": False, "shape": (2, 3)}


def _text(**changes: Any) -> bytes:
    return repr(_GOOD | changes).encode("ascii")


@pytest.mark.parametrize(
    "dtype",
    [
        "<i4", ">u8", "|u1", "?", "<f2", ">c16", "|S7", "<U3", "|V5", "<M8[us]", ">m8[25s]", "<M8",
        [("a", "|u1"), ("b", "<f4")],
        [("a", [("b", ">i2")]), ("c", "<f8", (2, 3))],
        {"names": ["a", "b"], "formats": ["u1", "f4"], "offsets": [0, 4]},
        {"names": ["a"], "formats": ["u1"], "titles": ["title"]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", ["C", "F"])
def test_round_trip(dtype: Any, order: Any) -> None:
    header = NumpyHeader(np.dtype(dtype), order, (3, 0, 2))
    again = NumpyHeader.decode(header.encode())
    assert again == header
    assert again.dtype.fields == header.dtype.fields


@given(npst.nested_dtypes(max_itemsize=100), npst.array_shapes(min_dims=0, min_side=0))
def test_any_plain_type_round_trips(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if dtype.subdtype is None and str(dtype).isascii():
        header = NumpyHeader(dtype, "C", shape)
        assert NumpyHeader.decode(header.encode()).shape == shape


def test_text_is_that_of_a_numpy_file() -> None:
    header = NumpyHeader(np.dtype("<i4"), "F", (2, 3))
    assert header.encode() == b"{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3)}"


def test_white_space_around_it_is_ignored() -> None:
    assert NumpyHeader.decode(b" " + _text() + b"   \n") == NumpyHeader(np.dtype("<i4"), "C", (2, 3))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"{'descr': '<i4', 'fortran_order': False}",
        b"{'descr': '<i4', 'fortran_order': False, 'shape': (), 'more': 1}",
        b"{1: '<i4', 'fortran_order': False, 'shape': ()}",
        b"__import__('os').getpid()",
        b"{'descr': str.__mro__, 'fortran_order': False, 'shape': ()}",
        b"{'descr': ''.join(['<', 'i4']), 'fortran_order': False, 'shape': ()}",
        b"{[]: 1}",
        b"{'descr': '<i4', 'fortran_order': False, 'shape': (2,)",
        b"1e999999999",
        b"'" + b"\\x00" * 10 + b"'",
        b"\0",
    ],
)
def test_not_a_header(text: bytes) -> None:
    with pytest.raises(ValueError, match="NumPy header"):
        NumpyHeader.decode(text)


@pytest.mark.parametrize(
    "opening", [b"(", b"[", b"{", b"-", b"{1:", b"[(", b"not ", b"+~-", b"'a' 'b' ", b"1+", b"f'", b"*"]
)
def test_deep_nesting_is_an_error_and_no_crash(opening: bytes) -> None:
    for length in (100, 1000, 1 << 16):
        with pytest.raises(ValueError, match="NumPy header"):
            NumpyHeader.decode((opening * length)[: 1 << 16])


def test_very_long_header() -> None:
    with pytest.raises(ValueError, match="too long"):
        NumpyHeader.decode(b" " * (1 << 16) + _text())


@pytest.mark.parametrize(
    "descr",
    [
        "O", "|O", "O8", "object", "<i4,<i4", "i4, O", "(2,)i4", "p", "P", "g", "i", "f3", "T", "StringDType",
        "float64", "V", "", " <i4", "<i4 ", "i99", "M8[parsec]",
        5, None, (), [], ["<i4"], [("a",)], [("a", "O")], [("a", "<i4", 5)], [("a", "<i4", (-1,))],
        [("a", "<i4", (True,))], [("a", "<i4"), ("a", "<i4")], [(1, "<i4")], [("a", "<i4", (2,), 3)],
        [("a", [("b", "O")])], ("<i4", (2,)), {"names": ["a"], "formats": ["O"]},
        [("a", "|V8", (1 << 62, 1 << 62))],
    ],
)  # fmt: skip
def test_types_that_are_not_plain_data(descr: Any) -> None:
    with pytest.raises(ValueError, match=r"NumPy (header|does not accept)"):
        NumpyHeader.decode(_text(descr=descr))


@pytest.mark.parametrize("shape", [5, [2], None, (1.5,), (-1,), (True,), (1 << 63,), ("a",), ((),)])
def test_shapes_that_are_none(shape: Any) -> None:
    with pytest.raises(ValueError, match="shape in a NumPy header"):
        NumpyHeader.decode(_text(shape=shape))


@pytest.mark.parametrize("fortran_order", [0, 1, None, "False"])
def test_order_must_be_a_boolean(fortran_order: Any) -> None:
    with pytest.raises(ValueError, match="fortran_order"):
        NumpyHeader.decode(_text(fortran_order=fortran_order))


def test_nested_too_deep() -> None:
    descr: Any = "<i4"
    for _ in range(20):
        descr = [("a", descr)]
    with pytest.raises(ValueError, match="NumPy header"):
        NumpyHeader.decode(_text(descr=descr))


@given(st.binary(max_size=200))
def test_any_bytes(text: bytes) -> None:
    with pytest.raises(ValueError, match="NumPy"):
        NumpyHeader.decode(text)
