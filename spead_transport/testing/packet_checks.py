"""Checks of the packets' way: that they arrive, unchanged, where they should, and that no more are taken than fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from typing import Final

import attrs
import numpy as np

from ..errors import EndOfStream, TransportError
from ..protocol.batch import PacketBatch
from ..transport import Capabilities, PacketReceiver, PacketSender
from .check import Checks, expect, raises
from .packets import (
    FEW,
    HEADER_SIZE,
    PATIENCE,
    bytes_of,
    in_thread,
    make_batch,
    receive,
    receive_all,
    receive_at_least_one,
    same_packets,
    send,
    settle,
    transfer,
    wait,
)
from .subject import TransportUnderTest

__all__ = ["PACKET_CHECKS"]

PACKET_CHECKS: Final = Checks()
_check = PACKET_CHECKS.add

#: Sizes of packets, in bytes, that many networks treat in different ways.
_SIZES: Final = (40, 41, 64, 100, 1280, 1472, 1473, 8972, 9000)


def _reliable(capabilities: Capabilities) -> bool:
    return not capabilities.lossy


def _fitting(subject: TransportUnderTest, sizes: Sequence[int]) -> list[int]:
    """Those of `sizes` that the transport can carry."""
    largest = subject.capabilities.largest_packet
    return [size for size in sizes if largest is None or size <= largest]


# ----------------------------------------------------------------------------------------------- packets arrive


@_check("Hand out packets that have arrived, without waiting.")
def packets_of_many_sizes_arrive_intact(subject: TransportUnderTest) -> None:
    batch = make_batch(_fitting(subject, _SIZES))
    with subject.pair() as (sender, receiver):
        same_packets(subject, bytes_of(batch), transfer(sender, receiver, batch))


@_check("Packet i consists of a head followed by a body")
def packets_cut_in_any_way_arrive_intact(subject: TransportUnderTest) -> None:
    plain = make_batch(FEW)
    with subject.pair() as (sender, receiver):
        for batch in _laid_out_in_many_ways(plain):
            same_packets(subject, bytes_of(batch), transfer(sender, receiver, batch))


def _laid_out_in_many_ways(plain: PacketBatch) -> Iterator[PacketBatch]:
    """The same packets: in whole, in blocks that end anywhere, in odd orders, and a few of them."""
    yield plain
    yield plain.flatten()
    yield PacketBatch.of(plain.packets())
    body = plain.bodies[0]
    cuts = [0, 1, 30, 31, len(body) // 2, len(body)]
    yield attrs.evolve(plain, bodies=tuple(body[a:b] for a, b in pairwise(cuts)))
    yield plain.take(np.arange(len(plain))[::-1])
    yield plain[10:12]
    yield PacketBatch.concatenate([plain[:5], plain.flatten()[5:9], plain[20:21]])
    yield PacketBatch.strided(PacketBatch.of(make_batch([200] * 7).packets()).heads, 200)


@_check("Largest packet, in bytes; None if there is no limit.")
def the_largest_packet_arrives(subject: TransportUnderTest) -> None:
    largest = subject.capabilities.largest_packet
    expect(largest is None or largest >= HEADER_SIZE, f"largest_packet is {largest}")
    batch = make_batch([1 << 20 if largest is None else largest])
    with subject.pair() as (sender, receiver):
        same_packets(subject, bytes_of(batch), transfer(sender, receiver, batch))


@_check(
    "The first packet cannot be sent (it is too large, say), but others may be.",
    when=lambda capabilities: capabilities.largest_packet is not None,
)
def too_large_a_packet_is_refused_alone(subject: TransportUnderTest) -> None:
    largest = subject.capabilities.largest_packet
    assert largest is not None
    batch = make_batch([100, largest + 1, 100])
    good = bytes_of(batch[:1]) + bytes_of(batch[2:])
    with subject.pair() as (sender, receiver):
        expect(sender.try_send(batch) == 1, "the packet before the one that is too large was not taken alone")
        raises(TransportError, lambda: sender.try_send(batch[1:]), "sending a packet that is too large")
        send(sender, batch[2:])
        same_packets(subject, good, receive(receiver, 2))


@_check("An empty packet can be taken and lost, but harms nothing.")
def an_empty_packet_harms_nothing(subject: TransportUnderTest) -> None:
    good = make_batch(FEW)
    with subject.pair() as (sender, receiver):
        nothing = PacketBatch.of([b""])
        sending = in_thread(lambda: send(sender, PacketBatch.concatenate([nothing, good[:20], nothing, good[20:]])))
        arrived: list[bytes] = []
        while len(arrived) < len(good):
            arrived += [packet for packet in receive_at_least_one(receiver) if packet]
        sending()
        same_packets(subject, bytes_of(good), arrived)


@_check(
    "A failure is one of four: EndOfStream (the ordinary end), ClosedError (closed on this side), "
    "BrokenTransportError (an outside cause), BusyError."
)
def hostile_packets_do_no_harm(subject: TransportUnderTest) -> None:
    random = np.random.default_rng(1)
    claims = bytes_of(make_batch([100]))[0][:32] + b"\xff" * 8
    rest = PacketBatch.of([b"\0", b"S", b"\xff" * 47, claims, claims + b"junk", *(random.bytes(n) for n in FEW)])
    with subject.pair() as (sender, receiver):
        # A transport that finds packets in a stream of bytes may lose its way here, if it says so properly.
        try:
            while len(rest):
                taken = sender.try_send(rest)
                rest = rest[taken:]
                if not taken:
                    receive_at_least_one(receiver)
            while receiver.readable.wait(0) and len(receiver.try_recv(10)):
                pass
        except (EndOfStream, TransportError):
            pass


@_check("How many packets are wanted at most (> 0).")
def any_limit_gets_everything(subject: TransportUnderTest) -> None:
    batch = make_batch(FEW)
    with subject.pair() as (sender, receiver):
        for limit in (1, 3, 10**9):
            rest, arrived = batch, list[bytes]()
            while len(arrived) < len(batch):
                rest = rest[sender.try_send(rest) :] if len(rest) else rest
                wait(receiver.readable, "a packet")
                arrived += bytes_of(receiver.try_recv(limit))
            same_packets(subject, bytes_of(batch), arrived)


@_check("Packets arrive in the order in which one sender sent them.", when=lambda capabilities: capabilities.ordered)
def order_is_kept_from_batch_to_batch(subject: TransportUnderTest) -> None:
    batches = [make_batch([60] * count, first_cnt=100 * count) for count in range(1, 12)]
    sent = [packet for batch in batches for packet in bytes_of(batch)]
    with subject.pair() as (sender, receiver):
        arrived = [packet for batch in batches for packet in transfer(sender, receiver, batch)]
    expect(arrived == sent, "the packets arrived in another order")


@_check("The batch's memory is borrowed until the call returns: a transport that keeps packets copies them")
def the_senders_memory_is_not_kept(subject: TransportUnderTest) -> None:
    batch = make_batch(FEW)
    sent = bytes_of(batch)
    with subject.pair() as (sender, receiver):
        arrived: list[bytes] = []
        while len(batch):
            lent = PacketBatch.concatenate([batch.copy()])
            taken = sender.try_send(lent)
            for memory in (lent.heads, *lent.bodies):
                memory[:] = 0xAA
            batch = batch[taken:]
            if not taken:
                arrived += receive_at_least_one(receiver)
        arrived += receive(receiver, len(sent) - len(arrived))
        same_packets(subject, sent, arrived)


@_check("Whether a receiver may keep bodies for good and write to them: nobody else uses that memory.")
def adopted_memory_belongs_to_the_receiver(subject: TransportUnderTest) -> None:
    batch, other = make_batch([1000] * 20), make_batch([1000] * 20, first_cnt=1000)
    sent = bytes_of(batch)
    with subject.pair() as (sender, receiver):
        for _ in range(5):
            sending = in_thread(lambda: send(sender, batch))
            kept = [got for got in _batches(receiver, len(batch)) if got.adoptable]
            sending()
            wanted = [[body.tobytes() for body in got.bodies] for got in kept]
            same_packets(subject, bytes_of(other), transfer(sender, receiver, other))
            expect(
                [[body.tobytes() for body in got.bodies] for got in kept] == wanted,
                "memory that a batch gave away was used again",
            )
            for memory in (body for got in kept for body in got.bodies):
                memory[:] = 0
    expect(bytes_of(batch) == sent, "the receiver was given the sender's own memory")


def _batches(receiver: PacketReceiver, count: int) -> list[PacketBatch]:
    """Batches with `count` packets together, as they arrive."""
    batches: list[PacketBatch] = []
    while sum(map(len, batches)) < count:
        wait(receiver.readable, "a packet")
        batches.append(receiver.try_recv(count))
    return batches


@_check("Say that the memory of the last batch is no longer used. Optional to call, harmless to repeat.")
def release_is_harmless(subject: TransportUnderTest) -> None:
    batch = make_batch(FEW)
    with subject.pair() as (sender, receiver):
        receiver.release()
        for _ in range(2):
            same_packets(subject, bytes_of(batch), transfer(sender, receiver, batch))
            receiver.release()
            receiver.release()


@_check("Packets that this endpoint saw or knows of and did not hand out, counted by reason.")
def drops_are_counted_by_reason(subject: TransportUnderTest) -> None:
    with subject.pair() as (sender, receiver):
        transfer(sender, receiver, make_batch(FEW))
        for reason, count in receiver.drops().items():
            expect(isinstance(reason, str) and count >= 0, f"drops() says {reason!r}: {count!r}")
        expect(sum(receiver.drops().values()) == 0, f"{receiver.drops()} were dropped, and yet everything arrived")


# ---------------------------------------------------------------------------------------- several at either end


@_check(
    "One sender can have several destinations (substreams).",
    when=lambda capabilities: capabilities.several_destinations,
)
def each_destination_gets_its_own_packets(subject: TransportUnderTest) -> None:
    with subject.fan(3) as (sender, receivers):
        expect(sender.num_destinations == 3, f"num_destinations is {sender.num_destinations}, not 3")
        batches = [make_batch(FEW[index:], first_cnt=1000 * index + 1, destination=index) for index in range(3)]
        for index in (2, 0, 1, 2, 0, 1):
            arrived = transfer(sender, receivers[index], batches[index])
            same_packets(subject, bytes_of(batches[index]), arrived)
        for receiver in receivers:
            settle(receiver)


@_check("If the sender has no such destination; the sender can be used further.")
def there_are_no_destinations_but_those_that_there_are(subject: TransportUnderTest) -> None:
    batch = make_batch([100])
    with subject.pair() as (sender, receiver):
        for wrong in (sender.num_destinations, -1):
            lost = attrs.evolve(batch, destination=wrong)
            raises(ValueError, partial(sender.try_send, lost), f"sending to destination {wrong}")
        same_packets(subject, bytes_of(batch), transfer(sender, receiver, batch))
        settle(receiver)


@_check("Several senders may feed one receiver.", when=lambda capabilities: capabilities.several_senders)
def several_senders_feed_one_receiver(subject: TransportUnderTest) -> None:
    with ExitStack() as stack:
        receiver = stack.enter_context(subject.open_receiver())
        senders = [stack.enter_context(subject.open_sender(receiver)) for _ in range(3)]
        batches = [make_batch(FEW[:20], first_cnt=1000 * index + 1) for index in range(3)]
        arrived: list[bytes] = []
        for packet in range(20):
            for sender, batch in zip(senders, batches, strict=True):
                arrived += transfer(sender, receiver, batch[packet : packet + 1])
    for batch in batches:
        sent = bytes_of(batch)
        same_packets(subject, sent, [packet for packet in arrived if packet in set(sent)])


@_check(
    "A receiver learns that the senders are finished (EndOfStream).",
    when=lambda capabilities: capabilities.signals_end,
)
def the_end_comes_after_the_last_packet_and_stays(subject: TransportUnderTest) -> None:
    batch = make_batch(FEW)
    with subject.pair() as (sender, receiver):
        sending = in_thread(lambda: _send_and_close(sender, batch))
        arrived = list(receive_all(receiver))
        sending()
        same_packets(subject, bytes_of(batch), arrived)
        for _ in range(3):
            raises(EndOfStream, lambda: receiver.try_recv(1), "receiving after the end")
            expect(receiver.readable.wait(PATIENCE), "the end is not reported any more")


def _send_and_close(sender: PacketSender, batch: PacketBatch) -> None:
    send(sender, batch)
    sender.close()


@_check(
    "A receiver learns that the senders are finished (EndOfStream).",
    when=lambda capabilities: capabilities.signals_end and capabilities.several_senders,
)
def the_end_comes_with_the_last_sender(subject: TransportUnderTest) -> None:
    batch = make_batch(FEW[:5])
    with subject.open_receiver() as receiver, subject.open_sender(receiver) as last:
        # What came from a sender shows that the receiver knows it: a connection may take a moment.
        transfer(last, receiver, batch)
        with subject.open_sender(receiver) as first:
            transfer(first, receiver, batch)
        same_packets(subject, bytes_of(batch), transfer(last, receiver, batch))
        last.close()
        expect(list(receive_all(receiver)) == [], "packets arrived twice")


@_check("Packets that were taken by try_send stay sent")
def closing_the_sender_loses_nothing(subject: TransportUnderTest) -> None:
    batch = make_batch(FEW)
    with subject.pair() as (sender, receiver):
        taken = sender.try_send(batch)
        sender.close()
        same_packets(subject, bytes_of(batch[:taken]), receive(receiver, taken))


# ------------------------------------------------------------------------------------------------- back-pressure


@_check(
    "Back-pressure is simply not calling: a sender that is full takes 0 packets, a receiver that is not called keeps "
    "its packets",
    when=_reliable,
)
def a_receiver_that_is_not_called_loses_nothing(subject: TransportUnderTest) -> None:
    with subject.pair() as (sender, receiver):
        sent, rest = _fill(subject, sender)
        if len(rest):
            for _ in range(100):
                if not sender.writable.wait(0):
                    break
                expect(sender.try_send(rest) == 0, "a full sender took packets although nobody received any")
            else:
                expect(False, "the readiness goes on reporting room: whoever waits will spin")
        receiving = in_thread(lambda: receive(receiver, len(sent) + len(rest)))
        send(sender, rest)
        same_packets(subject, sent + bytes_of(rest), receiving())


def _fill(subject: TransportUnderTest, sender: PacketSender) -> tuple[list[bytes], PacketBatch]:
    """Send until the sender takes no more, or evidently takes everything; what was sent, and what was not taken."""
    size = _fitting(subject, [8192]) or [subject.capabilities.largest_packet or HEADER_SIZE]
    sent: list[bytes] = []
    for turn in range(64):
        batch = make_batch(size * 32, first_cnt=1 + 32 * turn)
        while len(batch):
            taken = sender.try_send(batch)
            if not taken:
                return sent, batch
            sent += bytes_of(batch[:taken])
            batch = batch[taken:]
    return sent, PacketBatch.of([])


@_check("Give up the endpoint and wake whoever waits for it.", when=_reliable)
def closing_wakes_who_waits_for_room(subject: TransportUnderTest) -> None:
    with subject.pair() as (sender, _):
        _fill(subject, sender)
        waiting = in_thread(lambda: sender.writable.wait(PATIENCE))
        sender.close()
        expect(waiting(), "a thread that waited for room was not woken")
