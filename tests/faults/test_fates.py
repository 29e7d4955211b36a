"""The same seed gives the same faults, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spead_transport_faults import FaultLog
from spead_transport_faults.dice import Dice

from spead_transport.transport import PacketBatch

from .packets import drain, heap_packets, numbered, numbers, receiving, sending

_EVERYTHING = {
    "loss": 0.1,
    "duplication": 0.1,
    "corruption": 0.1,
    "truncation": 0.1,
    "reordering": 0.1,
    "script": "drop packets 7,50-52; hold packet 60 for 10 packets; drop packet 2 of every heap",
}


def _through(batch: PacketBatch, cuts: list[int], **options: object) -> tuple[list[bytes], FaultLog]:
    """Send a batch in parts."""
    with sending(**options) as (sender, receiver, _):
        for part in np.split(np.arange(len(batch)), sorted(set(cuts))):
            assert sender.try_send(batch.take(part)) == len(part)
        sender.close()
        return drain(receiver), sender.log


def test_known_numbers() -> None:
    """They are the same on every machine, for ever."""
    dice = Dice(42, "send 0")
    assert dice.throw("loss", 0, 3).tolist() == [0.9609064448947511, 0.7620042217594544, 0.7319841634434209]
    assert dice.throw("loss", 1, 2).tolist() == dice.throw("loss", 0, 3).tolist()[1:]


def test_numbers_are_even() -> None:
    numbers = Dice(1, "send 0").throw("loss", 0, 100_000)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    histogram = np.histogram(numbers, 10, (0, 1))[0]
    assert np.abs(histogram - 10_000).max() < 500
    others = [Dice(2, "send 0").throw("loss", 0, 100_000), Dice(1, "send 0").throw("delay", 0, 100_000)]
    for other in others:
        assert abs(np.corrcoef(numbers, other)[0, 1]) < 0.02


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 199), max_size=20), st.integers(0, 3))
def test_batches_do_not_matter(cuts: list[int], seed: int) -> None:
    whole, log = _through(numbered(200), [], seed=seed, **_EVERYTHING)
    parts, other_log = _through(numbered(200), cuts, seed=seed, **_EVERYTHING)
    assert parts == whole
    assert other_log.faults == log.faults
    assert set(log.counts) >= {"loss", "duplication", "corruption", "truncation", "reordering", "script_drop"}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 49), max_size=20))
def test_batches_do_not_matter_to_rules_about_heaps(cuts: list[int]) -> None:
    batch = PacketBatch.of([packet for cnt in range(10) for packet in heap_packets(cnt)])
    script = "drop packets 2,4- of heaps 3-5; duplicate last packet of every heap; corrupt packet 1 of heap 6"
    whole, log = _through(batch, [], script=script)
    parts, other_log = _through(batch, cuts, script=script)
    assert (parts, other_log.faults) == (whole, log.faults)
    assert [(fault.heap, fault.packet) for fault in log.faults if fault.what == "script_drop"] == [
        (cnt, 5 * cnt + number) for cnt in (3, 4, 5) for number in (2, 4, 5)
    ]


def test_another_seed_gives_other_faults() -> None:
    one, other = (_through(numbered(200), [], seed=seed, loss=0.5)[0] for seed in (1, 2))
    assert one != other


def test_receivers_and_senders_have_their_own() -> None:
    sent, _ = _through(numbered(200), [], loss=0.5)
    with receiving(loss=0.5) as (sender, receiver, _, _):
        sender.try_send(numbered(200))
        received = drain(receiver)
    assert len(sent) > 0
    assert len(received) > 0
    assert sent != received


def test_a_receiver_with_the_same_seed_loses_the_same() -> None:
    arrived = []
    for limit in (1, 7, 1000):
        with receiving(loss=0.3, reordering=0.1, seed=5) as (sender, receiver, queue, _):
            sender.try_send(numbered(300))
            queue.stop()
            packets: list[bytes] = []
            while len(batch := receiver.try_recv(limit)):
                packets += [packet.tobytes() for packet in batch.packets()]
                if len(packets) == 300 - sum(receiver.drops().values()):
                    break
            arrived.append(packets)
    assert arrived[0] == arrived[1] == arrived[2]
    assert numbers(arrived[0]) != sorted(numbers(arrived[0]))


@pytest.mark.parametrize(
    ("loss", "least", "most"), [(0.0, 0, 0), (0.01, 60, 140), (0.5, 4800, 5200), (1.0, 10000, 10000)]
)
def test_probabilities(loss: float, least: int, most: int) -> None:
    arrived, log = _through(numbered(10_000), [], loss=loss)
    assert least <= log.counts.get("loss", 0) <= most
    assert len(arrived) + log.counts.get("loss", 0) == 10_000
