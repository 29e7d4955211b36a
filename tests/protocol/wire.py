"""Packets and heaps made by hand, and what each package makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import spead2.recv

from spead_transport.protocol.batch import Bytes
from spead_transport.protocol.constants import BUG_COMPAT_PYSPEAD_0_5_2
from spead_transport.protocol.flavour import Flavour
from spead_transport.protocol.layout import Pointers
from spead_transport.protocol.outgoing import Heap as OutgoingHeap
from spead_transport.protocol.outgoing import PacketGenerator
from spead_transport.protocol.packets import Packet, decode_packet
from spead_transport.protocol.received import Heap, RawItem

from ..wire import immediate, raw_packet

#: All of them, and the one that most streams have.
ADDRESS_BITS = (8, 16, 24, 32, 40, 48, 56)
BUG_COMPAT = range(BUG_COMPAT_PYSPEAD_0_5_2 + 1)


def flavour(heap_address_bits: int = 40, bug_compat: int = 0) -> Flavour:
    return Flavour(4, 64, heap_address_bits, bug_compat)


def words(*values: int) -> Pointers:
    return np.array(values, np.uint64)


def to_bytes(data: bytes) -> Bytes:
    """A writeable array."""
    return np.frombuffer(bytearray(data), np.uint8)


def packet(
    pointers: Iterable[int],
    payload: bytes = b"",
    *,
    bits: int = 40,
    cnt: int = 1,
    heap_length: int | None = None,
    offset: int = 0,
) -> bytes:
    """A packet with the four pointers that every packet has and others.

    `heap_length` is the size of `payload` by default; -1 leaves it out.
    """
    length = len(payload) if heap_length is None else heap_length
    first = [immediate(1, cnt, bits)]
    if length >= 0:
        first.append(immediate(2, length, bits))
    return raw_packet(
        [*first, immediate(3, offset, bits), immediate(4, len(payload), bits), *pointers], payload, bits
    )


def heap(pointers: Iterable[int], payload: bytes = b"", *, bits: int = 40, bug_compat: int = 0) -> Heap:
    """A heap as an engine makes it."""
    return Heap(1, flavour(bits, bug_compat), words(*pointers), to_bytes(payload))


def join(packets: Sequence[bytes], bug_compat: int = 0) -> Heap:
    """The heap that complete packets make, in whatever order they are."""
    parts: list[Packet] = [decode_packet(to_bytes(data), bug_compat) for data in packets]
    first = parts[0]
    payload = np.zeros(max(part.payload_offset + len(part.payload) for part in parts), np.uint8)
    for part in parts:
        payload[part.payload_offset : part.payload_offset + len(part.payload)] = part.payload
    assert first.heap_length == len(payload)
    return Heap(first.heap_cnt, first.flavour, np.concatenate([part.pointers for part in parts]), payload)


def transmit(heap: OutgoingHeap, max_packet_size: int = 1472) -> Heap:
    """Send a heap, and receive it."""
    return join(list(PacketGenerator(heap, 1, max_packet_size)), heap.flavour.bug_compat)


def summary(items: Iterable[RawItem]) -> list[tuple[int, bool, bytes]]:
    return [(item.id, item.is_immediate, item.tobytes()) for item in items]


def spead2_receive(packets: Iterable[bytes], bug_compat: int = 0) -> spead2.recv.Heap:
    """The heap that spead2 makes of packets; it does not stop at a stop item."""
    queue = spead2.InprocQueue()
    stream = spead2.recv.Stream(
        spead2.ThreadPool(),
        spead2.recv.StreamConfig(bug_compat=bug_compat, stop_on_stop_item=False),
    )
    stream.add_inproc_reader(queue)
    for data in packets:
        queue.add_packet(data)
    queue.stop()
    (heap,) = stream
    return heap


def spead2_summary(heap: spead2.recv.Heap) -> list[tuple[int, bool, bytes]]:
    return [(item.id, item.is_immediate, bytes(cast(Any, item))) for item in heap.get_items()]
