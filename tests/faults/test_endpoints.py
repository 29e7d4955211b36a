"""What is done to packets, and when they arrive: with a clock that stands still."""

from __future__ import annotations

import pytest
from spead_transport_faults import FaultsConfig, FaultsTransport, FaultyReceiver, FaultySender, Script
from spead_transport_inproc import InprocReceiver, InprocSender

from spead_transport import InprocQueue
from spead_transport.errors import BrokenTransportError, EndOfStream, TransportError
from spead_transport.transport import ManualClock, PacketBatch, PacketSender

from .packets import drain, heap_packets, numbered, numbers, receiving, sending


def _batch(*cnts: int) -> PacketBatch:
    return PacketBatch.of([packet for cnt in cnts for packet in heap_packets(cnt)])


# ---------------------------------------------------------------------------------------------------------- faults


def test_nothing_goes_wrong_by_default() -> None:
    with sending() as (sender, receiver, _):
        assert sender.try_send(numbered(50)) == 50
        assert numbers(drain(receiver)) == list(range(50))
        assert sender.log.counts == {}
        assert sender.capabilities == receiver.capabilities


def test_drop_packet_3_of_heap_17() -> None:
    with sending(script="drop packet 3 of heap 17") as (sender, receiver, _):
        sender.try_send(_batch(16, 17, 18))
        assert drain(receiver) == [*heap_packets(16), *heap_packets(17)[:2], *heap_packets(17)[3:], *heap_packets(18)]
        assert list(map(str, sender.log.faults)) == ["script_drop: packet 8 (heap 17) to destination 0, send side"]
        assert sender.capabilities.lossy


def test_duplicate() -> None:
    with sending(script="duplicate packets 2-3") as (sender, receiver, _):
        sender.try_send(numbered(4))
        assert numbers(drain(receiver)) == [0, 1, 1, 2, 2, 3]


def test_hold() -> None:
    with sending(script="hold packet 2 for 2 packets; hold packet 5 for 9 packets") as (sender, receiver, _):
        sender.try_send(numbered(6))
        assert numbers(drain(receiver)) == [0, 2, 3, 1, 5]
        assert not sender.capabilities.ordered
        sender.close()
        assert numbers(drain(receiver)) == [4]


def test_a_packet_that_is_not_overtaken_goes_on_after_a_while() -> None:
    with sending(script="hold packet 2 for 2 packets", reorder_timeout=0.5) as (sender, receiver, clock):
        sender.try_send(numbered(2))
        clock.advance(0.4)
        assert numbers(drain(receiver)) == [0]
        clock.advance(0.2)
        assert numbers(drain(receiver)) == [1]


def test_corrupt_changes_one_bit() -> None:
    sent = heap_packets(1)
    with sending(script="corrupt packet 2") as (sender, receiver, _):
        sender.try_send(PacketBatch.of(sent))
        arrived = drain(receiver)
    assert [len(packet) for packet in arrived] == [len(packet) for packet in sent]
    differences = [
        sum(bin(a ^ b).count("1") for a, b in zip(*pair, strict=True)) for pair in zip(sent, arrived, strict=True)
    ]
    assert differences == [0, 1, 0, 0, 0]


def test_corrupting_leaves_the_senders_memory_alone() -> None:
    batch = numbered(4)
    before = batch.heads.copy()
    with sending(corruption=1.0) as (sender, receiver, _):
        sender.try_send(batch)
        assert drain(receiver) != [packet.tobytes() for packet in batch.packets()]
    assert (batch.heads == before).all()


def test_truncate() -> None:
    script = (
        "truncate packet 1; truncate packet 2 to 20 bytes; truncate packet 3 to 500 bytes; truncate packet 4 to 0"
    )
    with sending(script=script) as (sender, receiver, _):
        sender.try_send(numbered(5))
        assert [len(packet) for packet in drain(receiver)] == [50, 20, 100, 0, 100]


def test_random_truncation_leaves_something() -> None:
    with sending(truncation=1.0) as (sender, receiver, _):
        sender.try_send(numbered(200))
        sizes = [len(packet) for packet in drain(receiver)]
    assert len(sizes) == 200
    assert min(sizes) >= 1
    assert max(sizes) < 100
    assert len(set(sizes)) > 50


def test_destinations_are_streams_of_their_own() -> None:
    queues = [InprocQueue(), InprocQueue()]
    receivers = [InprocReceiver(queue) for queue in queues]
    config = FaultsConfig(script=Script.parse("drop packet 2"))
    with FaultySender(InprocSender(queues), config) as sender:
        for index in (0, 1):
            sender.try_send(PacketBatch.of(numbered(3, 10 * index).packets(), destination=index))
        assert [numbers(drain(receiver)) for receiver in receivers] == [[0, 2], [10, 12]]
        assert [fault.destination for fault in sender.log.faults] == [0, 1]
        with pytest.raises(ValueError, match="no destination 2"):
            sender.try_send(PacketBatch.of([b"x"], destination=2))
    for receiver in receivers:
        receiver.close()


@pytest.mark.parametrize(("side", "arrive"), [("send", 0), ("receive", 10)])
def test_side_of_a_sender(side: str, arrive: int) -> None:
    with sending(loss=1.0, side=side) as (sender, receiver, _):
        sender.try_send(numbered(10))
        assert len(drain(receiver)) == arrive
        assert sender.capabilities.lossy == (arrive == 0)


@pytest.mark.parametrize(("side", "arrive"), [("send", 10), ("receive", 0)])
def test_side_of_a_receiver(side: str, arrive: int) -> None:
    with receiving(loss=1.0, side=side) as (sender, receiver, _, _):
        sender.try_send(numbered(10))
        assert len(drain(receiver)) == arrive
        assert receiver.drops() == ({"loss": 10} if not arrive else {})


# ------------------------------------------------------------------------------------------------------------ time


def test_delay() -> None:
    with sending(delay=0.25) as (sender, receiver, clock):
        sender.try_send(numbered(3))
        clock.advance(0.2)
        sender.try_send(numbered(3, 3))
        assert drain(receiver) == []
        clock.advance(0.1)
        assert numbers(drain(receiver)) == [0, 1, 2]
        clock.advance(0.2)
        assert numbers(drain(receiver)) == [3, 4, 5]


def test_delay_of_certain_packets() -> None:
    with sending(script="delay packet 2 by 50 ms") as (sender, receiver, clock):
        sender.try_send(numbered(4))
        assert numbers(drain(receiver)) == [0, 2, 3]
        clock.advance(0.05)
        assert numbers(drain(receiver)) == [1]


def test_jitter_is_the_same_each_time() -> None:
    orders = []
    for _ in range(2):
        with sending(delay=1.0, jitter=0.5) as (sender, receiver, clock):
            sender.try_send(numbered(50))
            clock.advance(0.99)
            assert drain(receiver) == []
            clock.advance(0.51)
            orders.append(numbers(drain(receiver)))
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == list(range(50)) != orders[0]


def test_bandwidth() -> None:
    with sending(bandwidth=1000.0) as (sender, receiver, clock):  # ten packets a second
        assert sender.try_send(numbered(20)) == 20
        counts = []
        for _ in range(4):
            clock.advance(0.501)
            counts.append(len(drain(receiver)))
        assert counts == [5, 5, 5, 5]


def test_a_full_queue_makes_the_sender_wait() -> None:
    with sending(bandwidth=1000.0, queue=4) as (sender, receiver, clock):
        assert sender.try_send(numbered(10)) == 4
        assert not sender.writable.wait(0)
        assert sender.try_send(numbered(6, 4)) == 0
        clock.advance(0.201)
        assert sender.writable.wait(0)
        assert sender.try_send(numbered(6, 4)) == 2
        clock.advance(1)
        assert numbers(drain(receiver)) == [0, 1, 2, 3, 4, 5]


def test_a_full_queue_can_drop() -> None:
    with sending(bandwidth=1000.0, queue=4, full="drop") as (sender, receiver, clock):
        assert sender.try_send(numbered(10)) == 10
        clock.advance(1)
        assert numbers(drain(receiver)) == [0, 1, 2, 3]
        assert sender.log.counts == {"queue_full": 6}
        assert sender.log.faults[0].packet == 5


def test_outage() -> None:
    with sending(outages="1s-2s") as (sender, receiver, clock):
        for number in range(4):
            sender.try_send(numbered(2, 10 * number))
            clock.advance(0.75)
        assert numbers(drain(receiver)) == [0, 1, 10, 11, 30, 31]
        assert sender.log.counts == {"outage": 2}


def test_what_is_on_its_way_arrives_after_the_sender_closed() -> None:
    with sending(delay=1.0) as (sender, receiver, clock):
        sender.try_send(numbered(5))
        sender.close()
        assert drain(receiver) == []
        clock.advance(1)
        assert numbers(drain(receiver)) == list(range(5))


def test_a_closed_sender_does_not_try_for_ever() -> None:
    clock, queue = ManualClock(), InprocQueue(max_packets=2)
    inner = InprocSender([queue])
    sender = FaultySender(inner, FaultsConfig(delay=1.0), clock=clock)
    sender.try_send(numbered(5))
    sender.close()
    closed = []
    for seconds in (2, 10):
        clock.advance(seconds)
        closed.append(inner.closed)
    assert closed == [False, True]
    assert sender.log.counts == {"unsent": 3}


def test_a_receiver_delays() -> None:
    with receiving(delay=0.5) as (sender, receiver, queue, clock):
        sender.try_send(numbered(3))
        queue.stop()
        assert receiver.readable.wait(0)
        assert drain(receiver) == []
        assert not receiver.readable.wait(0)
        clock.advance(0.5)
        assert receiver.readable.wait(0)
        assert numbers([packet.tobytes() for packet in receiver.try_recv(2).packets()]) == [0, 1]
        assert receiver.readable.wait(0)
        assert numbers(drain(receiver)) == [2]
        for _ in range(2):
            assert receiver.readable.wait(0)
            with pytest.raises(EndOfStream):
                receiver.try_recv(1)


def test_a_full_receiver_takes_no_more() -> None:
    with receiving(bandwidth=1000.0, queue=2) as (sender, receiver, queue, clock):
        sender.try_send(numbered(5))
        assert drain(receiver) == []
        assert not receiver.readable.wait(0)
        assert queue.statistics().packets_waiting == 3
        clock.advance(0.11)
        assert numbers(drain(receiver)) == [0]


def test_a_held_packet_comes_before_the_end() -> None:
    with receiving(script="hold packet 2 for 9 packets") as (sender, receiver, queue, _):
        sender.try_send(numbered(3))
        queue.stop()
        assert numbers(drain(receiver)) == [0, 2, 1]
        with pytest.raises(EndOfStream):
            receiver.try_recv(1)


# ---------------------------------------------------------------------------------------------------- inner failures


class _Fussy(InprocSender):
    """Refuses what begins with a byte 1, and breaks at a byte 2."""

    def try_send(self, batch: PacketBatch) -> int:
        for count, packet in enumerate(batch.packets()):
            if packet[0] in (1, 2):
                if count:
                    return count
                raise (TransportError if packet[0] == 1 else BrokenTransportError)("no", url=self.url)
            super().try_send(batch[count : count + 1])
        return len(batch)


def _fussy(**options: object) -> tuple[FaultySender, InprocReceiver]:
    queue = InprocQueue()
    return FaultySender(_Fussy([queue]), FaultsConfig(**options), clock=ManualClock()), InprocReceiver(queue)  # type: ignore[arg-type]


def test_what_the_inner_sender_refuses() -> None:
    sender, receiver = _fussy(script="drop packet 2")
    with sender, receiver:
        batch = PacketBatch.of([b"\0a", b"\0b", b"\0c", b"\1d", b"\0e"])
        assert sender.try_send(batch) == 3
        with pytest.raises(TransportError, match="no"):
            sender.try_send(batch[3:])
        assert sender.try_send(batch[4:]) == 1
        assert drain(receiver) == [b"\0a", b"\0c", b"\0e"]


def test_what_the_inner_sender_refuses_later_is_counted() -> None:
    sender, receiver = _fussy(script="duplicate every packet")
    with sender, receiver:
        assert sender.try_send(PacketBatch.of([b"\0a", b"\1d", b"\0e"])) == 3
        assert drain(receiver) == [b"\0a", b"\0a", b"\0e", b"\0e"]
        assert sender.log.counts["refused"] == 2


def test_an_inner_sender_that_breaks() -> None:
    sender, receiver = _fussy(script="duplicate every packet")
    with sender, receiver:
        sender.try_send(PacketBatch.of([b"\0a", b"\2b", b"\0c"]))
        for _ in range(2):
            with pytest.raises(BrokenTransportError):
                sender.try_send(PacketBatch.of([b"\0d"]))
        assert drain(receiver) == [b"\0a", b"\0a"]
    assert sender.log.counts["unsent"] == 4


# -------------------------------------------------------------------------------------------------------- transport


def test_transport_shares_its_log_and_clock() -> None:
    clock = ManualClock()
    parsed = FaultsTransport.from_url(f"{FaultsTransport.loopback_url()}?delay=1s&side=send")
    transport = FaultsTransport(parsed.config, parsed.inner, clock=clock)
    with transport.open_receiver() as receiver, transport.open_sender() as sender:
        assert isinstance(receiver, FaultyReceiver)
        assert isinstance(sender, PacketSender)
        assert receiver.log is sender.log is transport.log
        assert sender.url.startswith("faults+inproc://")
        assert sender.url.endswith("?side=send&delay=1.0")
        sender.try_send(numbered(1))
        assert drain(receiver) == []
        clock.advance(1)
        assert numbers(drain(receiver)) == [0]
