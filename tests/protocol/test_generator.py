"""Which descriptors and values a generator puts in its heaps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from spead_transport.engine.selection import ENVIRONMENT_VARIABLE
from spead_transport.protocol import item_group
from spead_transport.protocol.descriptor import Descriptor
from spead_transport.protocol.generator import HeapGenerator, ItemGroup
from spead_transport.protocol.outgoing import Heap

from . import wire


@pytest.fixture(autouse=True, scope="module")
def _with_engine(engine: str) -> Iterator[None]:
    """Each engine has shortcuts of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT_VARIABLE, engine)
        yield


def _content(heap: Heap) -> str:
    """Capital letters for descriptors and small ones for values, in the order of their pointers."""
    received = wire.transmit(heap, 65536)
    names = iter(raw.name.decode() for raw in received.get_descriptors())
    letters = ""
    for pointer in received.pointers.tolist():
        item_id = pointer >> 40 & (1 << 23) - 1
        if item_id == 5:
            letters += next(names).upper()
        elif item_id >= 0x1000:
            letters += "abcdefgh"[item_id - 0x1000]
    return letters


def _add(group: item_group.ItemGroup, letters: str, value: Any = 5, **changes: Any) -> None:
    for letter in letters:
        arguments: dict[str, Any] = {"description": "", "shape": (), "dtype": "u1"} | changes
        group.add_item(0x1000 + ord(letter) - ord("a"), letter, value=value, **arguments)


def test_only_what_is_new() -> None:
    group = ItemGroup()
    _add(group, "ab")
    _add(group, "c", None)
    assert _content(group.get_heap()) == "AaBbC"  # c has no value yet
    group["c"].value = 1
    assert _content(group.get_heap()) == "c"
    assert _content(group.get_heap()) == ""
    group["a"].value = 6
    assert _content(group.get_heap()) == "a"
    group["b"].version += 1
    assert _content(group.get_heap()) == "b"
    _add(group, "d")
    assert _content(group.get_heap()) == "Dd"


@pytest.mark.parametrize(
    ("descriptors", "data", "content"),
    [
        ("stale", "stale", "b"),
        ("stale", "all", "ab"),
        ("stale", "none", ""),
        ("all", "stale", "ABb"),
        ("all", "all", "AaBb"),
        ("all", "none", "AB"),
        ("none", "stale", "b"),
        ("none", "all", "ab"),
        ("none", "none", ""),
    ],
)
def test_what_is_asked_for(descriptors: Any, data: Any, content: str) -> None:
    group = ItemGroup()
    _add(group, "ab")
    group.get_heap()
    group["b"].value = 6
    assert _content(group.get_heap(descriptors, data)) == content
    assert _content(group.get_heap()) == ("" if data != "none" else "b")


def test_descriptors_left_out_come_later() -> None:
    group = ItemGroup()
    _add(group, "a")
    assert [_content(group.get_heap(descriptors="none")), _content(group.get_heap()), _content(group.get_heap())] == [
        "a", "A", "",
    ]  # fmt: skip


@pytest.mark.parametrize(("frequency", "content"), [(1, "AAAAAA"), (2, "A.A.A."), (3, "A..A..")])
def test_descriptor_frequency(frequency: int, content: str) -> None:
    group = ItemGroup(descriptor_frequency=frequency)
    _add(group, "a", None)
    assert "".join(_content(group.get_heap()) or "." for _ in range(6)) == content


def test_descriptor_frequency_counts_from_each_items_last() -> None:
    group = ItemGroup(descriptor_frequency=2)
    _add(group, "a", None)
    group.get_heap()
    _add(group, "b", None)
    assert [_content(group.get_heap()) for _ in range(4)] == ["B", "A", "B", "A"]


@pytest.mark.parametrize("frequency", [0, -1])
def test_bad_descriptor_frequency(frequency: int) -> None:
    with pytest.raises(ValueError, match="descriptor_frequency"):
        ItemGroup(frequency)


@pytest.mark.parametrize("argument", ["descriptors", "data"])
def test_bad_words(argument: str) -> None:
    arguments: dict[str, Any] = {argument: "some"}
    with pytest.raises(ValueError, match=f"{argument} must be one of 'stale', 'all', 'none', not 'some'"):
        ItemGroup().get_heap(**arguments)


def test_redefined_items_are_sent_again() -> None:
    group = ItemGroup()
    _add(group, "ab")
    group.get_heap()
    _add(group, "a", 7, dtype="u2")
    assert _content(group.get_heap()) == "Aa"
    assert _content(group.get_heap()) == ""


def test_replaced_items_are_forgotten() -> None:
    group = ItemGroup()
    for number in range(10):
        group.add_item(0x1000 + number, "a", "", (), "u1", value=1)
        group.get_heap()
    assert len(group._sent) == 1  # pyright: ignore[reportPrivateUsage]


def test_a_heap_that_fails_does_not_count_as_sent() -> None:
    group = ItemGroup()
    _add(group, "a")
    _add(group, "b", 300)
    with pytest.raises(ValueError, match="300 is out of range"):
        group.get_heap()
    group["b"].value = 200
    assert _content(group.get_heap()) == "AaBb"


def test_generator_of_another_group() -> None:
    group = item_group.ItemGroup()
    _add(group, "a")
    first, second = HeapGenerator(group), HeapGenerator(group, flavour=wire.flavour(48))
    assert _content(first.get_heap()) == "Aa"
    assert second.get_heap().flavour == wire.flavour(48)
    heap = Heap()
    assert first.add_to_heap(heap, "all", "all") is heap
    assert _content(heap) == "Aa"


def test_flavour_of_the_heap_counts() -> None:
    group = ItemGroup()
    _add(group, "a", np.zeros(3, "u1"), shape=(3,))
    heap = Heap(wire.flavour(48, 2))
    group.add_to_heap(heap)
    (raw,) = wire.transmit(heap).get_descriptors()
    assert Descriptor.from_raw(raw, heap.flavour).same_item(group["a"])


def test_start_and_end() -> None:
    group = ItemGroup(flavour=wire.flavour(48))
    start, end = wire.transmit(group.get_start()), wire.transmit(group.get_end())
    assert (start.is_start_of_stream(), start.is_end_of_stream()) == (True, False)
    assert (end.is_start_of_stream(), end.is_end_of_stream()) == (False, True)
    assert start.flavour == end.flavour == wire.flavour(48)
