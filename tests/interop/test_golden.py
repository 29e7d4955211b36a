"""Hand-made packets, read by both packages: the rules of receiving, and where this package does better."""

from __future__ import annotations

from typing import Any

import pytest

from ..wire import addressed, immediate, packet, raw_packet
from .common import PACKAGES, receive


def summary(package: Any, *packets: bytes, **config: Any) -> list[tuple[Any, ...]]:
    """What a program sees of the heaps in `packets`: kind, number, items."""
    stream = package.recv.Stream(
        package.ThreadPool(),
        package.recv.StreamConfig(**config),
        package.recv.RingStreamConfig(heaps=64, contiguous_only=False, incomplete_keep_payload_ranges=True),
    )
    queue = package.InprocQueue()
    for data in packets:
        queue.add_packet(data)
    queue.stop()
    stream.add_inproc_reader(queue)
    seen: list[tuple[Any, ...]] = []
    for heap in stream:
        items = [
            (item.id, item.immediate_value) if item.is_immediate else (item.id, bytes(item))
            for item in heap.get_items()
        ]
        if type(heap).__name__ == "Heap":
            seen.append(("Heap", heap.cnt, items, heap.is_start_of_stream(), heap.is_end_of_stream()))
        else:
            seen.append(
                ("IncompleteHeap", heap.cnt, items, heap.heap_length, heap.received_length, heap.payload_ranges)
            )
    return seen


def halves(cnt: int) -> list[bytes]:
    return [packet(cnt, b"x" * 8, offset=offset, length=16) for offset in (0, 8)]


PARTS = [packet(1, bytes([index]) * 1424, offset=index * 1424, length=3 * 1424) for index in range(3)]
STOP = packet(2, b"abcd", [immediate(6, 2), addressed(0x1000, 0)])

SAME: dict[str, tuple[list[bytes], dict[str, Any]]] = {
    "order of the items": (
        [
            packet(
                1,
                b"abcdefgh",
                [
                    immediate(0x1001, 9),
                    immediate(0x1000, 5),
                    addressed(0x1002, 4),
                    addressed(0x1003, 0),
                    immediate(0x1004, 2),
                ],
            )
        ],
        {},
    ),
    "items that come twice": (
        [packet(1, b"", [immediate(0x1000, 5), immediate(0x1000, 5), immediate(0x1000, 6)])],
        {},
    ),
    "a NULL pointer ends an item": ([packet(1, b"abcd", [addressed(0x1000, 0), addressed(0, 2)])], {}),
    "an address beyond the heap": ([packet(1, b"abcd", [addressed(0x1000, 100)])], {}),
    "no heap length": ([packet(1, b"abcd", [addressed(0x1000, 0)], length=None)], {}),
    "a stop item with an address": ([packet(1, b"\0\0\0\0\2", [addressed(6, 0)]), packet(2, b"x")], {}),
    "stop discards its heap and what follows": ([packet(1, b"abcd"), STOP, packet(3, b"x")], {}),
    "stop delivered": ([STOP, packet(3, b"x")], {"stop_on_stop_item": False}),
    "an empty payload": ([packet(1, b"", [immediate(0x1000, 5)])], {}),
    "garbage": ([b"x" * 100, b"\x53" * 64, packet(1, b"x")], {}),
    "trailing junk": ([packet(1, b"abcd") + b"junk", packet(2, b"abcd")], {}),
    "eviction in order of arrival": (
        [part for parts in zip(halves(10), halves(5), halves(7), strict=True) for part in parts],
        {"max_heaps": 2},
    ),
    "duplicates in order": ([PARTS[0], PARTS[1], PARTS[1]], {}),
    "out of order, not allowed": ([PARTS[0], PARTS[2], PARTS[1]], {}),
    "out of order, allowed": ([PARTS[2], PARTS[0], PARTS[0], PARTS[1]], {"allow_out_of_order": True}),
    "pointers in any order": (
        [
            raw_packet(
                [addressed(0x1000, 0), immediate(4, 4), immediate(3, 0), immediate(2, 4), immediate(1, 9)], b"abcd"
            )
        ],
        {},
    ),
    "unknown control values": ([packet(1, b"x", [immediate(6, 7)]), packet(2, b"x", [immediate(6, 0)])], {}),
    "unsized heaps not allowed": (
        [packet(1, b"abcd", length=None), packet(2, b"abcd")],
        {"allow_unsized_heaps": False},
    ),
    "flavour changes within a heap": (
        [packet(1, b"x" * 8, length=16), packet(1, b"y" * 8, offset=8, length=16, bits=48)],
        {},
    ),
    "length changes": ([packet(1, b"x" * 8, length=16), packet(1, b"y" * 8, offset=8, length=24)], {}),
    "substreams": (
        [part for index in range(2) for part in (halves(cnt)[index] for cnt in range(8))],
        {"max_heaps": 2, "substreams": 4},
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_both_see_the_same(case: str) -> None:
    packets, config = SAME[case]
    ours, theirs = (summary(package, *packets, **config) for package in PACKAGES.values())
    assert ours == theirs


def test_empty_items_are_not_lost() -> None:
    """Of two items at one address the first is empty; spead2 drops it."""
    packets = packet(1, b"abcd", [addressed(0x1000, 0), addressed(0x1001, 0)])
    assert summary(PACKAGES["ours"], packets)[0][2] == [(0x1000, b""), (0x1001, b"abcd")]
    assert summary(PACKAGES["spead2"], packets)[0][2] == [(0x1001, b"abcd")]


def test_a_buffer_with_junk_between_packets() -> None:
    data = packet(1, b"x" * 8) + b"garbage!" + packet(2, b"y" * 8)
    ours, theirs = ([heap.cnt for heap in receive(package, data)] for package in PACKAGES.values())
    assert ours == [1, 2]
    assert theirs == [1]  # it gives up at the first junk
