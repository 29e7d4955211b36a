"""Heaps to send."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from spead_transport.protocol.flavour import Flavour
from spead_transport.protocol.item import Item
from spead_transport.protocol.outgoing import Heap, PacketGenerator

from ..wire import addressed, immediate
from . import wire


def _item(value: Any, item_id: int = 0x1000, shape: Any = (None,), **arguments: Any) -> Item:
    if not arguments:
        arguments = {"format": [("u", 8)]}
    return Item(item_id, f"item{item_id}", "", shape, value=value, **arguments)


def test_layout() -> None:
    first, second = np.arange(10, dtype=np.uint8), np.arange(4, dtype=np.uint8)
    heap = Heap()
    heap.add_start()
    heap.add_item(_item(first, 0x1000))
    heap.add_item(_item(7, 0x1001, ()))
    heap.add_item(_item(second, 0x1002))
    heap.add_end()
    layout = heap.layout()
    assert layout.pointers.tolist() == [
        immediate(6, 0), addressed(0x1000, 0), immediate(0x1001, 7), addressed(0x1002, 10), immediate(6, 2),
    ]  # fmt: skip
    assert layout.payload_size == 14
    assert [block.tolist() for block in layout.payload] == [first.tolist(), second.tolist()]
    assert all(map(np.shares_memory, layout.payload, (first, second)))


def test_layout_is_kept_until_something_is_added() -> None:
    heap = Heap()
    heap.add_item(_item(np.zeros(10, np.uint8)))
    layout = heap.layout()
    assert heap.layout() is layout
    heap.add_item(_item(np.zeros(5, np.uint8), 0x1001))
    assert heap.layout().payload_size == 15
    heap.add_end()
    assert len(heap.layout().pointers) == 3
    heap.add_descriptor(_item(0))
    assert len(heap.layout().pointers) == 4


@pytest.mark.parametrize("bits", wire.ADDRESS_BITS)
def test_largest_immediate(bits: int) -> None:
    flavour = wire.flavour(bits)
    heap = Heap(flavour)
    heap.add_item(_item([1] * (bits // 8), 0x21, (bits // 8,)))
    heap.add_item(_item([1] * (bits // 8 + 1), 0x22, (bits // 8 + 1,)))
    heap.add_item(_item([1], 0x23))  # of varying size
    pointers = heap.layout().pointers.tolist()
    ones = int.from_bytes(bytes([1] * (bits // 8)), "big")
    assert pointers == [immediate(0x21, ones, bits), addressed(0x22, 0, bits), addressed(0x23, bits // 8 + 1, bits)]


@pytest.mark.parametrize("bits", [40, 48])
def test_a_heap_sent_again_has_the_new_values_of_its_arrays(bits: int) -> None:
    counter = np.array(1, ">u8")
    data = np.zeros(100, np.uint8)
    heap = Heap(wire.flavour(bits))
    heap.add_item(_item(counter, 0x1000, (), format=[("u", 48)]))
    heap.add_item(_item(counter, 0x1001, (), format=[("u", 40)]))
    heap.add_item(_item(data, 0x1002))
    for number in (1, 2, 3):
        counter[()] = number
        data[:] = number
        values = {
            raw.id: int.from_bytes(raw.tobytes(), "big") if raw.id < 0x1002 else raw.tolist()
            for raw in wire.transmit(heap).get_items()
        }
        assert values == {0x1000: number, 0x1001: number, 0x1002: [number] * 100}


def test_values_are_those_when_added_if_they_are_not_arrays() -> None:
    item = _item(5, 0x1000, ())
    heap = Heap()
    heap.add_item(item)
    item.value = 6
    assert heap.layout().pointers.tolist() == [immediate(0x1000, 5)]


@pytest.mark.parametrize(("bits", "item_id"), [(8, 7), (8, (1 << 55) - 1), (40, (1 << 23) - 1), (56, 127)])
def test_ids_in_range(bits: int, item_id: int) -> None:
    heap = Heap(wire.flavour(bits))
    heap.add_item(_item([], item_id))
    assert heap.layout().pointers.tolist() == [addressed(item_id, 0, bits)]


@pytest.mark.parametrize(("bits", "item_id"), [(16, 1 << 47), (40, 1 << 23), (56, 128)])
def test_ids_out_of_range(bits: int, item_id: int) -> None:
    with pytest.raises(ValueError, match="Item ID out of range"):
        Heap(wire.flavour(bits)).add_item(_item([1], item_id))


def test_reserved_ids() -> None:
    class Fake:
        id = 6

        def allow_immediate(self) -> bool:
            return False

        def to_buffer(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
            return np.zeros(1, np.uint8)

    with pytest.raises(ValueError, match="Item ID out of range: 0x6"):
        Heap().add_item(Fake())


def test_too_large_for_the_flavour() -> None:
    heap = Heap(wire.flavour(8))
    heap.add_item(_item(np.zeros(200, np.uint8), 7))
    heap.add_item(_item(np.zeros(55, np.uint8), 8))
    with pytest.raises(ValueError, match="more than 255 bytes is too large for flavour SPEAD-64-8"):
        heap.add_item(_item([1], 9))
    assert len(wire.transmit(heap).payload) == 255


def test_an_item_that_cannot_be_added_leaves_the_heap_alone() -> None:
    heap = Heap()
    heap.add_item(_item([1, 2, 3]))
    with pytest.raises(ValueError, match="out of range"):
        heap.add_item(_item([300], 0x1001))
    assert wire.summary(wire.transmit(heap).get_items()) == [(0x1000, False, b"\1\2\3")]


# ------------------------------------------------------------------------------------------ items without bytes

_EMPTY = [
    ((None,), {"format": [("c", 8)]}, ""),
    ((None,), {"format": [("u", 12)]}, []),
    ((0,), {"dtype": "f4"}, []),
    ((0, 3), {"format": [("u", 12)]}, np.zeros((0, 3))),
    ((2, 0), {"dtype": "S3"}, np.zeros((2, 0), "S3")),
]


@pytest.mark.parametrize(("shape", "arguments", "value"), _EMPTY)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_empty_items_arrive(shape: Any, arguments: Any, value: Any, position: int) -> None:
    items = [_item([1, 2, 3, 4, 5, 6, 7], 0x1001), _item([9] * 7, 0x1002)]
    items.insert(position, _item(value, 0x1000, shape, **arguments))
    heap = Heap()
    for item in items:
        heap.add_item(item)
    raw = {item.id: item for item in wire.transmit(heap).get_items()}
    assert {item_id: item.tobytes() for item_id, item in raw.items()} == {
        0x1000: b"", 0x1001: bytes([1, 2, 3, 4, 5, 6, 7]), 0x1002: bytes([9] * 7),
    }  # fmt: skip
    received = _item(None, 0x1000, shape, **arguments)
    received.set_from_raw(raw[0x1000])
    assert np.shape(received.value) == np.shape(value)
    assert len(received.value) == len(value)


@pytest.mark.parametrize("sizes", [[0], [0, 0, 0], [0, 3, 0], [3, 0, 3, 0, 1], [0] * 30])
@pytest.mark.parametrize("max_packet_size", [56, 64, 104, 1472])
def test_empty_items_arrive_in_any_order_of_packets(sizes: list[int], max_packet_size: int) -> None:
    heap = Heap()
    for number, size in enumerate(sizes):
        heap.add_item(_item([number] * size, 0x1000 + number))
    packets = list(PacketGenerator(heap, 1, max_packet_size))
    expected = {0x1000 + number: bytes([number] * size) for number, size in enumerate(sizes)}
    for order in (packets, packets[::-1], packets[1::2] + packets[::2]):
        assert {item.id: item.tobytes() for item in wire.join(order).get_items()} == expected
    theirs = wire.spead2_receive(packets)
    assert {item_id: data for item_id, _, data in wire.spead2_summary(theirs)} == {
        item_id: data for item_id, data in expected.items() if data
    }


# ------------------------------------------------------------------------------------------------- the object


def test_weak_reference_and_release() -> None:
    data = np.zeros(100, np.uint8)
    item = _item(data)
    heap = Heap()
    heap.add_item(item)
    heap.layout()
    heap_reference, data_reference = weakref.ref(heap), weakref.ref(data)
    del data, item
    gc.collect()
    assert data_reference() is not None
    del heap
    assert heap_reference() is None
    assert data_reference() is None


def test_subclass_of_flavour() -> None:
    class MyFlavour(Flavour):
        pass

    flavour = MyFlavour(4, 64, 48)
    heap = Heap(flavour)
    heap.add_item(_item([1]))
    heap.add_descriptor(_item([1]))
    assert heap.flavour is flavour
    assert Heap().flavour == Flavour()
    assert Heap().repeat_pointers is False


def test_packet_generator() -> None:
    heap = Heap()
    heap.add_item(_item([1, 2, 3]))
    packets = PacketGenerator(heap, 5, 1472)
    assert iter(packets) is packets
    assert next(packets) == wire.packet([addressed(0x1000, 0)], b"\1\2\3", cnt=5)
    with pytest.raises(StopIteration):
        next(packets)
    assert next(PacketGenerator(heap, (1 << 40) + 5, 1472)) == wire.packet([addressed(0x1000, 0)], b"\1\2\3", cnt=5)
    for size in (-8, 0, 20, 55):
        with pytest.raises(ValueError, match="packet size is too small"):
            PacketGenerator(heap, 1, size)
    with pytest.raises(ValueError, match="negative"):
        PacketGenerator(heap, -1, 1472)


def test_repeated_pointers() -> None:
    heap = Heap()
    heap.repeat_pointers = True
    heap.add_item(_item(7, 0x1001, ()))
    heap.add_item(_item(np.arange(200, dtype=np.uint8)))
    packets = list(PacketGenerator(heap, 1, 80))
    assert len(packets) > 2
    assert wire.summary(wire.join(packets).get_items()) == [
        (0x1000, False, bytes(range(200))),
        (0x1001, True, b"\0\0\0\0\7"),
    ]
    assert wire.summary(wire.join(packets[1:] + packets[:1]).get_items())[0][2] == bytes(range(200))
    with pytest.raises(ValueError, match="packet size is too small"):
        PacketGenerator(heap, 1, 64)
