"""A queue without a bound, used directly."""

from __future__ import annotations

import array
import gc
import weakref

import numpy as np
import pytest
from spead_transport_inproc import InprocQueue, InprocReceiver, InprocSender

from spead_transport import recv, send
from spead_transport.errors import EndOfStream, Stopped, TransportError
from spead_transport.transport import PacketBatch

from .helpers import batch, bytes_of, ended, numbered, take


def test_packets_wait_for_a_receiver_that_comes_later() -> None:
    queue = InprocQueue()
    with InprocSender([queue]) as sender:
        assert sender.try_send(batch(b"one", b"two")) == 2
    queue.add_packet(b"three")
    with InprocReceiver(queue) as receiver:
        assert receiver.readable.wait(0)
        assert take(receiver) == [b"one", b"two", b"three"]


@pytest.mark.parametrize(
    "packet",
    [
        b"abcdefgh",
        bytearray(b"abcdefgh"),
        memoryview(b"abcdefgh"),
        np.frombuffer(b"abcdefgh", ">u4"),
        np.frombuffer(b"abcdefgh", np.uint8).reshape(2, 4),
        array.array("b", b"abcdefgh"),
    ],
    ids=lambda packet: type(packet).__name__,
)
def test_any_contiguous_buffer_can_be_added(packet: bytes) -> None:
    queue = InprocQueue()
    queue.add_packet(packet)
    with InprocReceiver(queue) as receiver:
        assert take(receiver) == [b"abcdefgh"]


def test_a_packet_is_copied() -> None:
    queue = InprocQueue()
    packet = bytearray(b"before")
    queue.add_packet(packet)
    packet[:] = b"after!"
    with InprocReceiver(queue) as receiver:
        assert take(receiver) == [b"before"]


def test_gaps_in_a_buffer_are_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        InprocQueue().add_packet(np.zeros((4, 4), np.uint8)[:, 1])


def test_what_is_no_buffer_is_refused() -> None:
    with pytest.raises(TypeError):
        InprocQueue().add_packet("text")  # type: ignore[arg-type]


def test_empty_packets_are_packets(engine: str) -> None:
    queue = InprocQueue()
    for _ in range(3):
        queue.add_packet(b"")
    queue.stop()
    with recv.Stream(None, engine=engine) as stream:
        stream.add_inproc_reader(queue)
        assert list(stream) == []
        assert sum(count for name, count in stream.stats.items() if name.startswith("rejected")) == 3


def test_what_waits_is_delivered_after_stop() -> None:
    queue = InprocQueue()
    queue.add_packet(b"packet")
    queue.stop()
    queue.stop()
    assert queue.stopped
    with pytest.raises(Stopped):
        queue.add_packet(b"late")
    with InprocReceiver(queue) as receiver:
        assert bytes_of(receiver.try_recv(10)) == [b"packet"]
        for _ in range(2):
            with pytest.raises(EndOfStream):
                receiver.try_recv(10)
        assert receiver.readable.wait(0)


def test_sending_to_a_stopped_queue_is_cancelled_and_others_go_on() -> None:
    stopped, other = InprocQueue(), InprocQueue()
    stopped.stop()
    with InprocSender([stopped, other]) as sender, InprocReceiver(other) as receiver:
        with pytest.raises(TransportError) as caught:
            sender.try_send(batch(b"lost"))
        assert caught.value.errno == 125
        assert sender.try_send(batch(b"found", destination=1)) == 1
        assert take(receiver) == [b"found"]
        with pytest.raises(TransportError, match="stopped"):
            sender.try_send(batch(b"lost"))


def test_a_sender_that_goes_does_not_stop_its_queue() -> None:
    queue = InprocQueue()
    InprocSender([queue]).close()
    queue.add_packet(b"still open")
    with InprocReceiver(queue) as receiver:
        assert take(receiver) == [b"still open"]
        assert not ended(receiver)


def test_a_receiver_that_goes_leaves_the_packets_to_others() -> None:
    queue = InprocQueue()
    for packet in numbered(range(4)):
        queue.add_packet(packet)
    with InprocReceiver(queue) as first:
        assert bytes_of(first.try_recv(1)) == numbered([0])
    with InprocReceiver(queue) as second:
        assert take(second) == numbered([1, 2, 3])


def test_receivers_share() -> None:
    queue = InprocQueue()
    with InprocReceiver(queue) as one, InprocReceiver(queue) as other:
        for packet in numbered(range(10)):
            queue.add_packet(packet)
        assert one.readable.wait(0)
        assert other.readable.wait(0)
        parts = [bytes_of(receiver.try_recv(1)) for _ in range(5) for receiver in (one, other)]
        assert [packet for part in parts for packet in part] == numbered(range(10))
        queue.stop()
        assert ended(one)
        assert ended(other)


def test_fan_out() -> None:
    queue = InprocQueue(mode="fanout")
    queue.add_packet(b"before anybody came")
    with InprocReceiver(queue) as early:
        queue.add_packet(b"one")
        with InprocReceiver(queue) as late:
            queue.add_packet(b"two")
            with InprocSender([queue]) as sender:
                sender.try_send(batch(b"three", b"four"))
            assert take(late) == [b"two", b"three", b"four"]
            queue.add_packet(b"left")
        assert take(early) == [b"before anybody came", b"one", b"two", b"three", b"four", b"left"]
        statistics = queue.statistics()
        assert statistics.packets_in == 6
        assert statistics.packets_out == 9
        assert statistics.packets_discarded == 1
        assert statistics.packets_waiting == 0
    queue.add_packet(b"for the next")
    with InprocReceiver(queue) as next_one:
        assert take(next_one) == [b"for the next"]


def test_fan_out_gives_no_memory_away() -> None:
    """A receiver may write to memory that it adopts, which must not be another receiver's."""
    queue = InprocQueue(mode="fanout")
    packets = PacketBatch.of([bytes(1000)] * 1000).copy()
    with InprocReceiver(queue) as one, InprocReceiver(queue) as other, InprocSender([queue]) as sender:
        sender.try_send(packets)
        assert not one.try_recv(1000).adoptable
        assert not other.try_recv(1000).adoptable


def test_a_large_heap_is_copied_once(engine: str) -> None:
    """The receiver's heap lies in the memory into which the sender's was copied."""
    queue = InprocQueue()
    data = np.arange(1 << 18, dtype=np.uint64)
    items = send.ItemGroup()
    items.add_item(0x1000, "data", "", data.shape, data.dtype, value=data)
    heap = items.get_heap()
    with send.InprocStream(None, [queue], engine=engine) as sender:
        sender.send_heap(heap)
    queue.stop()
    with InprocReceiver(queue) as receiver:
        got = receiver.try_recv(1)
        assert len(got) > 1  # one piece, whatever the limit
        assert got.adoptable
        assert len(got.bodies) == 1
        assert not np.shares_memory(got.bodies[0], data)


def test_small_batches_come_out_together() -> None:
    queue = InprocQueue()
    with InprocSender([queue]) as sender, InprocReceiver(queue) as receiver:
        for first in range(0, 300, 3):
            sender.try_send(batch(*numbered(range(first, first + 3))))
        queue.add_packet(b"single")
        got = receiver.try_recv(200)
        assert len(got) == 200
        assert bytes_of(got) == numbered(range(200))
        assert bytes_of(receiver.try_recv(200)) == [*numbered(range(200, 300)), b"single"]


def test_a_batch_is_received_as_it_was_for_any_destination() -> None:
    queues = [InprocQueue() for _ in range(3)]
    with InprocSender(queues) as sender, InprocReceiver(queues[2]) as receiver:
        assert sender.num_destinations == 3
        sender.try_send(batch(b"packet", destination=2))
        assert receiver.try_recv(1).destination == 0


def test_one_receiver_for_several_queues() -> None:
    queues = [InprocQueue() for _ in range(3)]
    with InprocReceiver(*queues) as receiver:
        assert receiver.queues == tuple(queues)
        assert not take(receiver)
        assert not receiver.readable.wait(0)
        for index, queue in enumerate(queues):
            queue.add_packet(bytes([index]))
            assert receiver.readable.wait(0)
        assert sorted(take(receiver)) == [b"\0", b"\1", b"\2"]
        queues[0].stop()
        queues[1].stop()
        assert not ended(receiver)
        queues[2].add_packet(b"last")
        queues[2].stop()
        assert bytes_of(receiver.try_recv(10)) == [b"last"]
        assert ended(receiver)


def test_a_receiver_of_several_queues_is_fair() -> None:
    queues = [InprocQueue() for _ in range(2)]
    for packet in numbered(range(10)):
        queues[0].add_packet(packet)
    queues[1].add_packet(b"other")
    with InprocReceiver(*queues) as receiver:
        assert b"other" in bytes_of(receiver.try_recv(1)) + bytes_of(receiver.try_recv(1))


def test_statistics() -> None:
    queue = InprocQueue()
    queue.add_packet(b"12345")
    with InprocSender([queue]) as sender, InprocReceiver(queue) as receiver:
        sender.try_send(batch(b"1", b"22", b"333"))
        receiver.try_recv(2)
        statistics = queue.statistics()
    assert (statistics.packets_in, statistics.bytes_in) == (4, 11)
    assert (statistics.packets_out, statistics.bytes_out) == (2, 6)
    assert (statistics.packets_waiting, statistics.bytes_waiting) == (2, 5)
    assert (statistics.peak_packets, statistics.peak_bytes) == (4, 11)
    assert (statistics.packets_dropped, statistics.packets_discarded) == (0, 0)


def test_names_and_reprs() -> None:
    queue = InprocQueue(name="signal")
    queue.add_packet(b"packet")
    assert queue.name == "signal"
    assert repr(queue) == "<InprocQueue signal: 1 packets waiting>"
    queue.stop()
    assert repr(queue) == "<InprocQueue signal: stopped, 1 packets waiting>"
    assert InprocQueue().name != InprocQueue().name
    with InprocSender([queue, InprocQueue(name="other")]) as sender:
        assert sender.url == "inproc://signal,other"


def test_memory_is_freed_as_it_is_received() -> None:
    queue = InprocQueue()
    packets = PacketBatch.of([bytes(100)] * 10)
    with InprocSender([queue]) as sender, InprocReceiver(queue) as receiver:
        sender.try_send(packets)
        got = receiver.try_recv(10)
        memory = weakref.ref(got.heads if got.heads.base is None else got.heads.base)
        del got
        gc.collect()
        assert memory() is None


def test_a_queue_is_needed() -> None:
    with pytest.raises(ValueError, match="at least one queue"):
        InprocSender([])
    with pytest.raises(ValueError, match="at least one queue"):
        InprocReceiver()


@pytest.mark.parametrize(
    "arguments",
    [{"max_packets": 0}, {"max_bytes": -1}, {"policy": "drop-newest"}, {"mode": "copy"}],
    ids=lambda arguments: next(iter(arguments)),
)
def test_impossible_settings(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        InprocQueue(**arguments)  # type: ignore[arg-type]
