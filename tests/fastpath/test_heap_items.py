"""The items of heaps that arrived natively are those that the package's class finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport import recv

from ..wire import IMMEDIATE, addressed, immediate, packet

pytest.importorskip("spead_transport_fastpath")

_BITS = st.sampled_from([8, 40, 48, 56])
#: Few different ones, so that ids, addresses and whole pointers occur more than once.
_WORD = st.tuples(st.booleans(), st.sampled_from([0, 1, 4, 5, 6, 7, 0x41]), st.sampled_from([0, 1, 3, 16, 17, 255]))


def received(*packets: bytes) -> list[recv.Heap]:
    """The heaps in some packets; incomplete ones are left out."""
    config = recv.StreamConfig(stop_on_stop_item=False)
    with recv.Stream(None, config, recv.RingStreamConfig(heaps=16), engine="native") as stream:
        stream.add_buffer_reader(b"".join(packets))
        return [heap for heap in stream if isinstance(heap, recv.Heap)]


def seen(items: list[recv.RawItem]) -> list[tuple[int, bool, int, bytes, bool]]:
    return [
        (item.id, item.is_immediate, item.immediate_value, item.tobytes(), bool(item.flags.writeable))
        for item in items
    ]


@given(st.lists(_WORD, max_size=80), _BITS)
def test_items_are_where_python_finds_them(words: list[tuple[bool, int, int]], bits: int) -> None:
    pointers = [
        (IMMEDIATE if is_immediate else 0) | item_id << bits | value for is_immediate, item_id, value in words
    ]
    for heap in received(packet(1, bytes(range(16)), pointers, bits=bits)):
        located, items = heap.locate_items(), heap.get_items()
        assert type(heap).__module__ != recv.Heap.__module__
        expected = recv.Heap(heap.cnt, heap.flavour, heap.pointers, heap.payload)
        assert located == expected.locate_items()
        assert seen(items) == seen(expected.get_items())


def test_items_keep_the_payload_and_share_it() -> None:
    (heap,) = received(packet(1, b"abcdef", [addressed(0x1000, 0), addressed(0x1001, 2), immediate(0x1002, 7)]))
    first, second, third = heap.get_items()
    second[0] = ord("X")
    assert heap.payload.tobytes() == b"abXdef"
    del heap
    assert (first.tobytes(), second.tobytes(), third.immediate_value) == (b"ab", b"Xdef", 7)
    part, copy = first[1:], third.copy()
    assert isinstance(part, recv.RawItem)
    assert isinstance(copy, recv.RawItem)
    assert (part.id, copy.immediate_value) == (0x1000, 7)


def _pointers(heap: recv.Heap) -> None:
    heap.pointers = np.array([addressed(0x1001, 1)], np.uint64)


def _changed_pointers(heap: recv.Heap) -> None:
    heap.pointers[0] = addressed(0x1001, 1)


def _payload(heap: recv.Heap) -> None:
    heap.payload = np.frombuffer(b"wxyz", np.uint8)


@pytest.mark.parametrize(
    ("change", "expected"),
    [(_pointers, (0x1001, b"bcd")), (_changed_pointers, (0x1001, b"bcd")), (_payload, (0x1000, b"wxyz"))],
)
def test_a_heap_that_was_changed_has_other_items(
    change: Callable[[recv.Heap], Any], expected: tuple[int, bytes]
) -> None:
    (heap,) = received(packet(1, b"abcd", [addressed(0x1000, 0)]))
    change(heap)
    (item,) = heap.get_items()
    assert (item.id, item.tobytes()) == expected
    heap.payload = heap.payload[:0]
    if item.id == 0x1001:
        with pytest.raises(ValueError, match="starts at byte 1 of a heap of 0 bytes"):
            heap.locate_items()
