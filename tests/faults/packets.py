"""Packets to lose, and a way through the wrapper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from spead_transport_faults import FaultsConfig, FaultyReceiver, FaultySender
from spead_transport_inproc import InprocReceiver, InprocSender

from spead_transport import InprocQueue, send
from spead_transport.errors import EndOfStream
from spead_transport.transport import ManualClock, PacketBatch, PacketReceiver

__all__ = ["drain", "heap_packets", "numbered", "numbers", "receiving", "sending"]


def numbered(count: int, first: int = 0) -> PacketBatch:
    """Packets of 100 bytes that are no heaps; each begins with its number."""
    return PacketBatch.of([number.to_bytes(4, "big") + bytes(96) for number in range(first, first + count)])


def numbers(packets: list[bytes]) -> list[int]:
    """The numbers of such packets."""
    return [int.from_bytes(packet[:4], "big") for packet in packets]


def heap_packets(cnt: int, packets: int = 5) -> list[bytes]:
    """A heap in so many packets."""
    group = send.ItemGroup()
    values = np.arange(72 * packets - 8) % 251
    group.add_item(0x1000, "data", "", values.shape, np.uint8, value=values)
    heap = group.get_heap(descriptors="none", data="all")
    made = list(send.PacketGenerator(heap, cnt, max_packet_size=112))
    assert len(made) == packets
    return made


def drain(receiver: PacketReceiver) -> list[bytes]:
    """What can be received now."""
    packets: list[bytes] = []
    try:
        while len(batch := receiver.try_recv(1000)):
            packets += [packet.tobytes() for packet in batch.packets()]
    except EndOfStream:
        pass
    return packets


@contextmanager
def sending(**options: Any) -> Iterator[tuple[FaultySender, InprocReceiver, ManualClock]]:
    """A sender through which things go wrong, where its packets arrive, and the time."""
    clock, queue = ManualClock(), InprocQueue()
    with (
        InprocReceiver(queue) as receiver,
        FaultySender(InprocSender([queue]), FaultsConfig(**options), clock=clock) as sender,
    ):
        yield sender, receiver, clock


@contextmanager
def receiving(**options: Any) -> Iterator[tuple[InprocSender, FaultyReceiver, InprocQueue, ManualClock]]:
    """The same for a receiver, with the queue between the ends."""
    clock, queue = ManualClock(), InprocQueue()
    with (
        InprocSender([queue]) as sender,
        FaultyReceiver(InprocReceiver(queue), FaultsConfig(**options), clock=clock) as receiver,
    ):
        yield sender, receiver, queue, clock
