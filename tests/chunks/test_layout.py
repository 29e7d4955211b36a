"""Layouts: what expressions mean, and which are refused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport.protocol.batch import PacketBatch
from spead_transport.recv import ChunkLayout, HeapsToPlace

INTEGERS = st.integers(0, 2**40 - 1)


def no_packets() -> PacketBatch:
    return PacketBatch.of([])


def evaluate(expression: str, **names: int) -> int | None:
    """The chunk id that `expression` gives, or ``None`` if the heap is rejected."""
    layout = ChunkLayout(items={name: 0x1000 + index for index, name in enumerate(names)}, chunk_id=expression)
    items = np.array([[*names.values(), 8]], np.int64)
    heaps = HeapsToPlace.of(items, no_packets, 0, np.zeros(0, np.uint64))
    layout.place(heaps)
    chunk_id = int(heaps.chunk_id[0])
    return None if chunk_id < 0 else chunk_id


@pytest.mark.parametrize(
    "expression",
    [
        "a",
        "17",
        "a + b * 2",
        "(a + b) * 2",
        "a // 3",
        "a // b",
        "a % b + 5",
        "a - b + 2**41",
        "-a + 2**41",
        "+a",
        "~a + 2**41",
        "a >> 3",
        "(a & 0xff) << 8 | b & 3",
        "a ^ b",
        "5 if a < b else 6",
        "a if b == 7 else b",
        "(a <= b) + (a >= b) + (a != b) + (a > b)",
        "2**10 * (a // 2**20)",
        " a ",
        "heap_length + a",
    ],
)
@given(a=INTEGERS, b=INTEGERS.filter(bool))
def test_expressions_mean_what_they_mean_in_python(expression: str, a: int, b: int) -> None:
    expected = eval(expression.strip(), {"a": a, "b": b, "heap_length": 8})
    assert evaluate(expression, a=a, b=b) == expected


@pytest.mark.parametrize("expression", ["a // b", "a % b", "1 << a", "a >> a", "a - 100", "1 << (0 - b - 1)"])
def test_heaps_without_a_value_are_rejected(expression: str) -> None:
    assert evaluate(expression, a=70, b=0) is None


def test_what_is_not_chosen_needs_no_value() -> None:
    assert evaluate("a // b if b != 0 else 5", a=1, b=0) == 5
    assert evaluate("a // b if b == 0 else 5", a=1, b=0) is None


def test_a_missing_item_rejects_the_heap() -> None:
    assert evaluate("5", a=-1) is None


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "no expression"),
        ("a +", "no expression"),
        ("a; b", "no expression"),
        ("a\0", "no expression"),
        ("(" * 500 + "a" + ")" * 500, "no expression"),
        ("-" * 5000 + "a", "deeply|no expression"),
        ("c", "no such name.*known are a, heap_length"),
        ("chunk_id", "no such name"),
        ("a / 2", "use // to divide"),
        ("a @ a", "operator"),
        ("a ** 2", "numbers only"),
        ("2 ** a", "numbers only"),
        ("2 ** 64", "numbers only"),
        ("9 ** 63", "64 bits"),
        ("99999999999999999999", "64 bits"),
        ("1.5", "only integers"),
        ("True", "only integers"),
        ("'a'", "only integers"),
        ("a()", "not supported"),
        ("__import__('os')", "not supported"),
        ("a.real", "not supported"),
        ("a[0]", "not supported"),
        ("a < 1 < 2", "not supported"),
        ("a and a", "not supported"),
        ("lambda: 0", "not supported"),
        ("[a for a in a]", "not supported"),
        ("not a", "not supported"),
    ],
)
def test_other_expressions_are_refused(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChunkLayout(items={"a": 0x1000}, chunk_id=expression)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"items": {"a b": 1}, "chunk_id": "1"}, ValueError),
        ({"items": {"heap_index": 1}, "chunk_id": "1"}, ValueError),
        ({"items": {"a": -1}, "chunk_id": "1"}, TypeError),
        ({"items": {"a": "x"}, "chunk_id": "1"}, TypeError),
        ({"items": {}, "chunk_id": 5}, TypeError),
        ({"items": {}, "chunk_id": "heap_index"}, ValueError),
        ({"items": {}, "chunk_id": "0", "heap_index": "heap_offset"}, ValueError),
    ],
)
def test_other_arguments_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ChunkLayout(**arguments)


def test_later_expressions_may_use_earlier_ones() -> None:
    layout = ChunkLayout(
        items={"timestamp": 0x1600, "length": 2},
        chunk_id="timestamp // 100",
        heap_index="timestamp - chunk_id * 100",
        heap_offset="heap_index * length + chunk_id",
    )
    assert layout.item_ids == [0x1600, 2]
    items = np.array([[705, 8], [-1, 8], [99, 16]], np.int64)
    heaps = HeapsToPlace.of(items, no_packets, 0, np.zeros(0, np.uint64))
    layout.place(heaps)
    assert heaps.chunk_id.tolist() == [7, -1, 0]
    assert heaps.heap_index[[0, 2]].tolist() == [5, 99]
    assert heaps.heap_offset[[0, 2]].tolist() == [47, 1584]


def test_heaps_of_equal_length_lie_one_after_the_other_by_default() -> None:
    layout = ChunkLayout(items={"a": 0x1000}, chunk_id="0", heap_index="a")
    heaps = HeapsToPlace.of(np.array([[3, 16]], np.int64), no_packets, 0, np.zeros(0, np.uint64))
    layout.place(heaps)
    assert heaps.heap_offset.tolist() == [48]


def test_two_names_for_one_item() -> None:
    layout = ChunkLayout(items={"a": 0x1000, "b": 0x1000}, chunk_id="a + b")
    assert layout.item_ids == [0x1000, 2]


def test_layouts_are_values() -> None:
    layout = ChunkLayout(items={"a": 0x1000}, chunk_id="a // 2")
    assert layout == ChunkLayout(items={"a": 0x1000}, chunk_id="a // 2")
    assert layout != ChunkLayout(items={"a": 0x1000}, chunk_id="a // 3")
    assert copy.deepcopy(layout) == layout
    assert pickle.loads(pickle.dumps(layout)) == layout
    assert "a // 2" in repr(layout)
