"""Items of a heap: which there are, where they lie, and in which order; golden vectors measured on spead2 4.5.1."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport.protocol.constants import CTRL_STREAM_START, CTRL_STREAM_STOP, STREAM_CTRL_ID
from spead_transport.protocol.places import find_items
from spead_transport.protocol.raw_descriptor import RawDescriptor
from spead_transport.protocol.received import Heap, IncompleteHeap, RawItem

from ..wire import addressed, immediate
from . import wire

_EMPTY = b""


def _immediate(item_id: int, value: int) -> tuple[int, bool, bytes]:
    return item_id, True, value.to_bytes(5, "big")


#: Item pointers, payload, and what is to come out: id, whether immediate, bytes.
GOLDEN = {
    "addressed first and by address, immediates by value": (
        [
            immediate(0x1001, 9),
            immediate(0x1000, 5),
            addressed(0x1002, 4),
            addressed(0x1003, 0),
            immediate(0x1004, 2),
        ],
        b"abcdefgh",
        [
            (0x1003, False, b"abcd"),
            (0x1002, False, b"efgh"),
            _immediate(0x1004, 2),
            _immediate(0x1000, 5),
            _immediate(0x1001, 9),
        ],
    ),
    "the same immediate pointer twice": (
        [immediate(0x1000, 5), immediate(0x1000, 6), immediate(0x1000, 5)],
        b"",
        [_immediate(0x1000, 5), _immediate(0x1000, 6)],
    ),
    "immediates of one value in order of arrival": (
        [immediate(0x1002, 5), immediate(0x1001, 5)],
        b"",
        [_immediate(0x1002, 5), _immediate(0x1001, 5)],
    ),
    "the same addressed pointer twice": (
        [addressed(0x1000, 0), addressed(0x1001, 2), addressed(0x1000, 0)],
        b"abcd",
        [(0x1000, False, b"ab"), (0x1001, False, b"cd")],
    ),
    "one id at two addresses": (
        [addressed(0x1000, 2), addressed(0x1000, 0)],
        b"abcd",
        [(0x1000, False, b"ab"), (0x1000, False, b"cd")],
    ),
    "two items at one address": (
        [addressed(0x1000, 0), addressed(0x1001, 0)],
        b"abcd",
        [(0x1000, False, _EMPTY), (0x1001, False, b"abcd")],
    ),
    "an item at the end": (
        [addressed(0x1000, 0), addressed(0x1001, 4)],
        b"abcd",
        [(0x1000, False, b"abcd"), (0x1001, False, _EMPTY)],
    ),
    "NULL ends an item": ([addressed(0x1000, 0), addressed(0, 2)], b"abcd", [(0x1000, False, b"ab")]),
    "NULL before an item at its address": (
        [addressed(0, 0), addressed(0x1000, 0)],
        b"abcd",
        [(0x1000, False, b"abcd")],
    ),
    "NULL behind an item at its address": (
        [addressed(0x1000, 0), addressed(0, 0)],
        b"abcd",
        [(0x1000, False, _EMPTY)],
    ),
    "immediate NULL": ([immediate(0, 0), immediate(0x1000, 0)], b"", [_immediate(0x1000, 0)]),
    "ids of every packet, addressed, do not even end an item": (
        [addressed(0x1000, 0), *(addressed(item_id, item_id) for item_id in (1, 2, 3, 4))],
        b"abcd",
        [(0x1000, False, b"abcd")],
    ),
    "a descriptor ends an item": ([addressed(0x1000, 0), addressed(5, 2)], b"abcd", [(0x1000, False, b"ab")]),
    "an immediate descriptor is ignored": ([immediate(5, 3), immediate(0x1000, 1)], b"", [_immediate(0x1000, 1)]),
    "stream control is an item": (
        [immediate(6, 7), addressed(6, 0), immediate(6, 0)],
        b"abcd",
        [(6, False, b"abcd"), _immediate(6, 0), _immediate(6, 7)],
    ),
    "only an immediate": ([immediate(0x1000, 1)], b"", [_immediate(0x1000, 1)]),
    "nothing": ([], b"abcd", []),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    pointers, payload, expected = GOLDEN[name]
    assert wire.summary(wire.heap(pointers, payload).get_items()) == expected


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_as_spead2(name: str) -> None:
    """The same as in spead2, which loses items without bytes."""
    pointers, payload, expected = GOLDEN[name]
    heap = wire.spead2_receive([wire.packet(pointers, payload)])
    assert wire.spead2_summary(heap) == [item for item in expected if item[2] != _EMPTY]


_pointers = st.lists(
    st.one_of(
        st.builds(addressed, st.integers(0, 0x20), st.integers(0, 16)),
        st.builds(immediate, st.one_of(st.just(0), st.integers(5, 0x20)), st.integers(0, 3)),
    ),
    max_size=12,
)


@given(_pointers)
def test_any_pointers_as_spead2(pointers: list[int]) -> None:
    payload = bytes(range(16))
    heap = wire.spead2_receive([wire.packet(pointers, payload)])
    items = wire.summary(wire.heap(pointers, payload).get_items())
    assert [item for item in items if item[2]] == wire.spead2_summary(heap)


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=20), st.sampled_from(wire.ADDRESS_BITS), st.integers(0, 255))
def test_find_items_covers_the_payload_in_order(pointers: list[int], bits: int, size: int) -> None:
    """Any pointers at all: an error, or items that lie in the payload, in order, none overlapping another."""
    try:
        items, _ = find_items(wire.words(*pointers), bits, size)
    except ValueError as error:
        assert "starts at byte" in str(error)  # noqa: PT017 - no error is right as well
        return
    end = 0
    for item_id, start, stop in items:
        assert item_id > 4
        assert end <= start <= stop <= size
        end = stop


def test_pointer_beyond_the_payload() -> None:
    heap = wire.heap([addressed(0x1000, 5)], b"abcd")
    with pytest.raises(ValueError, match="item 0x1000 starts at byte 5 of a heap of 4 bytes"):
        heap.get_items()
    with pytest.raises(ValueError, match="starts at byte 5"):
        heap.get_descriptors()


def test_raw_item_is_a_view_of_the_payload() -> None:
    payload = wire.to_bytes(b"abcd")
    heap = Heap(7, wire.flavour(), wire.words(addressed(0x1000, 1)), payload)
    (item,) = heap.get_items()
    assert (heap.cnt, heap.flavour) == (7, wire.flavour())
    memoryview(item)[0] = ord("X")
    assert payload.tobytes() == b"aXcd"
    assert bytes(item) == b"Xcd"
    assert (item.id, item.is_immediate, item.immediate_value) == (0x1000, False, 0)
    part = item[1:]
    assert isinstance(part, RawItem)
    assert (bytes(part), part.id) == (b"cd", 0x1000)


@pytest.mark.parametrize("bits", wire.ADDRESS_BITS)
def test_raw_immediate_item(bits: int) -> None:
    value = (1 << bits) - 2
    (item,) = wire.heap([immediate(0x21, value, bits)], bits=bits).get_items()
    assert (item.id, item.is_immediate, item.immediate_value) == (0x21, True, value)
    assert bytes(item) == value.to_bytes(bits // 8, "big")


@pytest.mark.parametrize("bits", wire.ADDRESS_BITS)
def test_stream_control(bits: int) -> None:
    start = wire.heap([immediate(STREAM_CTRL_ID, CTRL_STREAM_START, bits)], bits=bits)
    stop = wire.heap([immediate(STREAM_CTRL_ID, CTRL_STREAM_STOP, bits)], bits=bits)
    assert (start.is_start_of_stream(), start.is_end_of_stream()) == (True, False)
    assert (stop.is_start_of_stream(), stop.is_end_of_stream()) == (False, True)


@pytest.mark.parametrize("value", [1, 3, 4, 99])
def test_other_stream_control_values_mean_nothing(value: int) -> None:
    heap = wire.heap([immediate(STREAM_CTRL_ID, value)])
    assert not heap.is_start_of_stream()
    assert not heap.is_end_of_stream()


@pytest.mark.parametrize("size", [1, 5, 8])
def test_stream_control_in_the_payload(size: int) -> None:
    """It does not stop a stream, but the heap says so."""
    heap = wire.heap([addressed(STREAM_CTRL_ID, 0)], CTRL_STREAM_STOP.to_bytes(size, "big"))
    assert (heap.is_start_of_stream(), heap.is_end_of_stream()) == (False, True)
    heap = wire.heap([addressed(STREAM_CTRL_ID, 0)], CTRL_STREAM_START.to_bytes(size, "big"))
    assert (heap.is_start_of_stream(), heap.is_end_of_stream()) == (True, False)


def test_incomplete_heap_has_its_immediate_items() -> None:
    pointers = wire.words(addressed(0x1000, 99), immediate(0x1001, 5), immediate(STREAM_CTRL_ID, CTRL_STREAM_STOP))
    heap = IncompleteHeap(3, wire.flavour(), pointers, 100, 50, [(0, 50)])
    assert wire.summary(heap.get_items()) == [_immediate(STREAM_CTRL_ID, 2), _immediate(0x1001, 5)]
    assert heap.is_end_of_stream()
    assert (heap.cnt, heap.heap_length, heap.received_length, heap.payload_ranges) == (3, 100, 50, [(0, 50)])


# ------------------------------------------------------------------------------------------------- descriptors


def _descriptor_heap(*values: bytes, bits: int = 40, bug_compat: int = 0) -> Heap:
    pointers, payload = [], b""
    for value in values:
        pointers.append(addressed(5, len(payload), bits))
        payload += value
    return wire.heap(pointers, payload, bits=bits, bug_compat=bug_compat)


def _descriptor(*extra: int, payload: bytes = b"name", **options: int) -> bytes:
    return wire.packet([immediate(0x14, 0x21), addressed(0x10, 0), *extra], payload, **options)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (_descriptor(), b"name"),
        (_descriptor(heap_length=-1), b"name"),
        (_descriptor() + b"zz", b"name"),
        (_descriptor(addressed(0x99, 2)), b"na"),  # an id that means nothing
        (wire.packet([immediate(0x14, 0x21, 48), addressed(0x10, 0, 48)], b"name", bits=48), b"name"),
    ],
)
def test_descriptors(value: bytes, name: bytes) -> None:
    (raw,) = _descriptor_heap(value).get_descriptors()
    assert raw == RawDescriptor(0x21, name)


@pytest.mark.parametrize(
    "value",
    [
        b"abc",
        b"abcdefgh" * 8,
        wire.packet([]),
        wire.packet([addressed(0x14, 0)], b"abcde"),  # the id must be immediate
        _descriptor(heap_length=5),
        _descriptor(heap_length=5, offset=1),
        _descriptor(addressed(0x12, 1)),  # three bytes of shape
        _descriptor(addressed(0x13, 1)),  # three bytes of format
        _descriptor(addressed(0x12, 0), payload=bytes(6 * 1025)),
        _descriptor(addressed(0x13, 0), payload=bytes(4 * 4097)),
        _descriptor(addressed(0x11, 9)),  # beyond the payload
    ],
)
def test_malformed_descriptor_is_logged_and_left_out(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "spead_transport"):
        descriptors = _descriptor_heap(value, _descriptor()).get_descriptors()
    assert [raw.name for raw in descriptors] == [b"name"]
    assert len(caplog.records) == 1
    assert "ignored a descriptor in heap 1" in caplog.text


def test_making_a_heap_looks_at_nothing() -> None:
    """An engine makes them by the hundred thousand."""
    heap = Heap(1, wire.flavour(), wire.words(addressed(0x1000, 99)), np.zeros(0, np.uint8))
    assert not hasattr(heap, "__dict__")
