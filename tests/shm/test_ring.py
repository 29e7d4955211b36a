"""What is written to a ring is what is read from it, and no part of it is used twice at the same time."""

from __future__ import annotations

from collections import deque

import hypothesis.strategies as st
import pytest
from hypothesis import given
from spead_transport_shm import ShmTransport
from spead_transport_shm.messages import WINDOW
from spead_transport_shm.ring import Space

from spead_transport.testing.packets import bytes_of, make_batch
from spead_transport.transport import PacketBatch

from ..exchange import receive_to_end

_SIZES = st.integers(0, 40) | st.integers(0, 200_000)


@given(
    batches=st.lists(st.lists(_SIZES, max_size=12), max_size=25),
    reads=st.lists(st.integers(0, 30), max_size=25),
)
def test_round_trip(batches: list[list[int]], reads: list[int]) -> None:
    """Packets of any sizes, read at any pace: those that wait stay as they were sent."""
    url = f"{ShmTransport.loopback_url()}?size=2MiB"
    transport = ShmTransport.from_url(url)
    sent: list[bytes] = []
    arrived: list[bytes] = []
    with transport.open_receiver() as receiver, transport.open_sender() as sender:
        for turn, sizes in enumerate(batches):
            packets = [bytes([(turn + index) % 256]) * size for index, size in enumerate(sizes)]
            rest = PacketBatch.of(packets)
            sent += packets
            while len(rest):
                taken = sender.try_send(rest)
                rest = rest[taken:]
                if not taken:
                    arrived += bytes_of(receiver.try_recv(1))
            if turn < len(reads) and reads[turn]:
                arrived += bytes_of(receiver.try_recv(reads[turn]))
        while len(arrived) < len(sent):
            assert receiver.readable.wait(0)
            arrived += bytes_of(receiver.try_recv(7))
    assert arrived == sent


def test_many_small_batches_and_a_goodbye() -> None:
    """No socket overflows, however many messages are under way."""
    batch = make_batch([100])
    transport = ShmTransport.from_url(ShmTransport.loopback_url())
    with transport.open_receiver() as receiver:
        with transport.open_sender() as sender:
            sent = 0
            while sender.try_send(batch):
                sent += 1
            assert sent == WINDOW
        assert receive_to_end(receiver) == bytes_of(batch) * WINDOW


@given(steps=st.lists(st.integers(-5, 1000), max_size=60))
def test_records_never_overlap(steps: list[int]) -> None:
    """Positive numbers write a record of so many bytes if there is room; others free so many."""
    space = Space(2048)
    records: deque[range] = deque()
    for step in steps:
        if step <= 0:
            count = min(-step, len(records))
            space.free(count)
            for _ in range(count):
                records.popleft()
            continue
        for start, end in space.gaps():
            assert start % 64 == 0
            assert not any(record.start < end and start < record.stop for record in records)
            if end - start >= step:
                space.occupy(start, start + step)
                records.append(range(start, start + step))
                break
        else:
            assert records, "an empty ring has room for everything"
        assert space.records == len(records)


def test_no_more_is_freed_than_there_is() -> None:
    space = Space(2048)
    space.occupy(0, 100)
    with pytest.raises(ValueError, match="2 records were acknowledged, but only 1 were sent"):
        space.free(2)
