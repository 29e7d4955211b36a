"""What is written to a ring is what is read from it, and no part of it is used twice at the same time."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given
from spead_transport_shm import ShmTransport
from spead_transport_shm.messages import WINDOW
from spead_transport_shm.ring import Space, kept_bytes, size_for

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
    """Positive numbers write a record of so many bytes if there is room; others free one of those that are there."""
    space = Space(2048)
    records: list[range] = []
    for step in steps:
        if step <= 0:
            if records:
                space.free(records.pop(step % len(records)).start)
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


@pytest.mark.parametrize("start", [1, 64, 128, 2048])
def test_only_what_there_is_can_be_freed(start: int) -> None:
    space = Space(2048)
    space.occupy(0, 100)
    with pytest.raises(ValueError, match=f"a record at {start} was acknowledged, where none is"):
        space.free(start)
    space.free(0)
    assert space.records == 0


@pytest.mark.parametrize("size", [2 << 20, 3_000_064, 16 << 20])
def test_what_is_kept_leaves_room_for_every_packet(size: int) -> None:
    space = Space(size)
    space.occupy(kept_bytes(size) // 64 * 64 - 64, kept_bytes(size) // 64 * 64)
    largest = size - kept_bytes(size) - 128
    assert size_for(largest) <= size < size_for(largest + 64)
    assert max(end - start for start, end in space.gaps()) >= largest + 128
