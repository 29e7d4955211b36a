"""Byte for byte what spead2 sends, and values that cross over in both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import spead2
import spead2.send
from hypothesis import given, reject
from hypothesis import strategies as st

from spead_transport.protocol.flavour import Flavour
from spead_transport.protocol.item_group import ItemGroup
from spead_transport.protocol.outgoing import Heap, PacketGenerator

from ..wire import immediate
from . import strategies, wire
from .strategies import Definition


def _heap(definitions: list[Definition], flavour: Flavour, descriptors: bool, repeat: bool) -> Heap:
    heap = Heap(flavour)
    heap.repeat_pointers = repeat
    heap.add_start()
    for one in definitions:
        if descriptors:
            heap.add_descriptor(one.item())
        heap.add_item(one.item())
    heap.add_end()
    return heap


def _spead2_heap(definitions: list[Definition], flavour: Flavour, descriptors: bool, repeat: bool) -> Any:
    heap = spead2.send.Heap(strategies.spead2_flavour(flavour))
    heap.repeat_pointers = repeat
    heap.add_start()
    for one in definitions:
        if descriptors:
            heap.add_descriptor(one.spead2_item())
        heap.add_item(one.spead2_item())
    heap.add_end()
    return heap


def _has_bytes(definition: Definition) -> bool:
    return len(definition.item().to_buffer()) > 0


def _is_known_to_spead2(definition: Definition) -> bool:
    """Not those that spead2 fails to send: numbers from 2**63 on, and negative scalars of 24, 40, 48 or 56 bits."""
    codes = definition.format or []
    negative = isinstance(definition.value, int) and definition.value < 0
    return ("u", 64) not in codes and not (negative and codes[0][1] % 8 == 0)


@given(
    st.lists(
        strategies.definitions().filter(_has_bytes).filter(_is_known_to_spead2),
        min_size=0,
        max_size=5,
        unique_by=lambda one: one.id,
    ),
    strategies.FLAVOURS,
    st.booleans(),
    st.booleans(),
    st.sampled_from([56, 64, 80, 104, 120, 200, 1472, 9000]),
    st.integers(0, 255),
)
def test_packets_are_the_same(
    definitions: list[Definition],
    flavour: Flavour,
    descriptors: bool,
    repeat: bool,
    max_packet_size: int,
    cnt: int,
) -> None:
    """Except for items without bytes; see :func:`test_items_without_bytes`.

    Where a heap has so many item pointers and so little payload that it is padded, spead2 puts the padding before the
    payload instead of behind it, and so sends wrong values: there only the headers are the same.
    """
    heap = _heap(definitions, flavour, descriptors, repeat)
    try:
        ours = list(PacketGenerator(heap, cnt, max_packet_size))
    except ValueError:
        reject()
    theirs = list(
        spead2.send.PacketGenerator(_spead2_heap(definitions, flavour, descriptors, repeat), cnt, max_packet_size)
    )
    payload_size = heap.layout().payload_size
    if 0 < payload_size < len(wire.join(ours).payload):
        assert [_header(packet) for packet in ours] == [_header(packet) for packet in theirs]
    else:
        assert ours == theirs


def _header(packet: bytes) -> bytes:
    return packet[: 8 + 8 * int.from_bytes(packet[6:8], "big")]


def test_padding_is_behind_the_payload() -> None:
    heap = Heap()
    for item_id in range(0x20, 0x26):
        heap.add_item(Definition(item_id, "bit", "", (), None, "C", [("b", 1)], True).item())
    packets = list(PacketGenerator(heap, 1, 64))
    assert len(packets) > 1
    expected = [(item_id, False, b"\x80") for item_id in range(0x20, 0x26)]
    assert wire.summary(wire.join(packets).get_items()) == expected
    assert wire.spead2_summary(wire.spead2_receive(packets)) == expected


@given(strategies.unique_definitions(), strategies.ROOMY_FLAVOURS)
def test_spead2_receives(definitions: list[Definition], flavour: Flavour) -> None:
    """All items that have bytes, and no trouble from the others."""
    packets = PacketGenerator(_heap(definitions, flavour, True, False), 1, 1472)
    heap = wire.spead2_receive(packets, flavour.bug_compat)
    group = spead2.ItemGroup()
    group.update(heap)
    assert list(group.keys()) == [one.name for one in definitions]
    for one in definitions:
        if _has_bytes(one):
            one.expect(_without_objects(group[one.name].value, one))
        else:
            assert group[one.name].value is None


def _without_objects(value: Any, definition: Definition) -> Any:
    """spead2's Python objects as the type that the value has here."""
    if isinstance(definition.value, np.ndarray | np.generic) and definition.format is not None:
        return np.asarray(value).astype(definition.value.dtype)
    return value


@given(
    st.lists(
        strategies.definitions().filter(_is_known_to_spead2),
        min_size=1,
        max_size=5,
        unique_by=(lambda one: one.id, lambda one: one.name),
    ),
    strategies.ROOMY_FLAVOURS,
)
def test_spead2_sends(definitions: list[Definition], flavour: Flavour) -> None:
    """All items, those without bytes too."""
    packets = list(spead2.send.PacketGenerator(_spead2_heap(definitions, flavour, True, False), 1, 1472))
    group = ItemGroup()
    group.update(wire.join(packets, flavour.bug_compat))
    assert list(group) == [one.name for one in definitions]
    for one in definitions:
        one.expect(group[one.name].value)
        assert group[one.name].same_item(one.item())


def test_items_without_bytes() -> None:
    """The difference on purpose: where spead2 puts an item without bytes, its receivers fail or lose it.

    spead2 sends one of fixed size as an immediate value, at which its own receiver fails, and one of varying size
    with the address of the next item. Here each is behind all others, where no receiver mixes it up.
    """
    empty = Definition(0x20, "empty", "", (0,), np.dtype("u1"), "C", None, np.zeros(0, "u1"))
    other = Definition(0x21, "other", "", (9,), np.dtype("u1"), "C", None, np.arange(9, dtype="u1"))
    (theirs,) = spead2.send.PacketGenerator(_spead2_heap([empty, other], wire.flavour(), False, False), 1, 1472)
    (ours,) = PacketGenerator(_heap([empty, other], wire.flavour(), False, False), 1, 1472)
    start, end = immediate(6, 0), immediate(6, 2)
    payload = bytes(range(9))
    assert theirs == wire.packet([start, immediate(0x20, 0), 0x21 << 40, end], payload)
    assert ours == wire.packet([start, 0x20 << 40 | 9, 0x21 << 40, end], payload)
    for one in (empty, other):
        group = spead2.ItemGroup()
        group.add_item(one.id, one.name, one.description, one.shape, one.dtype)
        heap = wire.spead2_receive([theirs])
        if one is empty:
            with pytest.raises(ValueError, match="cannot reshape"):
                group.update(heap)
        heap = wire.spead2_receive([ours])
        assert list(group.update(heap)) == ([] if one is empty else ["other"])
