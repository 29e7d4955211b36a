"""Queues with a bound, and what happens when it is reached."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

import pytest
from spead_transport_inproc import InprocQueue, InprocReceiver, InprocSender

from spead_transport import ItemGroup, recv, send
from spead_transport.errors import Full, Stopped, TransportError

from ..items import heap_of
from .helpers import batch, bytes_of, numbered, take

PATIENCE = 20.0


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


@pytest.mark.parametrize(("max_packets", "max_bytes"), [(5, None), (None, 20), (5, 1000), (100, 20)])
def test_a_sender_is_told_to_wait(max_packets: int | None, max_bytes: int | None) -> None:
    queue = InprocQueue(max_packets=max_packets, max_bytes=max_bytes)
    packets = batch(*numbered(range(8)))
    with InprocSender([queue]) as sender, InprocReceiver(queue) as receiver:
        assert sender.writable.wait(0)
        assert sender.try_send(packets) == 5
        assert sender.try_send(packets[5:]) == 0
        assert not sender.writable.wait(0)
        assert bytes_of(receiver.try_recv(2)) == numbered([0, 1])
        assert sender.writable.wait(0)
        assert sender.try_send(packets[5:]) == 2
        assert sender.try_send(packets[7:]) == 0
        assert take(receiver) == numbered(range(2, 7))
        assert queue.statistics().peak_packets == 5


def test_all_senders_that_wait_are_told() -> None:
    queue = InprocQueue(max_packets=1)
    queue.add_packet(b"full")
    with InprocSender([queue]) as one, InprocSender([queue]) as other, InprocReceiver(queue) as receiver:
        for sender in (one, other):
            assert sender.try_send(batch(b"packet")) == 0
        receiver.try_recv(1)
        for sender in (one, other):
            assert sender.writable.wait(0)


def test_a_sender_that_waits_for_one_queue_hears_of_the_other() -> None:
    """Both are full, and the first to be refused has room again before the second refuses."""
    first, second = InprocQueue(max_packets=1), InprocQueue(max_packets=1)
    with InprocSender([first, second]) as sender, InprocReceiver(first) as receiver:
        for destination in (0, 1):
            assert sender.try_send(batch(b"1", destination=destination)) == 1
        assert sender.try_send(batch(b"2", destination=0)) == 0
        assert len(receiver.try_recv(1)) == 1
        assert sender.try_send(batch(b"2", destination=1)) == 0
        assert sender.writable.wait(PATIENCE)
        assert sender.try_send(batch(b"2", destination=0)) == 1
        assert sender.try_send(batch(b"2", destination=1)) == 0
        assert not sender.writable.wait(0)


def test_stopping_ends_the_wait_of_a_sender() -> None:
    queue = InprocQueue(max_packets=1)
    with InprocSender([queue]) as sender:
        assert sender.try_send(batch(b"1", b"2")) == 1
        assert sender.try_send(batch(b"2")) == 0
        queue.stop()
        assert sender.writable.wait(0)
        with pytest.raises(TransportError, match="stopped"):
            sender.try_send(batch(b"2"))


def test_add_packet_waits() -> None:
    queue = InprocQueue(max_packets=2)
    arrived: list[bytes] = []

    def add() -> None:
        for packet in numbered(range(50)):
            queue.add_packet(packet, timeout=PATIENCE)
        queue.stop()

    thread = in_thread(add)
    with InprocReceiver(queue) as receiver:
        while len(arrived) < 50:
            assert receiver.readable.wait(PATIENCE)
            arrived += bytes_of(receiver.try_recv(1))
    thread.join()
    assert arrived == numbered(range(50))


def test_add_packet_gives_up_in_time() -> None:
    queue = InprocQueue(max_packets=1)
    queue.add_packet(b"1", timeout=0)
    with pytest.raises(Full, match="max_packets=1"):
        queue.add_packet(b"2", timeout=0)
    with pytest.raises(Full, match=r"after 0\.01 seconds"):
        queue.add_packet(b"2", timeout=0.01)
    assert queue.statistics().packets_in == 1


def test_stopping_ends_the_wait_of_add_packet() -> None:
    queue = InprocQueue(max_packets=1)
    queue.add_packet(b"1")
    failures: list[Exception] = []

    def add() -> None:
        try:
            queue.add_packet(b"2", timeout=PATIENCE)
        except Stopped as error:
            failures.append(error)

    thread = in_thread(add)
    queue.stop()
    thread.join()
    assert len(failures) == 1


def test_policy_error() -> None:
    queue = InprocQueue(max_packets=3, policy="error")
    packets = batch(*numbered(range(5)))
    with InprocSender([queue]) as sender, InprocReceiver(queue) as receiver:
        assert sender.try_send(packets) == 3
        with pytest.raises(TransportError) as caught:
            sender.try_send(packets[3:])
        assert caught.value.errno == errno.ENOBUFS
        with pytest.raises(Full):
            queue.add_packet(b"too much")
        receiver.try_recv(1)
        assert sender.try_send(packets[3:]) == 1
        assert take(receiver) == numbered([1, 2, 3])


def test_policy_drop_oldest() -> None:
    queue = InprocQueue(max_packets=4, policy="drop-oldest")
    with InprocSender([queue]) as sender, InprocReceiver(queue) as receiver:
        assert sender.capabilities.lossy
        assert receiver.capabilities.lossy
        packets = batch(*numbered(range(3)))
        assert sender.try_send(packets) == 3
        rest = batch(*numbered(range(3, 13)))
        while len(rest):
            rest = rest[sender.try_send(rest) :]
        queue.add_packet(b"last")
        assert take(receiver) == [*numbered([10, 11, 12]), b"last"]
        assert receiver.drops() == {"queue_full": 10}
        assert queue.statistics().packets_dropped == 10
        assert queue.statistics().bytes_dropped == 40


def test_drops_by_size() -> None:
    queue = InprocQueue(max_bytes=100, policy="drop-oldest")
    with InprocSender([queue]) as sender, InprocReceiver(queue) as receiver:
        sender.try_send(batch(bytes(30), b"", bytes(30), bytes(30)))
        queue.add_packet(bytes(65))
        assert [len(packet) for packet in take(receiver)] == [30, 65]
        statistics = queue.statistics()
        assert (statistics.packets_dropped, statistics.bytes_dropped) == (3, 60)


def test_each_drop_is_reported_once() -> None:
    queue = InprocQueue(max_packets=1, policy="drop-oldest")
    with InprocReceiver(queue) as one, InprocReceiver(queue) as other:
        for packet in numbered(range(5)):
            queue.add_packet(packet)
        assert sum(sum(receiver.drops().values()) for receiver in (one, other)) == 4
        take(other)
        assert sum(sum(receiver.drops().values()) for receiver in (one, other)) == 4


def test_drops_appear_in_a_stream(engine: str) -> None:
    queue = InprocQueue(max_packets=1, policy="drop-oldest")
    heap = heap_of()
    with send.InprocStream(None, [queue], engine=engine) as sender:
        for _ in range(5):
            sender.send_heap(heap)
    queue.stop()
    with recv.Stream(None, engine=engine) as stream:
        stream.add_inproc_reader(queue)
        assert len(list(stream)) == 1
        assert stream.stats["transport_drops"] == 4


@pytest.mark.parametrize("policy", ["block", "error", "drop-oldest"])
def test_a_packet_larger_than_the_queue(policy: str) -> None:
    queue = InprocQueue(max_bytes=100, policy=policy)  # type: ignore[arg-type]
    with InprocSender([queue]) as sender, InprocReceiver(queue) as receiver:
        packets = batch(bytes(50), bytes(101), bytes(40))
        assert sender.try_send(packets) == 1
        with pytest.raises(TransportError) as caught:
            sender.try_send(packets[1:])
        assert caught.value.errno == errno.EMSGSIZE
        with pytest.raises(TransportError, match="max_bytes=100"):
            queue.add_packet(bytes(101))
        assert sender.try_send(packets[2:]) == 1
        assert [len(packet) for packet in take(receiver)] == [50, 40]


def test_the_slowest_receiver_holds_back_a_fan_out() -> None:
    queue = InprocQueue(max_packets=2, mode="fanout")
    packets = batch(*numbered(range(4)))
    with InprocSender([queue]) as sender, InprocReceiver(queue) as fast:
        with InprocReceiver(queue):
            assert sender.try_send(packets) == 2
            assert take(fast) == numbered([0, 1])
            assert sender.try_send(packets[2:]) == 0
            assert not sender.writable.wait(0)
        assert sender.writable.wait(0)  # the slow one is gone
        assert sender.try_send(packets[2:]) == 2
        assert take(fast) == numbered([2, 3])


def test_a_stream_waits_for_its_receiver(engine: str) -> None:
    """Heaps of many packets through a queue that holds three packets; nothing is lost."""
    queue = InprocQueue(max_packets=3)
    values = list(range(20))
    items = send.ItemGroup()
    items.add_item(0x1000, "block", "", (2000,), ">u4")

    def send_all() -> None:
        with send.InprocStream(None, [queue], engine=engine) as sender:
            for value in values:
                items["block"].value = [value] * 2000
                sender.send_heap(items.get_heap(data="all"), timeout=PATIENCE)
        queue.stop()

    received: list[int] = []
    thread = in_thread(send_all)
    with recv.Stream(None, engine=engine) as stream:
        stream.add_inproc_reader(queue)
        incoming = ItemGroup()
        for heap in stream:
            received += [item.value[-1] for item in incoming.update(heap).values()]
    thread.join()
    assert received == values
    assert queue.statistics().peak_packets == 3
