"""Whatever goes wrong: each packet arrives, once or twice, or is counted under a reason."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from spead_transport_faults import FaultsConfig, FaultyReceiver, FaultySender, Script, Windows
from spead_transport_inproc import InprocReceiver, InprocSender

from spead_transport import InprocQueue
from spead_transport.errors import EndOfStream
from spead_transport.transport import ManualClock, PacketBatch

from .packets import numbered, numbers

_LOSSES = ("loss", "outage", "script_drop", "queue_full")
_SCRIPTS = ("", "drop packets 5-7; duplicate packet 9", "hold packets 3,8 for 4 packets; delay packet 6 by 50 ms")

configs = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 5),
        "loss": st.sampled_from([0.1, 0.9, 1.0]),
        "duplication": st.just(0.2),
        "reordering": st.just(0.3),
        "reorder_by": st.integers(1, 30),
        "delay": st.sampled_from([0.01, 0.5]),
        "jitter": st.just(0.1),
        "bandwidth": st.sampled_from([1e4, 1e5]),
        "queue": st.integers(1, 40),
        "full": st.sampled_from(["wait", "drop"]),
        "outages": st.just(Windows.parse("0.05-0.1,0.3-0.4")),
        "script": st.sampled_from(_SCRIPTS).map(Script.parse),
    },
)


@settings(max_examples=80, deadline=None)
@given(configs, st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 200))
def test_sender(options: dict[str, Any], sizes: list[int], room: int) -> None:
    clock, queue = ManualClock(), InprocQueue(max_packets=room)
    inner = InprocSender([queue])
    sender = FaultySender(inner, FaultsConfig(**options), clock=clock)
    arrived: list[bytes] = []
    with InprocReceiver(queue) as receiver:
        rest = numbered(sum(sizes))
        for size in sizes:
            part, rest = rest[:size], rest[size:]
            while len(part):
                taken = sender.try_send(part)
                part = part[taken:]
                if not taken:
                    clock.advance(0.01)
                arrived += _take(receiver)
        sender.close()
        while not inner.closed:
            clock.advance(0.1)
            arrived += _take(receiver)
        arrived += _take(receiver)
    counts = sender.log.counts
    assert "unsent" not in counts
    _check(sum(sizes), arrived, counts)


@settings(max_examples=80, deadline=None)
@given(configs, st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 100))
def test_receiver(options: dict[str, Any], sizes: list[int], limit: int) -> None:
    clock, queue = ManualClock(), InprocQueue()
    receiver = FaultyReceiver(InprocReceiver(queue), FaultsConfig(**options), clock=clock)
    arrived: list[bytes] = []
    with InprocSender([queue]) as sender, receiver:
        rest = numbered(sum(sizes))
        for size in sizes:
            sender.try_send(rest[:size])
            rest = rest[size:]
            if receiver.readable.wait(0):
                arrived += _bytes(receiver.try_recv(limit))
            clock.advance(0.02)
        queue.stop()
        arrived += _until_the_end(receiver, clock, limit)
        assert sum(receiver.drops().values()) == sum(receiver.log.counts.get(what, 0) for what in _LOSSES)
    _check(sum(sizes), arrived, receiver.log.counts)


def _until_the_end(receiver: FaultyReceiver, clock: ManualClock, limit: int) -> list[bytes]:
    arrived: list[bytes] = []
    while True:
        if not receiver.readable.wait(0):
            clock.advance(0.01)
        try:
            arrived += _bytes(receiver.try_recv(limit))
        except EndOfStream:
            return arrived


def _bytes(batch: PacketBatch) -> list[bytes]:
    return [packet.tobytes() for packet in batch.packets()]


def _take(receiver: InprocReceiver) -> list[bytes]:
    return _bytes(receiver.try_recv(1000))


def _check(sent: int, arrived: list[bytes], counts: dict[str, int]) -> None:
    lost = sum(counts.get(what, 0) for what in _LOSSES)
    assert len(set(numbers(arrived))) == sent - lost
    assert len(arrived) == sent - lost + counts.get("duplication", 0)
    assert set(numbers(arrived)) <= set(range(sent))
