"""What streams do, blocking and with asyncio."""

from __future__ import annotations

import asyncio
from typing import assert_type

import spead_transport as spead
from spead_transport import recv, send


def blocking(sender: send.SyncStream, receiver: recv.Stream, heap: send.Heap) -> None:
    assert_type(sender.send_heap(heap), int)
    assert_type(sender.send_heap(heap, 5, 0, 1e6, timeout=1.0), int)
    references = [send.HeapReference(heap, cnt=3, substream_index=1, rate=0.0)]
    assert_type(sender.send_heaps(references, send.GroupMode.SERIAL), int)
    assert_type(sender.send_heaps(send.HeapReferenceList(references), send.GroupMode.ROUND_ROBIN), int)
    assert_type(sender.flush(timeout=0.5), None)
    assert_type(receiver.get(), recv.ReceivedHeap)
    assert_type(receiver.get(timeout=1.0), recv.ReceivedHeap)
    assert_type(receiver.get_nowait(), recv.ReceivedHeap)
    for received in receiver:
        assert_type(received, recv.ReceivedHeap)
        assert_type(received.cnt, int)
        if isinstance(received, recv.IncompleteHeap):
            assert_type(received, recv.IncompleteHeap)
            assert_type(received.payload_ranges, list[tuple[int, int]])
        else:
            assert_type(received, recv.Heap)
    assert_type(receiver.stats, recv.StreamStats)
    assert_type(receiver.stats["heaps"], int)
    assert_type(receiver.stats.heaps, int)
    assert_type(receiver.fd, int)

    sender.send_heap("heap")  # error
    sender.send_heap(heap, rate="fast")  # error
    sender.send_heap(heap, 0, 0, 0.0, 1.0)  # error
    sender.send_heaps([heap], send.GroupMode.SERIAL)  # error
    sender.send_heaps(references, 1)  # error
    sender.send_heaps(references)  # error
    send.HeapReference(heap, 3)  # error
    send.HeapReferenceList([heap])  # error
    receiver.get("1 s")  # error
    receiver.stats[1.5]  # error


async def with_asyncio(sender: send.asyncio.AsyncStream, receiver: recv.asyncio.Stream, heap: send.Heap) -> None:
    assert_type(sender.async_send_heap(heap), asyncio.Future[int])
    assert_type(await sender.async_send_heap(heap), int)
    references = [send.HeapReference(heap)]
    assert_type(await sender.async_send_heaps(references, send.GroupMode.SERIAL), int)
    assert_type(await sender.async_flush(), None)
    assert_type(await receiver.get(), recv.ReceivedHeap)
    async for received in receiver:
        assert_type(received, recv.ReceivedHeap)
    for received in receiver:
        assert_type(received, recv.ReceivedHeap)

    sender.send_heap(heap)  # error
    number: int = sender.async_send_heap(heap)  # error
    print(number)


def item_groups(received: recv.Heap, incomplete: recv.IncompleteHeap) -> None:
    group = spead.ItemGroup()
    assert_type(group.update(received), dict[str, spead.Item])
    assert_type(group.update(incomplete), dict[str, spead.Item])
    assert_type(group["x"], spead.Item)
    assert_type(group[0x1000].version, int)
    assert_type(0x1000 in group, bool)
    sending = send.ItemGroup(descriptor_frequency=10)
    assert_type(sending.add_item(None, "x", "", (None, 3), dtype="<f4"), spead.Item)
    assert_type(sending.add_item(0x1000, "y", "", (), format=[("u", 48)], value=7), spead.Item)
    assert_type(sending.get_heap(descriptors="all", data="stale"), send.Heap)

    group[1.5]  # error
    sending.add_item(0x1000, "y", "", 3, dtype="<f4")  # error
    sending.add_item("0x1000", "y", "", ())  # error
