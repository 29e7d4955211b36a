"""Values as users give them: turned into what is sent, or refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from spead_transport.protocol.casting import convert

_BIG = 1 << 70

#: Value, type wanted, and the array expected.
FITS: list[tuple[Any, str, Any]] = [
    ([1, 2], "u1", [1, 2]),
    ([1.0, 2.0], "u1", [1, 2]),
    ([True, False], "i4", [1, 0]),
    ([0, 255], "u1", [0, 255]),
    ([-128, 127], "i1", [-128, 127]),
    (np.array([1, 2], ">u4"), "<u2", [1, 2]),
    (np.array([1, 2], object), "u2", [1, 2]),
    (np.array([1.5, 2], object), "f4", [1.5, 2]),
    ([(1 << 64) - 1], "u8", [(1 << 64) - 1]),
    (-1 << 63, "i8", -1 << 63),
    ([0.1], "f4", [np.float32(0.1)]),  # rounding is what floating-point types are for
    ([1 << 60], "f4", [float(1 << 60)]),
    ([_BIG], "f8", [float(_BIG)]),
    ([math.inf, -math.inf], "f2", [math.inf, -math.inf]),
    ([1, 0, 1.0], "?", [True, False, True]),
    ([1, 2.5, 3j], "c8", [1, 2.5, 3j]),
    ("abc", "S3", b"abc"),
    (b"abc", "S5", b"abc"),
    (b"abc", "U3", "abc"),
    ([], "u1", []),
    ([], "S1", []),
    (np.zeros((0, 3)), "u1", np.zeros((0, 3), "u1")),
    ([_BIG, -_BIG, 3], "O", [_BIG, -_BIG, 3]),
    ([(1 << 63) + 1, -1], "O", [(1 << 63) + 1, -1]),
    ([(1 << 63) + 1, 2.0], "u8", [(1 << 63) + 1, 2]),
    ([(1 << 53) + 1, 2.0], "i8", [(1 << 53) + 1, 2]),
    ([3.0], "O", [3]),
    (np.array([1, 2], "M8[s]"), "M8[us]", np.array([1_000_000, 2_000_000], "M8[us]")),
    (np.array([60], "m8[s]"), "m8[m]", np.array([1], "m8[m]")),
]

DOES_NOT_FIT: list[tuple[Any, str, str]] = [
    ([256], "u1", "256 is out of range: from 0 to 255"),
    ([3, -1], "u8", "-1 is out of range"),
    ([128], "i1", "128 is out of range: from -128 to 127"),
    ([1 << 64], "u8", "is out of range"),
    ([1 << 63, -1], "u8", "-1 is out of range"),
    ([1 << 63, -1], "i8", "9223372036854775808 is out of range"),
    (np.array([2.0**63]), "i8", "is out of range"),
    ([2.0**64], "u8", "is out of range"),
    ([300.2], "u1", "300.2 is not an integer"),
    ([2.5], "O", "2.5 is not an integer"),
    ([math.nan], "u1", "nan is not an integer"),
    ([math.inf], "u1", "inf is not an integer"),
    (np.array([math.inf]), "u1", "inf is out of range"),
    ([1.0, None], "u1", "None is not a number"),
    (np.array([1.5], object), "u1", "1.5 is not an integer"),
    ([1e300], "f4", "1e\\+300 is out of range"),
    ([70000], "f2", "70000 is out of range"),
    ([1 << 2000], "f8", "cannot be sent"),
    ([1j], "f4", "cannot be sent"),
    ([1j], "u1", "cannot be sent"),
    ([2], "?", "2 is changed"),
    (["abcd"], "S3", "'abcd' is changed"),
    (["\xe9"], "S3", "ascii"),
    ([5], "S3", "cannot be sent"),
    (["5"], "u1", "cannot be sent"),
    ([None], "u1", "cannot be sent"),
    ([object()], "f4", "cannot be sent"),
    ([[1], [2, 3]], "u1", "inhomogeneous"),
    (np.array([61], "m8[s]"), "m8[m]", "is changed"),
    (np.array([1], "M8[s]"), "m8[s]", "cannot be sent"),
    (np.array([1], "M8[s]"), "i8", "cannot be sent"),
    (np.zeros(1, "V4"), "V5", "cannot be sent"),
]


@pytest.mark.parametrize(("value", "dtype", "expected"), FITS)
def test_fits(value: Any, dtype: str, expected: Any) -> None:
    array = convert(value, np.dtype(dtype), "checked")
    assert array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(array, np.asarray(expected, array.dtype))


@pytest.mark.parametrize(("value", "dtype", "message"), DOES_NOT_FIT)
def test_does_not_fit(value: Any, dtype: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(value, np.dtype(dtype), "checked")


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([256 + 44], "u1", [44]),
        (np.array([300.2]), "u1", [44]),
        ([-1], "u2", [65535]),
        ([_BIG + 5], "u1", [5]),
        ([1 + 2j], "f4", [1]),
        (["abcd"], "S3", [b"abc"]),
        ([1e300], "f4", [math.inf]),
        ([7], "?", [True]),
        ([2.7], "O", [2]),
    ],
)
def test_unsafe_casting_cuts(value: Any, dtype: str, expected: Any) -> None:
    array = convert(value, np.dtype(dtype), "unsafe")
    assert array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(array, np.asarray(expected, array.dtype))


def test_unsafe_casting_still_refuses_what_has_no_value() -> None:
    for value in ([None], [[1], [2, 3]], [math.nan]):
        with pytest.raises(ValueError, match=r"cannot be sent|inhomogeneous|integer"):
            convert(value, np.dtype("O"), "unsafe")


def test_limits_narrower_than_the_type() -> None:
    limits = ((0, 4095),)
    values = np.array([0, 4095], np.uint16)
    assert convert(values, np.dtype(np.uint16), "checked", limits) is not None
    with pytest.raises(ValueError, match="4096 is out of range: from 0 to 4095"):
        convert(values + np.uint16(1), np.dtype(np.uint16), "checked", limits)
    with pytest.raises(ValueError, match="out of range"):
        convert([1 << 100], np.dtype(object), "checked", ((0, (1 << 100) - 1),))


def test_the_right_type_is_not_copied() -> None:
    for array in (np.zeros(3, ">u2"), np.zeros(3, "S3"), np.zeros(3, [("a", "u1"), ("b", "f4")])):
        assert convert(array, array.dtype, "checked") is array


_PAIR = np.dtype([("f0", "u1"), ("f1", "f4")])


def test_structures() -> None:
    expected = np.array([(1, 2.5), (3, 4)], _PAIR)
    for value in (
        [(1, 2.5), (3, 4)],
        expected,
        list(expected),
        np.array([(1, 2.5), (3, 4)], [("x", "i8"), ("y", "f8")]),
        np.array([(1, 2.5), (3, 4)], [("x", "O"), ("y", "O")]),
    ):
        np.testing.assert_array_equal(convert(value, _PAIR, "checked"), expected)
    assert convert((1, 2.5), _PAIR, "checked").shape == ()


def test_structures_in_structures() -> None:
    dtype = np.dtype([("a", [("b", "u1"), ("c", "i2", (2,))]), ("d", "S2")])
    value = [((1, [2, -3]), "xy"), ((4, [5, 6]), b"z")]
    array = convert(value, dtype, "checked")
    assert array["a"]["b"].tolist() == [1, 4]
    assert array["a"]["c"].tolist() == [[2, -3], [5, 6]]
    assert array["d"].tolist() == [b"xy", b"z"]
    with pytest.raises(ValueError, match="70000 is out of range"):
        convert([((1, [2, 70000]), "xy")], dtype, "checked")


def test_structures_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="256 is out of range"):
        convert([(256, 0)], _PAIR, "checked")
    with pytest.raises(ValueError, match="expected a structure of 2 fields"):
        convert(np.zeros(2, [("a", "u1")]), _PAIR, "checked")
    with pytest.raises(ValueError, match="expected a structure of 2 fields"):
        convert(np.zeros(2), _PAIR, "checked")
    with pytest.raises(ValueError, match="length 3"):
        convert([(1, 2, 3)], _PAIR, "checked")
    assert convert([(257, 1.5)], _PAIR, "unsafe").tolist() == [(1, 1.5)]
