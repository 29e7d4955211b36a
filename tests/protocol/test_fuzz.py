"""Whatever arrives: values, or a ValueError. No other exception, no warning, no memory beyond what arrived."""

from __future__ import annotations

import contextlib
import logging
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spead_transport.protocol.generator import ItemGroup as SendItemGroup
from spead_transport.protocol.item_group import ItemGroup
from spead_transport.protocol.packets import decode_packet
from spead_transport.protocol.raw_descriptor import RawDescriptor, encode_descriptor
from spead_transport.protocol.received import Heap, IncompleteHeap

from ..wire import addressed, immediate
from . import strategies, wire
from .strategies import Definition

_GROUP_FORMATS: list[Any] = [
    [("u", 8)],
    [("u", 12)],
    [("i", 70)],
    [("b", 1)],
    [("b", 8)],
    [("c", 8)],
    [("u", 3), ("f", 32), ("c", 8)],
    [("u", 16), ("f", 64)],
]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.CRITICAL, "spead_transport"):
        yield


def _group() -> ItemGroup:
    """Items of many kinds with the ids 0x10 and up."""
    group = ItemGroup()
    for codes in _GROUP_FORMATS:
        for shape in ((), (3,), (None,), (2, None)):
            group.add_item(0x10 + len(group), f"item{len(group)}", "", shape, format=codes)
    for dtype in ("?", ">u2", "<f8", "S3", "U2", "M8[s]", "V5", [("a", "u1"), ("b", "?", (2,))]):
        for sides in ((), (2,), (0, 3)):
            group.add_item(0x10 + len(group), f"item{len(group)}", "", sides, dtype)
    return group


def _use(heap: Heap) -> None:
    """All that can be done with a heap."""
    group = _group()
    for call in (heap.get_items, heap.get_descriptors, heap.is_start_of_stream, heap.is_end_of_stream):
        with contextlib.suppress(ValueError):
            call()
    with contextlib.suppress(ValueError):
        group.update(heap)
    incomplete = IncompleteHeap(heap.cnt, heap.flavour, heap.pointers, 1 << 40, 5, [])
    incomplete.get_items()
    incomplete.is_end_of_stream()
    with contextlib.suppress(ValueError):
        group.update(incomplete)
    for item in group.values():
        repr(item.value)


_BITS = st.sampled_from(wire.ADDRESS_BITS)


@st.composite
def _pointers(draw: st.DrawFn, bits: int, size: int) -> list[int]:
    """Item pointers of which most make sense."""
    item_ids = st.one_of(st.integers(0, 7), st.integers(0x10, 0x50))
    addresses = st.one_of(st.integers(0, min(size, (1 << bits) - 1)), st.integers(0, (1 << bits) - 1))
    kinds = st.one_of(
        st.builds(addressed, item_ids, addresses, st.just(bits)),
        st.builds(immediate, item_ids, st.integers(0, (1 << bits) - 1), st.just(bits)),
        st.integers(0, (1 << 64) - 1),
    )
    return draw(st.lists(kinds, max_size=12))


@given(st.data(), _BITS, st.binary(max_size=60), st.sampled_from(wire.BUG_COMPAT))
def test_any_heap(data: st.DataObject, bits: int, payload: bytes, bug_compat: int) -> None:
    pointers = data.draw(_pointers(bits, len(payload)))
    _use(wire.heap(pointers, payload, bits=bits, bug_compat=bug_compat))


@given(st.binary(max_size=200))
def test_any_packet(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        packet = decode_packet(wire.to_bytes(data))
        _use(Heap(packet.heap_cnt, packet.flavour, packet.pointers, packet.payload))


_TEXT = st.one_of(st.binary(max_size=10), st.just(b"name"))
_HEADERS = st.one_of(
    st.just(b""),
    st.binary(max_size=60),
    st.builds(
        lambda descr, order, shape: repr({"descr": descr, "fortran_order": order, "shape": shape}).encode(),
        st.one_of(st.sampled_from(["<i4", "|V1000000000", "<U9", "?", "M8[s]", "|O"]), st.text(max_size=5)),
        st.booleans(),
        st.lists(st.integers(-1, 1 << 64), max_size=3).map(tuple),
    ),
)


@given(
    st.data(),
    st.sampled_from([24, 40, 48]),
    st.sampled_from(wire.BUG_COMPAT),
    _TEXT,
    _TEXT,
    st.lists(st.one_of(st.none(), st.integers(0, 3), st.integers(0, (1 << 24) - 1)), max_size=4),
    st.lists(st.tuples(st.sampled_from("uifbc0z"), st.one_of(st.integers(0, 70), st.integers(0, 255))), max_size=3),
    _HEADERS,
)
def test_any_descriptor(
    data: st.DataObject,
    bits: int,
    bug_compat: int,
    name: bytes,
    description: bytes,
    shape: list[int | None],
    codes: list[tuple[str, int]],
    header: bytes,
) -> None:
    """Well-formed descriptors that may say anything, followed by a value."""
    raw = RawDescriptor(0x11, name, description, shape, codes, header)
    packet = bytearray(encode_descriptor(raw, wire.flavour(bits, bug_compat)).tobytes())
    for _ in range(data.draw(st.sampled_from([0, 0, 1, 2]))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    value = data.draw(st.binary(max_size=40))
    pointers = [addressed(5, 0, bits), addressed(0x11, len(packet), bits)]
    _use(wire.heap(pointers, bytes(packet) + value, bits=bits, bug_compat=bug_compat))


@given(strategies.unique_definitions(3), strategies.ROOMY_FLAVOURS, st.data())
def test_damaged_heaps(definitions: list[Definition], flavour: Any, data: st.DataObject) -> None:
    """Real heaps of which some bytes or pointers were changed."""
    group = SendItemGroup(flavour=flavour)
    for one in definitions:
        group.add_item(one.id, one.name, one.description, one.shape, one.dtype, one.order, one.format, one.value)
    heap = wire.transmit(group.get_heap())
    for _ in range(data.draw(st.integers(1, 4))):
        heap.payload[data.draw(st.integers(0, len(heap.payload) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(heap.pointers) - 1))
        heap.pointers[index] ^= np.uint64(1 << data.draw(st.integers(0, 63)))
    _use(heap)


@settings(max_examples=30)
@given(st.data())
def test_what_is_claimed_takes_no_memory(data: st.DataObject) -> None:
    """Descriptors that claim huge values, with a few bytes to decode."""
    sizes = st.lists(st.sampled_from([0, 1, 1 << 20, 1 << 30, (1 << 40) - 1]), max_size=4)
    shape: list[int | None] = [*data.draw(st.sampled_from([[], [None]])), *data.draw(sizes)]
    widest = (1 << 24) - 1
    kinds = st.sampled_from(
        [("u", 1), ("u", 8), ("b", 8), ("u", 255), ("c", 8), ("i", widest), ("u", widest), ("b", widest)]
    )
    codes = data.draw(st.lists(kinds, min_size=1, max_size=100))
    packet = encode_descriptor(RawDescriptor(0x11, b"name", b"", shape, codes), wire.flavour()).tobytes()
    heap = wire.heap([addressed(5, 0), addressed(0x11, len(packet))], packet + bytes(16))
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError):
            ItemGroup().update(heap)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 18
