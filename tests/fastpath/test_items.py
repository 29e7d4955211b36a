"""What the native engine does for item groups is what they do themselves, for whatever items and heaps.

Each thing is done twice with the same group, because the second time it is done as it was planned the first time.
"""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport.engine.selection import ENVIRONMENT_VARIABLE
from spead_transport.protocol.flavour import Flavour
from spead_transport.protocol.generator import HeapGenerator
from spead_transport.protocol.generator import ItemGroup as SendItemGroup
from spead_transport.protocol.item import Item
from spead_transport.protocol.item_group import ItemGroup
from spead_transport.protocol.outgoing import Heap as OutgoingHeap
from spead_transport.protocol.received import Heap

from ..protocol import strategies, wire
from ..protocol.strategies import Definition
from ..wire import addressed, immediate

pytest.importorskip("spead_transport_fastpath")

_ENGINES = ("python", "native")


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("spead_transport")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


def _groups(flavour: Flavour | None = None) -> list[SendItemGroup]:
    """One group for each engine."""
    groups = []
    for engine in _ENGINES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(ENVIRONMENT_VARIABLE, engine)
            groups.append(SendItemGroup(flavour=flavour or wire.flavour()))
    assert [type(group._shortcuts_to_send).__name__ for group in groups] == ["NoneType", "ItemShortcuts"]
    return groups


def _describe_value(value: Any) -> object:
    """All that can be seen of a value."""
    if not isinstance(value, np.ndarray | np.generic):
        return type(value), value
    flags = (value.flags.c_contiguous, value.flags.f_contiguous, value.flags.writeable, value.flags.aligned)
    content = repr(value.tolist()) if value.dtype.hasobject else value.tobytes()
    return type(value), value.dtype, value.dtype.byteorder, value.shape, value.strides, flags, content


def _state(group: ItemGroup) -> object:
    return [(item.name, item.version, _describe_value(item.value)) for item in group.values()]


def _update(group: ItemGroup, heap: Heap, order: Any) -> object:
    """What became of an update."""
    try:
        updated = group.update(heap, order)
    except ValueError as error:
        return str(error), _state(group)
    return [(name, item is group[name]) for name, item in updated.items()], _state(group)


def _content(heap: OutgoingHeap) -> object:
    return (
        heap.words,
        [block.tobytes() for block in heap.payload],
        heap.payload_size,
        [(index, block.tobytes()) for index, block in heap.late_values],
        heap.empty_items,
        heap.prepared,
        [block.flags.writeable for block in heap.payload],
    )


_ORDERS = st.sampled_from(["=", "<", ">", "|", "?"])


@given(strategies.unique_definitions(), strategies.ROOMY_FLAVOURS, _ORDERS, st.data())
def test_honest_heaps(definitions: list[Definition], flavour: Flavour, order: Any, data: st.DataObject) -> None:
    groups = _groups(flavour)
    source = SendItemGroup(flavour=flavour)
    for definition in definitions:
        source._replace(definition.item())
    heaps = [wire.transmit(source.get_heap(), 1 << 16)]
    for _ in range(2):
        part = data.draw(st.lists(st.sampled_from(list(source.values())), unique_by=lambda item: item.id))
        sent = OutgoingHeap(flavour)
        for item in part:
            sent.add_item(item)
        heaps += [wire.transmit(sent, 1 << 16)] * 2
    for heap in heaps:
        python, native = (_update(group, copy.deepcopy(heap), order) for group in groups)
        assert native == python


_IDS = st.one_of(st.integers(0x10, 0x14), st.integers(4, 7))
_POINTERS = st.one_of(
    st.builds(addressed, _IDS, st.integers(0, 40), st.just(40)),
    st.builds(immediate, _IDS, st.integers(0, 300), st.just(40)),
    st.builds(immediate, _IDS, st.integers(0, (1 << 40) - 1), st.just(40)),
)
_FORMS: Sequence[dict[str, Any]] = (
    {"shape": (), "format": [("u", 40)]},
    {"shape": (), "format": [("i", 24)]},
    {"shape": (), "format": [("i", 48)]},
    {"shape": (), "format": [("b", 8)]},
    {"shape": (2,), "dtype": ">u2"},
    {"shape": (2, 3), "dtype": "<i2", "order": "F"},
    {"shape": (), "dtype": "<f4"},
    {"shape": (), "dtype": ">M8[s]"},
    {"shape": (3,), "dtype": "?"},
    {"shape": (0,), "dtype": "u1"},
    {"shape": (None,), "format": [("c", 8)]},
    {"shape": (None,), "format": [("u", 4)]},
)


@given(
    st.lists(st.sampled_from(_FORMS), min_size=1, max_size=5),
    st.lists(
        st.tuples(st.lists(_POINTERS, max_size=7), st.binary(max_size=1), st.sampled_from([0, 1, 8, 40])),
        min_size=1,
        max_size=3,
    ),
    _ORDERS,
)
def test_hostile_heaps(forms: list[dict[str, Any]], heaps: list[tuple[list[int], bytes, int]], order: Any) -> None:
    groups = _groups()
    for group in groups:
        for number, form in enumerate(forms):
            group.add_item(0x10 + number, f"item{number}", "", **form)
    for pointers, filling, size in heaps:
        for _ in range(3):
            python, native = (_update(group, wire.heap(pointers, filling * size), order) for group in groups)
            assert native == python


@given(strategies.unique_definitions(), strategies.ROOMY_FLAVOURS, st.data())
def test_heaps_to_send(definitions: list[Definition], flavour: Flavour, data: st.DataObject) -> None:
    items = [definition.item() for definition in definitions]
    groups = _groups(flavour)
    for group in groups:
        for item in items:
            group._replace(item)
    for _ in range(4):
        which: Any = data.draw(st.sampled_from(["all", "stale", "none"]), label="data")
        for item in data.draw(st.lists(st.sampled_from(items)), label="changed"):
            item.version += 1
        if data.draw(st.booleans(), label="another value"):
            items[0].value = data.draw(
                st.sampled_from([5, 1 << 40, -3, 2.5, "x", np.zeros(3, ">u2"), items[0].value])
            )
        results: list[object] = []
        for group in groups:
            try:
                results.append(_content(group.get_heap("none", which)))
            except ValueError as error:
                results.append(str(error))
        assert results[0] == results[1]


def test_arrays_are_sent_from_their_own_memory() -> None:
    for group in _groups():
        array = np.arange(4, dtype=">u2")
        group.add_item(0x1000, "array", "", (4,), ">u2", value=array)
        heap = group.get_heap("none")
        assert np.shares_memory(heap.payload[0], array)
        array[0] = 0x0102
        assert heap.payload[0][:2].tolist() == [1, 2]


def test_values_are_views_of_the_heap() -> None:
    for group in _groups():
        group.add_item(0x1000, "array", "", (4,), "u1")
        arrived = wire.heap([addressed(0x1000, 0, 40)], b"abcd")
        value = group.update(arrived)["array"].value
        assert np.shares_memory(value, arrived.payload)
        value[0] = 1  # it is the program's own


def test_items_may_be_added_between_heaps() -> None:
    for group in _groups():
        first = group.add_item(0x1000, "first", "", (), "u1", value=1)
        generator = HeapGenerator(group)
        assert len(generator.get_heap("none").words) == 1
        second = group.add_item(0x1001, "second", "", (), "u1", value=2)
        assert len(generator.get_heap("none").words) == 1
        both = [immediate(0x1000, 7, 40), immediate(0x1001, 8, 40)]
        assert list(group.update(wire.heap(both)).values()) == [first, second]
        third = group.add_item(0x1001, "third", "", (), ">u2")
        assert list(group.update(wire.heap(both)).values()) == [first, third]
        assert (first.value, second.value, third.value) == (7, 8, 8)


def test_immediate_values_in_any_order() -> None:
    for group in _groups():
        for number in range(3):
            group.add_item(0x1000 + number, f"item{number}", "", (), format=[("u", 40)])
        for values in ([1, 2, 3], [3, 2, 1], [2, 2, 1], [1, 1, 1]):
            arrived = wire.heap([immediate(0x1000 + i, value, 40) for i, value in enumerate(values)])
            in_order = sorted(range(3), key=values.__getitem__)
            assert list(group.update(arrived)) == [f"item{i}" for i in in_order]
            assert [item.value for item in group.values()] == values


def test_a_group_can_be_copied() -> None:
    for group in _groups():
        group.add_item(0x1000, "a", "", (), "u1", value=1)
        for again in (copy.deepcopy(group), pickle.loads(pickle.dumps(group))):
            assert again.get_heap("none").words == group.get_heap("none", "all").words
            assert again.update(wire.heap([immediate(0x1000, 5, 40)]))["a"].value == 5
        assert group["a"].value == 1


class _Watched(Item):
    """An item that has something of its own to do."""

    __slots__ = ("values",)
    values: list[Any]

    @property
    def value(self) -> Any:
        return self.values[-1]

    @value.setter
    def value(self, new_value: Any) -> None:
        object.__setattr__(self, "values", [*getattr(self, "values", []), new_value])


def test_items_of_other_classes() -> None:
    for group in _groups():
        item = _Watched(0x1000, "a", "", (), "u1")
        item.value = 3
        group._replace(item)
        group.update(wire.heap([immediate(0x1000, 5, 40)]))
        assert item.values == [3, 5]
