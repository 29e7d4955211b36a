"""Values of items: to bytes, and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from spead_transport.protocol.item import Item
from spead_transport.protocol.received import RawItem

from ..wire import addressed, immediate
from . import strategies, wire
from .strategies import Definition


def _item(shape: Any, value: Any = None, **arguments: Any) -> Item:
    return Item(0x1000, "name", "text", shape, value=value, **arguments)


def _raw(data: bytes) -> RawItem:
    (raw,) = wire.heap([addressed(0x1000, 0)], data).get_items()
    return raw


def _decode(shape: Any, data: bytes, new_order: Any = "=", **arguments: Any) -> Any:
    item = _item(shape, **arguments)
    item.set_from_raw(_raw(data), new_order)
    return item.value


def _decode_immediate(shape: Any, value: int, bits: int = 40, **arguments: Any) -> Any:
    (raw,) = wire.heap([immediate(0x70, value, bits)], bits=bits).get_items()
    item = _item(shape, **arguments)
    item.set_from_raw(raw)
    return item.value


@given(strategies.definitions())
def test_any_value_round_trips(definition: Definition) -> None:
    item = definition.item()
    data = item.to_buffer()
    assert data.dtype == np.uint8
    assert data.ndim == 1
    item.set_from_raw(_raw(data.tobytes()))
    definition.expect(item.value)


#: Shape, format, value, and the bytes: worked out by hand from the specification.
GOLDEN: list[tuple[Any, list[tuple[str, int]], Any, str]] = [
    ((), [("u", 8)], 5, "05"),
    ((), [("i", 16)], -2, "fffe"),
    ((), [("u", 12)], 0x123, "1230"),
    ((), [("i", 12)], -5, "ffb0"),
    ((), [("u", 40)], 1 << 39, "8000000000"),
    ((), [("0", 40)], 7, "0000000007"),
    ((), [("f", 32)], 1.5, "3fc00000"),
    ((), [("b", 1)], True, "80"),
    ((), [("b", 3)], True, "20"),
    ((), [("c", 8)], b"x", "78"),
    ((3,), [("u", 12)], [1, 2, 3], "0010020030"),
    ((8,), [("b", 1)], [1, 0, 1, 0, 0, 0, 0, 1], "a1"),
    ((2, 2), [("i", 10)], [[1, 2], [-1, 3]], "0040" "2ffc03"),
    ((2,), [("u", 12), ("i", 4)], [(1, -2), (3, -4)], "001e003c"),
    ((2,), [("b", 1), ("u", 3), ("c", 8)], [(True, 5, b"a"), (False, 2, b"b")], "d61262"),
    ((2,), [("u", 4), ("f", 32)], [(1, 1.5), (2, -1.5)], "13fc00000" "2bfc00000"),
    ((None,), [("u", 4)], [1, 2, 3, 4], "1234"),
    ((None,), [("c", 8)], "hello", "68656c6c6f"),
    ((5,), [("c", 8)], "hello", "68656c6c6f"),
    ((7,), [("c", 8)], "hello", "68656c6c6f0000"),
    ((2, 2), [("c", 8)], [["a", "b"], ["c", "d"]], "61626364"),
    ((1,), [("u", 72)], [1 << 71], "800000000000000000"),
    ((2,), [("i", 70)], [-1, 1], 17 * "f" + "c" + 16 * "0" + "10"),
    ((0,), [("u", 12)], [], ""),
    ((None,), [("c", 8)], "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "codes", "value", "data"), GOLDEN)
def test_golden(shape: Any, codes: list[tuple[str, int]], value: Any, data: str) -> None:
    item = _item(shape, value, format=codes)
    assert item.to_buffer().tobytes().hex() == data
    received = _decode(shape, bytes.fromhex(data), format=codes) if data else _decode_nothing(shape, codes)
    if isinstance(value, str):
        assert received == value
    else:
        expected = np.array(value, getattr(received, "dtype", None))
        np.testing.assert_array_equal(received, expected)


def _decode_nothing(shape: Any, codes: list[tuple[str, int]]) -> Any:
    """The value of an item without bytes, of which a heap has one if another item starts at its address."""
    empty, _ = wire.heap([addressed(0x1000, 0), addressed(0x1001, 0)], b"x").get_items()
    item = _item(shape, format=codes)
    item.set_from_raw(empty)
    return item.value


@pytest.mark.parametrize(
    ("shape", "arguments", "value", "expected_type"),
    [
        ((), {"format": [("u", 8)]}, 5, np.uint8),
        ((), {"format": [("u", 16)]}, 5, np.uint16),
        ((), {"format": [("f", 64)]}, 5, np.float64),
        ((), {"format": [("u", 12)]}, 5, int),
        ((), {"format": [("u", 48)]}, 5, int),
        ((), {"format": [("i", 100)]}, -5, int),
        ((), {"format": [("b", 1)]}, True, bool),
        ((), {"format": [("b", 8)]}, True, np.bool_),
        ((), {"format": [("c", 8)]}, b"x", np.bytes_),
        ((), {"format": [("u", 4), ("i", 4)]}, (1, -1), np.void),
        ((), {"dtype": ">u2"}, 5, np.uint16),
        ((), {"dtype": "S3"}, b"abc", np.bytes_),
        ((), {"dtype": "U3"}, "abc", np.str_),
        ((), {"dtype": "c8"}, 1 + 2j, np.complex64),
        ((), {"dtype": "M8[s]"}, np.datetime64("2020-01-01"), np.datetime64),
        ((), {"dtype": [("a", "u1"), ("b", "f4")]}, (1, 2.5), np.void),
        ((1,), {"format": [("c", 8)]}, "x", str),
        ((1,), {"dtype": "S1"}, [b"x"], np.ndarray),
        ((1,), {"format": [("u", 12)]}, [5], np.ndarray),
    ],
)
def test_types_of_received_values(shape: Any, arguments: Any, value: Any, expected_type: type) -> None:
    received = _decode(shape, _item(shape, value, **arguments).to_buffer().tobytes(), **arguments)
    assert type(received) is expected_type
    assert np.array_equal(np.asarray(received), np.asarray(value, getattr(received, "dtype", None)))


@pytest.mark.parametrize(
    ("codes", "dtype"),
    [
        ([("u", 8)], "u1"), ([("u", 1)], "u1"), ([("u", 12)], "u2"), ([("i", 10)], "i2"), ([("u", 33)], "u8"),
        ([("b", 1)], "?"), ([("u", 65)], "O"), ([("u", 12), ("i", 4)], [("f0", "u2"), ("f1", "i1")]),
        ([("u", 8), ("f", 32)], [("f0", "u1"), ("f1", "f4")]),
    ],
)  # fmt: skip
def test_types_of_received_arrays(codes: Any, dtype: Any) -> None:
    assert _decode((1,), bytes(20), format=codes).dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("shape", "value", "arguments", "message"),
    [
        ((3,), [1, 2], {"dtype": "u1"}, r"Value has shape \(2,\), expected \(3,\)"),
        ((2,), 5, {"dtype": "u1"}, "Value has shape"),
        ((), [5], {"dtype": "u1"}, "Value has shape"),
        ((2, None), [[1], [2], [3]], {"format": [("u", 3)]}, "Value has shape"),
        ((4,), "hello", {"format": [("c", 8)]}, "Value has shape"),
        ((4,), [b"h", b"i"], {"format": [("c", 8)]}, "Value has shape"),
        ((), 256, {"dtype": "u1"}, "256 is out of range"),
        ((), -1, {"format": [("u", 8)]}, "-1 is out of range"),
        ((), 4096, {"format": [("u", 12)]}, "4096 is out of range"),
        ((), -2049, {"format": [("i", 12)]}, "-2049 is out of range"),
        ((1,), [4096], {"format": [("u", 12)]}, "4096 is out of range"),
        ((1,), [1 << 80], {"format": [("u", 80)]}, "out of range"),
        ((1,), [1 << 80], {"format": [("u", 12)]}, "out of range"),
        ((1,), [(4096, 0)], {"format": [("u", 12), ("u", 4)]}, "4096 is out of range"),
        ((1,), [2.5], {"format": [("u", 12)]}, "2.5 is not an integer"),
        ((), math.nan, {"format": [("u", 12)]}, "not an integer"),
        ((), 300.2, {"dtype": "u1"}, "300.2 is not an integer"),
        ((None,), "h\xe9llo", {"format": [("c", 8)]}, "ascii"),
        ((None,), [b"ab"], {"format": [("c", 8)]}, "is changed"),
        ((), "x", {"dtype": "u1"}, "cannot be sent"),
        ((), None, {"dtype": "u1"}, "Cannot send a value of None"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(shape: Any, value: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        _item(shape, value, **arguments).to_buffer()
    assert "'name'" in str(caught.value)


def test_unsafe_casting() -> None:
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        ((), 256 + 5, {"dtype": "u1"}, "05"),
        ((), 300.2, {"dtype": "u1"}, "2c"),
        ((), 0x12345, {"format": [("u", 12)]}, "3450"),
        ((2,), [0x12345, 2.9], {"format": [("u", 12)]}, "345002"),
        ((1,), [(1 << 90) + 3], {"format": [("u", 72)]}, "000000000000000003"),
        ((3,), "hello", {"format": [("c", 8)]}, "68656c"),
    ]
    for shape, value, arguments, data in cases:
        assert _item(shape, value, casting="unsafe", **arguments).to_buffer().tobytes().hex() == data


def test_casting_must_be_a_word() -> None:
    with pytest.raises(ValueError, match="casting"):
        _item((), dtype="u1", casting="same_kind")
    item = _item((), 256, dtype="u1")
    item.casting = "unsafe"
    assert item.to_buffer().tobytes() == b"\0"
    with pytest.raises(ValueError, match="casting"):
        item.casting = "safe"  # type: ignore[assignment]


# ------------------------------------------------------------------------------------- memory of what is sent


@pytest.mark.parametrize(
    ("shape", "arguments", "array"),
    [
        ((2, 3), {"dtype": "f4"}, np.zeros((2, 3), "f4")),
        ((2, 3), {"dtype": "f4", "order": "F"}, np.zeros((2, 3), "f4", "F")),
        ((3,), {"dtype": ">u2"}, np.zeros(3, ">u2")),
        ((None,), {"format": [("u", 16)]}, np.zeros(3, ">u2")),
        ((), {"dtype": "u4"}, np.zeros((), "u4")),
        ((2,), {"dtype": "M8[s]"}, np.zeros(2, "M8[s]")),
        ((2,), {"dtype": [("a", "u1"), ("b", "f4")]}, np.zeros(2, [("a", "u1"), ("b", "f4")])),
        ((2,), {"format": [("u", 8), ("f", 32)]}, np.zeros(2, [("f0", "u1"), ("f1", ">f4")])),
        ((), {"format": [("u", 24)]}, np.zeros((), ">u8")),
        ((), {"format": [("u", 48)]}, np.zeros((), ">u8")),
        ((), {"format": [("u", 56)]}, np.zeros((), ">u8")),
    ],
)
def test_arrays_are_referenced(shape: Any, arguments: Any, array: Any) -> None:
    assert np.shares_memory(_item(shape, array, **arguments).to_buffer(), array)


@pytest.mark.parametrize(
    ("shape", "arguments", "array"),
    [
        ((3,), {"dtype": "u2"}, np.arange(6, dtype="u2")[::2]),
        ((2, 3), {"dtype": "u2"}, np.arange(6, dtype="u2").reshape((3, 2)).T),
        ((2, 3), {"dtype": "u2", "order": "F"}, np.arange(6, dtype="u2").reshape((2, 3))),
        ((3,), {"dtype": "u2"}, np.arange(3, dtype=">u2")),
        ((3,), {"dtype": "u2"}, np.arange(3, dtype="u1")),
    ],
)
def test_other_arrays_are_copied(shape: Any, arguments: Any, array: Any) -> None:
    data = _item(shape, array, **arguments).to_buffer()
    assert not np.shares_memory(data, array)
    np.testing.assert_array_equal(_decode(shape, data.tobytes(), **arguments), array)


def test_a_word_has_the_new_value_of_its_array() -> None:
    array = np.array(7, ">u8")
    item = _item((), array, format=[("u", 48)])
    assert item.to_buffer().tobytes().hex() == "000000000007"
    array[()] = 0x123456789ABC
    assert item.to_buffer().tobytes().hex() == "123456789abc"
    array[()] = 1 << 48
    with pytest.raises(ValueError, match="out of range"):
        item.to_buffer()


def test_string_for_an_array_of_characters() -> None:
    assert _item((2,), "he", dtype="S1").to_buffer().tobytes() == b"he"
    assert _item((2,), b"he", dtype="S1").to_buffer().tobytes() == b"he"
    assert _item((2,), ["h", "e"], format=[("c", 8)]).to_buffer().tobytes() == b"he"
    assert _item((2,), b"he", format=[("c", 8)]).to_buffer().tobytes() == b"he"


# -------------------------------------------------------------------------------------------- what is received


@pytest.mark.parametrize(
    ("shape", "data", "arguments", "expected"),
    [
        ((2,), b"abc", {"dtype": "u1"}, [97, 98]),  # more than needed
        ((), b"abc", {"dtype": "u1"}, 97),
        ((3,), b"hello", {"format": [("c", 8)]}, "hel"),
        ((7,), b"he\0lo\0\0", {"format": [("c", 8)]}, "he\0lo"),
        ((None,), b"he\0lo\0\0", {"format": [("c", 8)]}, "he\0lo\0\0"),
        ((None,), b"abc", {"format": [("u", 16)]}, [0x6162]),  # rounded down
        ((2, None), b"abcde", {"format": [("u", 8)]}, [[97, 98], [99, 100]]),
        ((0, None), b"abcde", {"format": [("u", 8)]}, np.zeros((0, 0))),
        ((None,), b"\xa0", {"format": [("b", 1)]}, [True, False, True, False, False, False, False, False]),
        ((3,), b"\0\1\2", {"format": [("b", 8)]}, [False, True, True]),
        ((3,), b"\0\1\2", {"dtype": "?"}, [False, True, True]),
        ((2,), b"\x10\x21", {"format": [("0", 4), ("b", 4)]}, [(1, False), (2, True)]),
    ],
)
def test_received(shape: Any, data: bytes, arguments: Any, expected: Any) -> None:
    received = _decode(shape, data, **arguments)
    if isinstance(expected, str):
        assert received == expected
    else:
        np.testing.assert_array_equal(received, np.array(expected, received.dtype))


def test_numpy_bool_sums_are_right_whatever_arrives() -> None:
    assert _decode((3,), b"\0\1\xff", dtype="?").sum() == 2


@pytest.mark.parametrize(
    ("shape", "data", "arguments", "message"),
    [
        ((2,), b"a", {"dtype": "u1"}, "too few bytes.*expected 2, came 1"),
        ((3,), b"abcd", {"format": [("u", 12)]}, "too few bytes.*expected 5, came 4"),
        ((6,), b"hello", {"format": [("c", 8)]}, "too few bytes"),
        ((1 << 62,), b"a", {"dtype": "u1"}, "too few bytes"),
        ((1 << 62, 1 << 62), b"a", {"dtype": "V1000000000"}, "too few bytes"),
        ((1 << 62, 1 << 62, 0), b"a", {"dtype": "u1"}, "array|dimension"),
        ((1,) * 100, b"a", {"dtype": "u1"}, "dimension"),
        ((1,) * 100, b"a", {"format": [("u", 3)]}, "dimension"),
        ((None,), b"he\xe9lo", {"format": [("c", 8)]}, "ascii"),
        ((), b"\0\0\0a\0\x11\0\0", {"dtype": ">U2"}, "0x110000 is not the number"),
        ((2,), b"a\0\0\0\0\0\0\xff", {"dtype": "<U1"}, "0xff000000 is not the number"),
        ((1,), b"xa\0\0\0\0\0\x11\0", {"dtype": [("a", "u1"), ("b", "<U1", (2,))]}, "0x110000 is not"),
    ],
)
def test_received_and_impossible(shape: Any, data: bytes, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _decode(shape, data, **arguments)


@pytest.mark.parametrize(
    ("shape", "value", "arguments", "expected"),
    [
        ((), 0x1234, {"format": [("u", 8)]}, 0x34),
        ((2,), 0x1234, {"format": [("u", 8)]}, [0x12, 0x34]),
        ((None,), 0x1234, {"format": [("u", 8)]}, [0, 0, 0, 0x12, 0x34]),
        ((None,), 0x6566, {"format": [("c", 8)]}, "ef"),
        ((3,), 0x656667, {"format": [("c", 8)]}, "efg"),
        ((5,), 0x6566000000, {"format": [("c", 8)]}, "ef"),
        ((), 0x1234, {"format": [("u", 12)]}, 0x123),
        ((), 0x1234, {"dtype": "<u2"}, 0x3412),
        ((), 0xFF34, {"format": [("i", 16)]}, -204),
        ((), 0xFFFFFFFF34, {"format": [("i", 40)]}, -204),
        ((), 0x8000000000, {"format": [("i", 40)]}, -1 << 39),
        ((), 0xFF, {"format": [("u", 4)]}, 15),
        ((), 0xF0, {"format": [("i", 4)]}, -1),
        ((), 0x80, {"format": [("b", 1)]}, True),
        ((), 0x01, {"format": [("b", 8)]}, True),
        ((), 0x123E, {"format": [("u", 12), ("i", 4)]}, (0x123, -2)),
        ((0,), 0, {"dtype": "u1"}, []),  # spead2 sends it so
    ],
)
def test_immediate(shape: Any, value: int, arguments: Any, expected: Any) -> None:
    received = _decode_immediate(shape, value, **arguments)
    if isinstance(expected, str):
        assert received == expected
    else:
        np.testing.assert_array_equal(received, np.array(expected, getattr(received, "dtype", None)))


def test_immediate_of_a_wide_flavour() -> None:
    assert _decode_immediate((), 0xFFFFFFFF34, 48, format=[("u", 40)]) == 0xFFFFFFFF34


def test_immediate_too_short() -> None:
    cases: list[dict[str, Any]] = [{"format": [("u", 64)]}, {"format": [("u", 41)]}, {"dtype": "f8"}]
    for arguments in cases:
        with pytest.raises(ValueError, match="too few bytes"):
            _decode_immediate((), 5, **arguments)


def test_received_arrays_are_views() -> None:
    raw = _raw(bytes(8))
    item = _item((2, 4), dtype="u1", order="F")
    item.set_from_raw(raw)
    assert np.shares_memory(item.value, raw)
    item.value[1, 0] = 9
    assert raw.tolist() == [0, 9, 0, 0, 0, 0, 0, 0]
    item = _item((2,), format=[("u", 8)])
    (raw,) = wire.heap([immediate(0x1000, 5)]).get_items()
    item.set_from_raw(raw)
    item.value[0] = 1


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
@pytest.mark.parametrize("new_order", ["=", "<", ">", "|"])
def test_new_order(dtype: str, new_order: Any) -> None:
    value = np.array([1, 0x203], dtype)
    received = _decode((2,), value.tobytes(), new_order, dtype=dtype)
    expected = value.dtype.newbyteorder(new_order) if new_order != "|" else value.dtype
    assert received.dtype.str == expected.str
    np.testing.assert_array_equal(received, value)


def test_new_order_of_other_kinds() -> None:
    pair = np.dtype([("f0", "<u2"), ("f1", ">f4")])
    value = np.array([(1, 2.5)], pair)
    assert _decode((1,), value.tobytes(), ">", dtype=pair).dtype == pair.newbyteorder(">")
    assert _decode((1,), b"\1\2", ">", format=[("u", 12)]).dtype.str == ">u2"
    assert _decode((1,), b"\1\2", "|", format=[("u", 12)]).dtype == np.uint16
    with pytest.raises(ValueError, match=r"new_order must be one of .*, not 'x'"):
        _decode((1,), b"\1\2", "x", dtype="u1")


def test_version_counts_changes() -> None:
    item = _item((), 1, dtype="u1")
    assert item.version == 1
    item.value = 2
    assert item.version == 2
    item.set_from_raw(_raw(b"\3"))
    assert (item.version, item.value) == (3, 3)
    item.version += 1
    assert item.version == 4


def test_text_that_is_not_ascii_says_what_and_where() -> None:
    with pytest.raises(UnicodeEncodeError, match="item 'name'"):
        _item((None,), "h\xe9llo", format=[("c", 8)]).to_buffer()


def test_a_value_is_not_taken_away() -> None:
    item = _item((), 3, dtype="u1")
    with pytest.raises(ValueError, match="cannot be set to None"):
        item.value = None
    assert (item.value, item.version) == (3, 1)
