"""Item groups: definition, lookup, and what heaps do to them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport.engine.selection import ENVIRONMENT_VARIABLE
from spead_transport.protocol import item_group
from spead_transport.protocol.descriptor import Descriptor
from spead_transport.protocol.generator import ItemGroup
from spead_transport.protocol.item import Item
from spead_transport.protocol.outgoing import Heap
from spead_transport.protocol.received import Heap as ReceivedHeap
from spead_transport.protocol.received import IncompleteHeap

from ..wire import addressed, immediate
from . import strategies, wire
from .strategies import Definition


@pytest.fixture(autouse=True, scope="module")
def _with_engine(engine: str) -> Iterator[None]:
    """Each engine has shortcuts of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT_VARIABLE, engine)
        yield


U1: dict[str, Any] = {"description": "", "shape": (), "dtype": "u1"}


def _heap(*parts: Descriptor | Item, flavour: Any = None) -> ReceivedHeap:
    """A heap that arrived: with the value of each item, and the description of each descriptor."""
    heap = Heap(flavour or wire.flavour())
    for part in parts:
        if isinstance(part, Item):
            heap.add_item(part)
        else:
            heap.add_descriptor(part)
    return wire.transmit(heap)


def _descriptor(item_id: int, name: str, dtype: str = "u1", shape: Any = ()) -> Descriptor:
    return Descriptor(item_id, name, "", shape, dtype)


def _item(item_id: int, name: str, value: Any, dtype: str = "u1", shape: Any = ()) -> Item:
    return Item(item_id, name, "", shape, dtype, value=value)


# -------------------------------------------------------------------------------------------------- definition


def test_lookup() -> None:
    group = item_group.ItemGroup()
    first = group.add_item(0x1000, "first", value=1, **U1)
    second = group.add_item(0x1001, "second", **U1)
    assert group[0x1000] is group["first"] is group[np.int64(0x1000)] is first  # type: ignore[index]
    assert "second" in group
    assert 0x1001 in group
    assert "third" not in group
    assert 1.5 not in group
    for key in ("third", 3):
        with pytest.raises(KeyError):
            group[key]
    assert list(group) == list(group.keys()) == ["first", "second"]
    assert list(group.ids()) == [0x1000, 0x1001]
    assert list(group.values()) == [first, second]
    assert list(group.items()) == [("first", first), ("second", second)]
    assert len(group) == 2


def test_automatic_ids() -> None:
    group = item_group.ItemGroup()
    group.add_item(0x1001, "b", **U1)
    assert [group.add_item(None, name, **U1).id for name in "acd"] == [0x1000, 0x1002, 0x1003]


def test_same_definition_keeps_the_item() -> None:
    group = item_group.ItemGroup()
    item = group.add_item(0x1000, "a", value=1, **U1)
    assert group.add_item(0x1000, "a", **U1) is item
    assert (item.value, item.version) == (1, 1)
    assert group.add_item(0x1000, "a", value=2, **U1) is item
    assert group["a"] is item
    assert (item.value, item.version) == (2, 2)
    assert group.add_item(0x1000, "a", value=300, casting="unsafe", **U1).casting == "unsafe"


@pytest.mark.parametrize(
    ("item_id", "name", "left"),
    [
        (0x1000, "a", {"b": 0x1001, "c": 0x1002, "a": 0x1000}),
        (0x1000, "x", {"b": 0x1001, "c": 0x1002, "x": 0x1000}),
        (0x2000, "a", {"b": 0x1001, "c": 0x1002, "a": 0x2000}),
        (0x1000, "b", {"c": 0x1002, "b": 0x1000}),
    ],
)
def test_other_definition_replaces_items_of_that_id_or_name(item_id: int, name: str, left: dict[str, int]) -> None:
    group = item_group.ItemGroup()
    for number, old in enumerate("abc"):
        group.add_item(0x1000 + number, old, value=number, **U1)
    group["b"].value = 9
    group["b"].value = 10
    new = group.add_item(item_id, name, "changed", (), "u1")
    assert {name: item.id for name, item in group.items()} == left
    assert {item.id: name for name, item in group.items()} == {
        item_id: group[item_id].name for item_id in group.ids()
    }
    assert group[name] is group[item_id] is new
    assert new.value is None
    assert new.version == (4 if name == "b" else 2)


def test_white_space_in_a_name_is_sent_with_a_warning() -> None:
    group = item_group.ItemGroup()
    with pytest.warns(UserWarning, match="'two words' has white space"):
        item = group.add_item(0x1000, "two words", "", (), "u1", value=3)
    received = item_group.ItemGroup()
    received.update(_heap(_descriptor(0x1000, item.name), item))
    assert list(received) == ["two words"]


def test_refused_definitions_change_nothing() -> None:
    group = item_group.ItemGroup()
    for arguments in ((3, "a", "", (), "u1"), (0x1000, "\xe9", "", (), "u1"), (0x1000, "a", "", (), "O")):
        with pytest.raises(ValueError, match=r"Item ID|ascii|reference-counted"):
            group.add_item(*arguments)
    assert len(group) == 0


# ---------------------------------------------------------------------------------------------------- updating


@given(strategies.unique_definitions(), strategies.ROOMY_FLAVOURS)
def test_everything_arrives(definitions: list[Definition], flavour: Any) -> None:
    sender = ItemGroup(flavour=flavour)
    for one in definitions:
        sender.add_item(one.id, one.name, one.description, one.shape, one.dtype, one.order, one.format, one.value)
    receiver = item_group.ItemGroup()
    updated = receiver.update(wire.transmit(sender.get_heap()))
    assert updated == dict(receiver.items())
    assert receiver.keys() == sender.keys()
    for one in definitions:
        one.expect(receiver[one.name].value)
        assert receiver[one.name].same_item(sender[one.name])
        assert receiver[one.name].version == 2


def test_descriptors_apply_before_items() -> None:
    item = _item(0x1000, "a", [1, 2, 3, 4, 5, 6, 7], shape=(7,))
    heap = Heap()
    heap.add_item(item)
    heap.add_descriptor(item)
    group = item_group.ItemGroup()
    assert list(group.update(wire.transmit(heap))) == ["a"]
    assert group["a"].value.tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_a_repeated_descriptor_keeps_the_item() -> None:
    group = item_group.ItemGroup()
    group.update(_heap(_descriptor(0x1000, "a"), _item(0x1000, "a", 5)))
    item = group["a"]
    for flavour in (wire.flavour(), wire.flavour(48), wire.flavour()):
        assert group.update(_heap(_descriptor(0x1000, "a"), flavour=flavour)) == {}
        assert group["a"] is item
    assert (item.value, item.version) == (5, 2)


def test_a_changed_descriptor_replaces_the_item() -> None:
    group = item_group.ItemGroup()
    for dtype, value in (("u1", 5), ("u2", 500), ("u1", 6)):
        old = next(iter(group.values()), None)
        group.update(_heap(_descriptor(0x1000, "a", dtype)))
        assert group["a"] is not old
        assert group["a"].value is None
        assert old is None or group["a"].version == old.version + 1
        group.update(_heap(_item(0x1000, "a", value, dtype)))
        assert group["a"].value == value


def test_a_descriptor_of_an_item_that_was_added_by_hand() -> None:
    group = item_group.ItemGroup()
    item = group.add_item(0x1000, "a", value=1, **U1)
    group.update(_heap(_descriptor(0x1000, "a")))
    assert group["a"] is item
    group.add_item(0x1000, "b", **U1)
    group.update(_heap(_descriptor(0x1000, "a")))
    assert list(group) == ["a"]
    assert group["a"] is not item


def test_unknown_items_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    group = item_group.ItemGroup()
    heap = wire.heap([addressed(0x1000, 0), immediate(0x1001, 3), immediate(6, 1)], b"abcd")
    with caplog.at_level(logging.WARNING, "spead_transport"):
        assert group.update(heap) == {}
        assert group.update(heap) == {}
    assert [record.getMessage() for record in caplog.records] == [
        "Item with ID 0x1000 received but there is no descriptor",
        "Item with ID 0x1001 received but there is no descriptor",
    ]


def test_reserved_ids_are_no_items(caplog: pytest.LogCaptureFixture) -> None:
    group = item_group.ItemGroup()
    raw = wire.packet([immediate(0x14, 3), addressed(0x10, 0), addressed(0x13, 1)], b"qu\0\0\10")
    with caplog.at_level(logging.WARNING, "spead_transport"):
        assert group.update(wire.heap([addressed(5, 0), immediate(6, 3)], raw)) == {}
    assert len(group) == 0
    assert "0x3, whose id is reserved" in caplog.text


def test_malformed_descriptor_is_logged_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    group = item_group.ItemGroup()
    group.add_item(0x1000, "a", **U1)
    with caplog.at_level(logging.WARNING, "spead_transport"):
        group.update(wire.heap([addressed(5, 0), immediate(0x1000, 3)], b"nonsense"))
    assert "ignored a descriptor in heap 1" in caplog.text
    assert group["a"].value == 3


def test_descriptor_that_is_not_understood() -> None:
    raw = wire.packet([immediate(0x14, 0x1000), addressed(0x10, 0), addressed(0x13, 1)], b"qz\0\0\10")
    with pytest.raises(ValueError, match="heap 1, descriptor of item 0x1000: illegal format"):
        item_group.ItemGroup().update(wire.heap([addressed(5, 0)], raw))


def test_a_bad_value_changes_nothing() -> None:
    group = item_group.ItemGroup()
    group.add_item(0x1000, "a", value=1, **U1)
    group.add_item(0x1001, "b", "", (), "u4", value=1)
    with pytest.raises(ValueError, match="heap 1, item 'b': too few bytes"):
        group.update(wire.heap([addressed(0x1000, 0), addressed(0x1001, 1)], b"abcd"))
    assert [(item.value, item.version) for item in group.values()] == [(1, 1), (1, 1)]
    with pytest.raises(ValueError, match="starts at byte 9"):
        group.update(wire.heap([addressed(0x1000, 9)], b"abcd"))
    with pytest.raises(ValueError, match="new_order"):
        group.update(wire.heap([]), "x")  # type: ignore[arg-type]


def test_an_item_without_bytes_that_needs_some_is_ignored() -> None:
    group = item_group.ItemGroup()
    group.add_item(0x1000, "a", value=1, **U1)
    group.add_item(0x1001, "b", "", (None,), format=[("c", 8)], value="text")
    assert list(group.update(wire.heap([addressed(0x1000, 4), addressed(0x1001, 4)], b"abcd"))) == ["b"]
    assert (group["a"].value, group["b"].value) == (1, "")


def test_an_item_that_is_there_twice() -> None:
    group = item_group.ItemGroup()
    item = group.add_item(0x1000, "a", **U1)
    assert group.update(wire.heap([immediate(0x1000, 6), immediate(0x1000, 5)])) == {"a": item}
    assert (item.value, item.version) == (6, 3)


def test_incomplete_heaps_have_their_immediate_items() -> None:
    group = item_group.ItemGroup()
    group.add_item(0x1000, "a", value=1, **U1)
    group.add_item(0x1001, "b", value=1, **U1)
    pointers = wire.words(addressed(0x1000, 0), addressed(5, 1), immediate(0x1001, 3))
    heap = IncompleteHeap(1, wire.flavour(), pointers, 9, 5, [])
    assert list(group.update(heap)) == ["b"]
    assert (group["a"].value, group["b"].value) == (1, 3)


def test_new_order() -> None:
    group = item_group.ItemGroup()
    group.add_item(0x1000, "a", "", (2,), ">u2")
    heap = wire.heap([addressed(0x1000, 0)], b"\0\1\0\2")
    orders: Any
    for orders, expected in (("=", "u2"), ("<", "<u2"), (">", ">u2"), ("|", ">u2")):
        group.update(heap, new_order=orders)
        assert group["a"].value.dtype == np.dtype(expected)
        assert group["a"].value.tolist() == [1, 2]


@given(st.binary(max_size=80), st.lists(st.integers(0, 80), max_size=8))
def test_descriptors_do_not_pile_up(data: bytes, cuts: list[int]) -> None:
    """What is remembered of descriptors is bounded by the number of items."""
    group = item_group.ItemGroup()
    for number in range(20):
        name = chr(ord("a") + number)
        group.update(_heap(_descriptor(0x1000 + number % 3, name)))
        group.update(wire.heap([addressed(5, cut) for cut in cuts if cut <= len(data)], data))
        assert len(group._described) == len(group._descriptor_of) <= 3  # pyright: ignore[reportPrivateUsage]
    assert len(group) == 3
