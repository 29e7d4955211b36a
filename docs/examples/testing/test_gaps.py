"""Tests of code that is given streams."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from spead_transport import recv, send
from spead_transport.testing import AsyncStreamPair, Link, StreamPair


def missing(heaps: Iterable[recv.ReceivedHeap]) -> list[int]:
    """The code under test: which heaps of a stream did not come."""
    cnts = {heap.cnt for heap in heaps}
    return sorted(set(range(min(cnts), max(cnts))) - cnts)


def heap() -> send.Heap:
    group = send.ItemGroup()
    group.add_item(None, "spectrum", "Power", (4,), dtype=np.float32, value=np.zeros(4, np.float32))
    return group.get_heap()


@pytest.mark.transports("inproc", "inproc?max_packets=8", "udp", engines="all")
def test_missing(spead_pair: StreamPair) -> None:
    sender, receiver = spead_pair
    for cnt in (3, 4, 6):
        sender.send_heap(heap(), cnt, timeout=10)
    assert missing(receiver.get(timeout=10) for _ in range(3)) == [5]


def test_a_burst(spead_link: Link) -> None:
    with spead_link.streams(ring_config=recv.RingStreamConfig(heaps=1)) as (sender, receiver):
        for cnt in range(100):
            sender.send_heap(heap(), cnt, timeout=10)
        assert missing(receiver.get(timeout=10) for _ in range(100)) == []


@pytest.mark.usefixtures("spead_no_leaks")
async def test_asyncio(spead_async_pair: AsyncStreamPair) -> None:
    sender, receiver = spead_async_pair
    for cnt in (3, 5):
        await sender.async_send_heap(heap(), cnt)
    assert missing([await receiver.get() for _ in range(2)]) == [4]
