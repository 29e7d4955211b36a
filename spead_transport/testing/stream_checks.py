"""Checks of whole streams over a transport, with each engine that is installed."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from functools import partial, wraps
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .. import recv, send
from ..engine import engine_names
from ..errors import ClosedError, Empty, Stopped
from ..protocol.batch import PacketBatch
from ..protocol.item_group import ItemGroup
from ..transport import Capabilities, PacketReceiver, PacketSender
from .check import Checks, expect, raises
from .links import Link, StreamPair, receiving_stream
from .packets import PATIENCE, in_thread
from .packets import send as send_packets
from .subject import TransportUnderTest

__all__ = ["STREAM_CHECKS"]

STREAM_CHECKS: Final = Checks()

#: Little enough that a lossy transport loses nothing of it within one machine.
_FEW_HEAPS: Final = 10
_VALUES: Final[dict[str, npt.NDArray[Any]]] = {
    "bytes": np.arange(3000, dtype=np.uint8),
    "scalar": np.array(-5, ">i4"),
    "cube": np.arange(60, dtype=">f8").reshape(3, 4, 5),
    "columns": np.asfortranarray(np.arange(12, dtype="<c8").reshape(3, 4)),
    "empty": np.zeros((0, 7), np.float32),
    "flags": np.array([True, False, True]),
}
_FORMATS: Final[dict[str, tuple[tuple[int | None, ...], list[tuple[str, int]], Any]]] = {
    "timestamp": ((), [("u", 40)], 2**40 - 1),
    "packed": ((2, 3), [("i", 10)], np.array([[-512, 511, 0], [1, -1, 7]])),
    "text": ((None,), [("c", 8)], "over any transport"),
    "nothing": ((None,), [("c", 8)], ""),
}


def _signals_end(capabilities: Capabilities) -> bool:
    return capabilities.signals_end


def _reliable(capabilities: Capabilities) -> bool:
    return not capabilities.lossy


def _ordered(capabilities: Capabilities) -> bool:
    return capabilities.ordered


def _has_destinations(capabilities: Capabilities) -> bool:
    return capabilities.several_destinations


def _has_senders(capabilities: Capabilities) -> bool:
    return capabilities.several_senders


def _any(_: Capabilities) -> bool:
    return True


def _check(
    sentence: str, *, when: Callable[[Capabilities], bool] = _any
) -> Callable[[Callable[[TransportUnderTest, str], None]], None]:
    """Add a check that is done with each engine."""

    def decorate(function: Callable[[TransportUnderTest, str], None]) -> None:
        @wraps(function)
        def with_each_engine(subject: TransportUnderTest) -> None:
            for engine in engine_names():
                function(subject, engine)

        STREAM_CHECKS.add(sentence, when=when)(with_each_engine)

    return decorate


def _group() -> send.ItemGroup:
    """Items of every kind."""
    group = send.ItemGroup()
    for name, value in _VALUES.items():
        order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        group.add_item(None, name, "", value.shape, value.dtype, order=order, value=value)  # type: ignore[arg-type]
    for name, (shape, fields, value) in _FORMATS.items():
        group.add_item(None, name, "", shape, format=fields, value=value)
    return group


def _heap(nbytes: int = 2000) -> send.Heap:
    group = send.ItemGroup()
    value = (np.arange(nbytes) % 251).astype(np.uint8)
    group.add_item(0x1000, "data", "", value.shape, value.dtype, value=value)
    return group.get_heap(descriptors="none", data="all")


def _is_whole(heap: object, nbytes: int = 2000) -> bool:
    return isinstance(heap, recv.Heap) and np.array_equal(heap.payload, np.arange(nbytes) % 251)


def _receiving(engine: str, receiver: PacketReceiver, *, heaps: int = 4) -> recv.Stream:
    return receiving_stream(recv.Stream, receiver, None, recv.RingStreamConfig(heaps=heaps), engine=engine)


def _streams(subject: TransportUnderTest, engine: str, **config: Any) -> AbstractContextManager[StreamPair]:
    """A stream that sends and the one that receives, until the end of the ``with`` block."""
    return Link(subject, engine).streams(send.StreamConfig(**config), None, recv.RingStreamConfig(heaps=4))


def _transfer(outgoing: send.SyncStream, incoming: recv.Stream, *heaps: send.Heap) -> list[recv.ReceivedHeap]:
    """Send heaps and receive as many. Both at once: no transport need keep a whole heap."""
    sending = in_thread(lambda: [outgoing.send_heap(heap, timeout=PATIENCE) for heap in heaps])
    arrived = [incoming.get(PATIENCE) for _ in heaps]
    sending()
    return arrived


# --------------------------------------------------------------------------------------------------------- heaps


@_check("Any engine drives any transport.")
def items_of_every_kind_arrive(subject: TransportUnderTest, engine: str) -> None:
    group = _group()
    with _streams(subject, engine) as (outgoing, incoming):
        (heap,) = _transfer(outgoing, incoming, group.get_heap())
    received = ItemGroup()
    received.update(heap)
    for name, item in group.items():
        expect(name in received, f"item {name!r} did not arrive")
        same = np.array_equal(np.asarray(received[name].value), np.asarray(item.value))
        expect(same, f"item {name!r} arrived as {received[name].value!r} and was {item.value!r}")


@_check("A heap is cut into packets of any size that the transport can carry.")
def packets_may_have_any_size(subject: TransportUnderTest, engine: str) -> None:
    largest = subject.capabilities.largest_packet
    for size in (56, 100, 1472, 1473, 8972, 65000):
        if largest is None or size <= largest:
            with _streams(subject, engine, max_packet_size=size) as (outgoing, incoming):
                (heap,) = _transfer(outgoing, incoming, _heap())
                expect(_is_whole(heap), f"a heap in packets of {size} bytes did not arrive intact")


@_check("Index of the sender's destination (the substream).", when=_has_destinations)
def substreams_go_to_their_destinations(subject: TransportUnderTest, engine: str) -> None:
    with ExitStack() as stack:
        sender, receivers = stack.enter_context(subject.fan(3))
        incoming = [stack.enter_context(_receiving(engine, receiver)) for receiver in receivers]
        outgoing = stack.enter_context(send.SyncStream(sender, engine=engine))
        expect(outgoing.num_substreams == 3, f"there are {outgoing.num_substreams} substreams instead of 3")
        for index, stream in enumerate(incoming):
            sending = in_thread(partial(outgoing.send_heap, _heap(), 100 + index, index, timeout=PATIENCE))
            cnt = stream.get(PATIENCE).cnt
            sending()
            expect(cnt == 100 + index, f"heap {cnt} arrived at destination {index} instead of {100 + index}")


@_check("Several senders may feed one receiver.", when=_has_senders)
def several_streams_feed_one(subject: TransportUnderTest, engine: str) -> None:
    with ExitStack() as stack:
        receiver = stack.enter_context(subject.open_receiver())
        senders = [subject.open_sender(receiver) for _ in range(3)]
        outgoing = [stack.enter_context(send.SyncStream(sender, engine=engine)) for sender in senders]
        incoming = stack.enter_context(_receiving(engine, receiver, heaps=64))
        sending = [
            in_thread(partial(_send_numbered, stream, range(index, 9, 3))) for index, stream in enumerate(outgoing)
        ]
        heaps = [incoming.get(PATIENCE) for _ in range(9)]
        for finished in sending:
            finished()
        expect(all(map(_is_whole, heaps)), "a heap did not arrive intact")
        cnts = sorted(heap.cnt for heap in heaps)
        expect(cnts == list(range(len(heaps))), f"heaps {cnts} arrived instead of 0 to {len(heaps) - 1}")


def _send_numbered(stream: send.SyncStream, cnts: Iterable[int]) -> None:
    for cnt in cnts:
        stream.send_heap(_heap(), cnt, timeout=PATIENCE)


@_check("Every packet that arrives is used or counted under a reason.")
def junk_is_counted_and_does_no_harm(subject: TransportUnderTest, engine: str) -> None:
    junk = PacketBatch.of([b"x", b"\x53\x04", b"junk " * 20, bytes(64)])

    def send_junk_first(sender: PacketSender) -> None:
        send_packets(sender, junk)
        with send.SyncStream(sender, engine=engine) as outgoing:
            outgoing.send_heap(_heap(), timeout=PATIENCE)

    with subject.pair() as (sender, receiver), _receiving(engine, receiver) as incoming:
        sending = in_thread(lambda: send_junk_first(sender))
        heap = incoming.get(PATIENCE)
        sending()
        expect(_is_whole(heap), "the heap after the junk did not arrive intact")
        stats = incoming.stats
        rejected = sum(count for name, count in stats.items() if name.startswith("rejected_"))
        expect(rejected > 0, "the junk was counted nowhere")


@_check("Back-pressure is simply not calling.", when=_reliable)
def a_reliable_transport_loses_nothing_to_a_slow_reader(subject: TransportUnderTest, engine: str) -> None:
    count = 300
    with subject.pair() as (sender, receiver), _receiving(engine, receiver, heaps=1) as incoming:
        with send.SyncStream(sender, engine=engine) as outgoing:
            sending = in_thread(lambda: [outgoing.send_heap(_heap(), timeout=PATIENCE) for _ in range(count)])
            cnts = [incoming.get(PATIENCE).cnt for _ in range(count)]
            sending()
        expect(cnts == list(range(1, count + 1)), "heaps were lost, or came out of order")


@_check("Every packet that arrives is used or counted under a reason.", when=_ordered)
def lost_and_doubled_packets_are_counted(subject: TransportUnderTest, engine: str) -> None:
    packets = {cnt: list(send.PacketGenerator(_heap(), cnt, max_packet_size=500)) for cnt in (1, 2, 3)}
    faulty = [*packets[1][:2], packets[1][1], *packets[1][2:], *packets[2][:-1], *packets[3]]
    end = send.PacketGenerator(send.ItemGroup().get_end(), 4, max_packet_size=500)
    with subject.pair() as (sender, receiver), _receiving(engine, receiver) as incoming:
        sending = in_thread(lambda: send_packets(sender, PacketBatch.of([*faulty, *end])))
        heaps = [incoming.get(PATIENCE) for _ in range(2)]
        raises(Stopped, lambda: incoming.get(PATIENCE), "asking for a heap that lacks a packet")
        sending()
        stats = incoming.stats
    expect([heap.cnt for heap in heaps] == [1, 3] and all(map(_is_whole, heaps)), "heaps did not arrive intact")
    expect(stats["incomplete_heaps_flushed"] == 1, "the heap that lacks a packet was not counted")
    doubled = sum(count for name, count in stats.items() if name.startswith("rejected_"))
    expect(doubled == 1, f"one packet came twice, and {doubled} were rejected")


# ------------------------------------------------------------------------------------------------- end and close


@_check("After the last packet, at this and every later call.", when=_signals_end)
def the_stream_ends_when_the_senders_are_finished(subject: TransportUnderTest, engine: str) -> None:
    with _streams(subject, engine) as (outgoing, incoming):
        sending = in_thread(partial(_send_and_close, outgoing))
        cnts = [heap.cnt for heap in incoming]
        sending()
        expect(cnts == list(range(1, _FEW_HEAPS + 1)), f"heaps {cnts} arrived before the end")
        raises(Stopped, lambda: incoming.get(PATIENCE), "asking for a heap after the end")


def _send_and_close(stream: send.SyncStream) -> None:
    _send_numbered(stream, range(1, _FEW_HEAPS + 1))
    stream.close()


@_check("The end of the stream that a stop item tells is seen over any transport.")
def a_stop_item_ends_the_stream(subject: TransportUnderTest, engine: str) -> None:
    with _streams(subject, engine) as (outgoing, incoming):
        outgoing.send_heap(send.ItemGroup().get_end(), timeout=PATIENCE)
        raises(Stopped, lambda: incoming.get(PATIENCE), "asking for a heap after the stop item")


@_check("Give up the endpoint and wake whoever waits for it.")
def stopping_wakes_who_waits_for_a_heap(subject: TransportUnderTest, engine: str) -> None:
    with _streams(subject, engine) as (_, incoming):
        waiting = in_thread(lambda: incoming.get(PATIENCE))
        raises(Empty, lambda: incoming.get(0.01), "asking for a heap when there is none")
        incoming.stop()
        raises(Stopped, waiting, "waiting for a heap while the stream is stopped")


@_check("If the endpoint was closed.")
def a_closed_stream_sends_nothing(subject: TransportUnderTest, engine: str) -> None:
    with _streams(subject, engine) as (outgoing, _):
        outgoing.close()
        raises(ClosedError, lambda: outgoing.send_heap(_heap()), "sending after close()")


@_check("Nothing blocks but Readiness.wait, which Ctrl-C interrupts.")
def an_interrupt_reaches_who_waits_for_a_heap(subject: TransportUnderTest, engine: str) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread gets interrupts
    with _streams(subject, engine) as (outgoing, incoming):
        main = threading.main_thread().ident
        assert main is not None
        interrupt = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            interrupt.start()
            incoming.get(PATIENCE)
        except KeyboardInterrupt:
            pass
        finally:
            interrupt.join()
            signal.signal(signal.SIGINT, before)
        (heap,) = _transfer(outgoing, incoming, _heap())
        expect(_is_whole(heap), "the stream did not go on after an interrupt")


# ------------------------------------------------------------------------------------------------------- asyncio


@_check("Any engine drives any transport.")
def asyncio_streams_work_alike(subject: TransportUnderTest, engine: str) -> None:
    async def transfer(sender: PacketSender, receiver: PacketReceiver) -> list[recv.ReceivedHeap]:
        async with (
            recv.asyncio.Stream(ring_config=recv.RingStreamConfig(heaps=_FEW_HEAPS), engine=engine) as incoming,
            send.asyncio.AsyncStream(sender, send.StreamConfig(max_heaps=_FEW_HEAPS), engine=engine) as outgoing,
        ):
            incoming.add_reader(receiver)
            cancelled = asyncio.ensure_future(incoming.get())
            await asyncio.sleep(0)
            cancelled.cancel()
            futures = [outgoing.async_send_heap(_heap(200)) for _ in range(_FEW_HEAPS)]
            heaps = [await asyncio.wait_for(incoming.get(), PATIENCE) for _ in range(_FEW_HEAPS)]
            await asyncio.wait_for(asyncio.gather(*futures), PATIENCE)
            return heaps

    with subject.pair() as (sender, receiver):
        heaps = asyncio.run(transfer(sender, receiver))
    expect(all(_is_whole(heap, 200) for heap in heaps), "a heap did not arrive intact")
    cnts = sorted(heap.cnt for heap in heaps)
    expect(cnts == list(range(1, _FEW_HEAPS + 1)), f"heaps {cnts} arrived instead of 1 to {_FEW_HEAPS}")


@_check("Back-pressure is simply not calling.", when=_reliable)
def a_reliable_transport_loses_nothing_to_a_slow_task(subject: TransportUnderTest, engine: str) -> None:
    count = 100

    async def transfer(link: Link) -> list[int]:
        with link.async_streams(ring_config=recv.RingStreamConfig(heaps=1)) as (outgoing, incoming):

            async def send_all() -> None:
                for _ in range(count):
                    await outgoing.async_send_heap(_heap())

            sending = asyncio.create_task(send_all())
            heaps = [await asyncio.wait_for(incoming.get(), PATIENCE) for _ in range(count)]
            await asyncio.wait_for(sending, PATIENCE)
            return [heap.cnt for heap in heaps]

    cnts = asyncio.run(transfer(Link(subject, engine)))
    expect(cnts == list(range(1, count + 1)), "heaps were lost, or came out of order")
