"""Captures with everything else: event loops, other wrappers, redirections, files of streams; and files that lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spead_transport_pcap import PcapConfig, PcapTransport

import spead_transport as spead
from spead_transport import recv, send
from spead_transport.config import load_config
from spead_transport.errors import EndOfStream, TransportError
from spead_transport.transport import PacketReceiver, redirected

from .captures import ethernet, heap_packets, ipv4, pcap_bytes, pcapng_bytes, udp, write_pcap

FRAMES = [ethernet(ipv4(udp(packet))) for cnt in (1, 2, 3) for packet in heap_packets(cnt)]
HEAPS = 10
#: Cuts each heap in five packets.
CONFIG = send.StreamConfig(max_packet_size=264)


def _send(sender: send.SyncStream) -> None:
    group = send.ItemGroup()
    group.add_item(0x1000, "data", "", (1000,), np.uint8, value=np.zeros(1000))
    with sender:
        for _ in range(HEAPS):
            sender.send_heap(group.get_heap(descriptors="none", data="all"))


def _recorded(path: Path) -> int:
    with spead.open_receiver(f"pcap://{path}", config=recv.StreamConfig(allow_out_of_order=True)) as receiver:
        for _ in receiver:
            pass
        return receiver.stats["packets"]


async def test_in_an_event_loop(tmp_path: Path, engine: str) -> None:
    path = write_pcap(tmp_path / "a.pcap", FRAMES)
    async with recv.asyncio.Stream(engine=engine) as stream:
        stream.add_udp_pcap_file_reader(str(path))
        assert [heap.cnt async for heap in stream] == [1, 2, 3]


@pytest.mark.parametrize(("wrappers", "packets"), [("record+faults", 5 * HEAPS), ("faults+record", 5 * HEAPS - 1)])
def test_the_order_of_wrappers_counts(tmp_path: Path, engine: str, wrappers: str, packets: int) -> None:
    path = tmp_path / "a.pcap"
    with redirected("udp->inproc"), spead.open_receiver("udp://127.0.0.1:7148", engine=engine) as receiver:
        url = f"{wrappers}+udp://127.0.0.1:7148?file={path}&script=drop packet 3 of heap 5"
        _send(spead.open_sender(url, config=CONFIG, engine=engine))
        cnts = [receiver.get(20).cnt for _ in range(HEAPS - 1)]
        assert cnts == [cnt for cnt in range(1, HEAPS + 1) if cnt != 5]
    assert _recorded(path) == packets


def test_options_in_a_file_of_streams(tmp_path: Path, engine: str) -> None:
    capture = tmp_path / "a.pcap"
    file = tmp_path / "streams.toml"
    file.write_text(
        f'[out]\nurl = "record+faults+inproc://captured"\nfile = "{capture}"\n'
        'script = "drop packets 1-5"\nside = "send"\n'
    )
    with spead.open_receiver("inproc://captured", engine=engine) as receiver:
        _send(load_config(file)["out"].open_sender(config=CONFIG, engine=engine))
        assert len(list(receiver)) == HEAPS - 1
    assert _recorded(capture) == 5 * HEAPS


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([pcap_bytes(FRAMES), pcapng_bytes(FRAMES)]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
)
def test_files_that_lie(tmp_path: Path, content: bytes, changes: list[tuple[float, int]], length: float) -> None:
    """Any file is refused, or read to an end."""
    spoilt = bytearray(content[: int(len(content) * length)])
    for position, value in changes:
        if spoilt:
            spoilt[int(position * len(spoilt))] = value
    path = tmp_path / "a.pcap"
    path.write_bytes(spoilt)
    try:
        receiver = PcapTransport(PcapConfig(path=str(path))).open_receiver()
    except TransportError:
        return
    with receiver:
        _read_to_the_end(receiver)


def _read_to_the_end(receiver: PacketReceiver) -> None:
    for _ in range(len(FRAMES) + 10):
        try:
            receiver.try_recv(1)
        except EndOfStream:
            return
    pytest.fail("there is no end")
