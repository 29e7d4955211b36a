"""Whole streams through faults, with each engine."""

from __future__ import annotations

import numpy as np
import pytest
from spead_transport_faults import FaultsTransport

import spead_transport as spead
from spead_transport import recv, send
from spead_transport.engine import engine_names
from spead_transport.testing import Check, TransportUnderTest, checks_for

HEAPS = 20


def _heap() -> send.Heap:
    group = send.ItemGroup()
    group.add_item(0x1000, "data", "", (1000,), np.uint8, value=np.arange(1000) % 251)
    return group.get_heap(descriptors="none", data="all")


def _transfer(options: str, engine: str) -> tuple[list[tuple[int, bool]], recv.StreamStats, FaultsTransport]:
    """The cnt of each heap that arrived and whether it was complete."""
    transport = FaultsTransport.from_url(f"{FaultsTransport.loopback_url()}?{options}")
    config = recv.StreamConfig(allow_out_of_order=True, max_heaps=HEAPS)
    ring = recv.RingStreamConfig(heaps=2 * HEAPS, contiguous_only=False)
    with spead.open_receiver(transport, config=config, ring_config=ring, engine=engine) as receiver:
        settings = send.StreamConfig(max_packet_size=148)
        with spead.open_sender(transport, config=settings, engine=engine) as sender:
            for _ in range(HEAPS):
                sender.send_heap(_heap(), timeout=20)
        arrived = [(heap.cnt, isinstance(heap, recv.Heap)) for heap in receiver]
        return sorted(arrived), receiver.stats, transport


@pytest.mark.parametrize("side", ["send", "receive"])
def test_drop_packet_3_of_heap_17(engine: str, side: str) -> None:
    arrived, stats, _ = _transfer(f"side={side}&script=drop packet 3 of heap 17", engine)
    assert arrived == [(cnt, cnt != 17) for cnt in range(1, HEAPS + 1)]
    assert stats["incomplete_heaps_flushed"] == 1
    assert stats["transport_drops"] == (side == "receive")


def test_reordering_and_duplication_do_no_harm(engine: str) -> None:
    arrived, _, transport = _transfer("side=send&reordering=0.2&duplication=0.2", engine)
    # A packet that comes again after its heap was complete begins another one, which stays incomplete.
    assert [cnt for cnt, complete in arrived if complete] == list(range(1, HEAPS + 1))
    assert transport.log.counts["reordering"] > 10


def test_losses_are_the_same_each_time() -> None:
    options = "side=receive&loss=0.02&corruption=0.01&seed=3"
    runs = [_transfer(options, engine) for engine in engine_names() for _ in range(2)]
    first, _, transport = runs[0]
    assert any(not complete for _, complete in first)
    for arrived, _, other in runs:
        assert arrived == first
        assert other.log.faults == transport.log.faults


@pytest.mark.parametrize("inner", ["inproc", "udp"])
@pytest.mark.parametrize("options", ["delay=1ms", "bandwidth=500MB/s&queue=16"], ids=str)
def test_a_slow_network_keeps_the_contract(inner: str, options: str) -> None:
    subject = TransportUnderTest.of(f"faults+{inner}?{options}")
    for check in _packet_checks(subject):
        check.run(subject)


def _packet_checks(subject: TransportUnderTest) -> list[Check]:
    wanted = {
        "packets_of_many_sizes_arrive_intact",
        "packets_cut_in_any_way_arrive_intact",
        "the_senders_memory_is_not_kept",
        "readiness_settles_when_there_is_nothing",
        "readiness_is_never_late",
        "closing_the_sender_loses_nothing",
        "closing_wakes_who_waits_for_packets",
        "a_second_caller_is_told",
        "asyncio_streams_work_alike",
        "nothing_stays_open",
    }
    chosen = [check for check in checks_for(subject.capabilities) if check.name in wanted]
    assert len(chosen) == len(wanted)
    return chosen
