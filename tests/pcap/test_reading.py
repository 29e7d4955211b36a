"""Captures as sources of streams."""

from __future__ import annotations

import contextlib
import gzip
import socket
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from spead_transport_pcap import PcapConfig, PcapTransport

import spead_transport as spead
from spead_transport import recv, send
from spead_transport.errors import EndOfStream, TransportError, TransportLookupError
from spead_transport.transport import ManualClock, PacketReceiver, registry

from .captures import ethernet, heap_packets, ipv4, ipv6, pcap_bytes, pcapng_bytes, udp, write_pcap

PACKETS = [packet for cnt in (1, 2, 3) for packet in heap_packets(cnt)]
FRAMES = [ethernet(ipv4(udp(packet))) for packet in PACKETS]


def _read_all(receiver: PacketReceiver, limit: int = 1000) -> list[bytes]:
    packets: list[bytes] = []
    while True:
        try:
            packets += [packet.tobytes() for packet in receiver.try_recv(limit).packets()]
        except EndOfStream:
            return packets


def _read(path: Path, **options: str) -> tuple[list[bytes], dict[str, int]]:
    config = PcapConfig(path=str(path), **options)  # type: ignore[arg-type]
    with PcapTransport(config).open_receiver() as receiver:
        assert receiver.readable.wait(0)
        packets = _read_all(receiver)
        with pytest.raises(EndOfStream):
            receiver.try_recv(1)
        assert receiver.readable.wait(0)
        return packets, receiver.drops()


# ------------------------------------------------------------------------------------------------------------ formats


@pytest.mark.parametrize(
    "content",
    [
        pcap_bytes(FRAMES),
        pcap_bytes(FRAMES, order=">"),
        pcap_bytes(FRAMES, nanoseconds=True),
        pcapng_bytes(FRAMES),
        gzip.compress(pcap_bytes(FRAMES)),
        gzip.compress(pcapng_bytes(FRAMES)),
    ],
    ids=["pcap", "big-endian", "nanoseconds", "pcapng", "gzip", "pcapng-gzip"],
)
def test_formats(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "capture"
    path.write_bytes(content)
    assert _read(path) == (PACKETS, {})


def test_heaps(tmp_path: Path, engine: str) -> None:
    path = write_pcap(tmp_path / "a.pcap", FRAMES)
    with spead.open_receiver(f"pcap://{path}", engine=engine) as receiver:
        group = spead.ItemGroup()
        for heap in receiver:
            assert np.array_equal(group.update(heap)["data"].value, np.arange(500) % 251)
        assert receiver.stats["heaps"] == 3


def test_any_limit(tmp_path: Path) -> None:
    path = write_pcap(tmp_path / "a.pcap", FRAMES)
    for limit in (1, 2, 1000):
        with PcapTransport(PcapConfig(path=str(path))).open_receiver() as receiver:
            assert len(receiver.try_recv(limit)) == min(limit, len(PACKETS))
            assert _read_all(receiver, limit) == PACKETS[limit:]


def test_what_is_no_packet_is_counted(tmp_path: Path, engine: str) -> None:
    others = [
        bytes(60),
        ethernet(ipv4(b"", protocol=6)),
        ethernet(ipv4(udp(b"x"), fragment=0x2000)),
        ethernet(ipv6(udp(b"x")))[:-1],
        b"",
    ]
    path = write_pcap(tmp_path / "a.pcap", [*others, *FRAMES, *others])
    packets, drops = _read(path)
    assert packets == PACKETS
    assert drops == {"not_udp": 4, "fragment": 2, "cut_short": 2, "malformed": 2}
    with spead.open_receiver(f"pcap://{path}", engine=engine) as receiver:
        assert len(list(receiver)) == 3
        assert receiver.stats["transport_drops"] == 10


def test_snaplen_cuts_packets_short(tmp_path: Path) -> None:
    path = write_pcap(tmp_path / "a.pcap", FRAMES, snaplen=100)
    packets, drops = _read(path)
    assert len(packets) + drops["cut_short"] == len(FRAMES)
    assert drops["cut_short"] > 0


def test_packets_that_were_captured_before_they_were_cut(tmp_path: Path) -> None:
    """So a capture on the machine of a sender that uses segmentation offload looks."""
    pieces = [b"".join(PACKETS[:4]), PACKETS[4], b"".join(PACKETS[5:]), b"junk"]
    path = write_pcap(tmp_path / "a.pcap", [ethernet(ipv4(udp(piece))) for piece in pieces])
    assert _read(path)[0] == [*PACKETS, b"junk"]


def test_what_follows_a_packet_and_is_none_stays_with_it(tmp_path: Path) -> None:
    odd = [PACKETS[0] + b"junk", PACKETS[0] + 3 * b"12345678" + PACKETS[1], PACKETS[0] + PACKETS[1][:-1]]
    path = write_pcap(tmp_path / "a.pcap", [ethernet(ipv4(udp(datagram))) for datagram in odd])
    assert _read(path)[0] == odd


# ------------------------------------------------------------------------------------------------------- filter, time


@pytest.mark.parametrize(
    ("filter", "count"),
    [
        ("", 4),
        ("udp port 7148", 2),
        ("udp dst port 7149", 1),
        ("dst host 239.2.3.5", 1),
        ("ip6 and udp port 7148", 1),
        ("port 1", 0),
    ],
)
def test_filter(tmp_path: Path, filter: str, count: int) -> None:
    frames = [
        ethernet(ipv4(udp(b"a"))),
        ethernet(ipv4(udp(b"b", port=7149))),
        ethernet(ipv4(udp(b"c", port=7150), to="239.2.3.5")),
        ethernet(ipv6(udp(b"d"))),
    ]
    packets, drops = _read(write_pcap(tmp_path / "a.pcap", frames), filter=filter)
    assert len(packets) == count
    assert not drops


def test_original_timing(tmp_path: Path) -> None:
    times = [100.0, 100.5, 100.5, 99.0, 102.5]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap_bytes([ethernet(ipv4(udp(bytes([n])))) for n in range(5)], times=times))
    clock = ManualClock()
    clock.advance(7)
    with PcapTransport(PcapConfig(path=str(path), speed=2.0), clock=clock).open_receiver() as receiver:
        arrived = []
        for _ in range(6):
            assert receiver.readable.wait(0)
            packets = [packet.tobytes()[0] for packet in receiver.try_recv(10).packets()]
            arrived.append(packets)
            if 4 in packets:
                break
            assert not receiver.readable.wait(0)
            assert len(receiver.try_recv(10)) == 0
            clock.advance(0.25)
            if len(arrived) > 1:
                clock.advance(0.75)
        assert arrived == [[0], [1, 2, 3], [4]]
        with pytest.raises(EndOfStream):
            receiver.try_recv(1)


def test_closing_while_a_packet_is_not_due(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap_bytes(FRAMES[:2], times=[0.0, 1e6]))
    with PcapTransport(PcapConfig(path=str(path), speed=1.0)).open_receiver() as receiver:
        assert len(receiver.try_recv(10)) == 1
        assert not receiver.readable.wait(0)
    assert receiver.readable.wait(0)


# ------------------------------------------------------------------------------------------------------------- errors


def test_a_capture_that_was_cut_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap_bytes(FRAMES)[:-10])
    packets, drops = _read(path)
    assert packets == PACKETS[:-1]
    assert drops == {"unreadable": 1}
    assert "truncated dump file" in caplog.text


def test_a_length_that_is_a_lie(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = pcap_bytes(FRAMES[:2])
    path = tmp_path / "a.pcap"
    path.write_bytes(good + b"\0" * 8 + b"\xff\xff\xff\x7f" * 2 + b"x")
    packets, drops = _read(path)
    assert (packets, drops) == (PACKETS[:2], {"unreadable": 1})
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no capture"),
        (b"SPEAD" * 20, "no capture"),
        (b"\x1f\x8bjunk", "(?i)unknown compression|gzip|compressed"),
        (gzip.compress(pcap_bytes(FRAMES))[:-20], "ended before the end-of-stream"),
        (pcap_bytes([], link_type=105), r"link of type 105; known: NULL \(0\), ETHERNET \(1\)"),
    ],
)
def test_files_that_are_no_captures(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(content)
    with pytest.raises(TransportError, match=message):
        PcapTransport(PcapConfig(path=str(path))).open_receiver()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="No such file") as caught:
        spead.open_receiver(f"pcap://{tmp_path / 'none'}")
    assert caught.value.errno == 2


def test_a_malformed_filter(tmp_path: Path) -> None:
    path = write_pcap(tmp_path / "a.pcap", FRAMES)
    with pytest.raises(TransportError, match=r"(?s)filter 'udp prt'.*pcap-filter"):
        spead.open_receiver(f"pcap://{path}?filter=udp prt")


@pytest.mark.parametrize("url", ["pcap://", "pcap://x?speed=0", "pcap://x?destination=here", "pcap://x?snaplen=1"])
def test_options_out_of_range(url: str) -> None:
    with pytest.raises(ValueError, match=r"path|speed|destination|snaplen"):
        PcapTransport.from_url(url)


def test_options_and_their_url() -> None:
    url = "pcap:///data/day 1.pcap?filter=udp port 7148 %26%26 ip6&speed=1&destination=[::1]:5"
    transport = PcapTransport.from_url(url)
    assert transport.config.filter == "udp port 7148 && ip6"
    assert PcapTransport.from_url(transport.url) == transport


# ----------------------------------------------------------------------------------------------------- classic reader


def test_classic_reader(tmp_path: Path, engine: str) -> None:
    path = write_pcap(tmp_path / "a b?.pcap", [*FRAMES, *(ethernet(ipv4(udp(b"x", port=1))) for _ in range(3))])
    for expression, junk in (("", 3), ("udp port 7148", 0)):
        stream = recv.Stream(engine=engine)
        stream.add_udp_pcap_file_reader(str(path), expression)
        assert len(list(stream)) == 3
        assert sum(value for name, value in stream.stats.items() if name.startswith("rejected")) == junk


def test_classic_reader_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [entry for entry in entry_points(group="spead_transport.transports") if entry.name != "pcap"]
    monkeypatch.setattr(registry, "entry_points", lambda group: others)
    with pytest.raises(TransportLookupError, match="pip install spead-transport-pcap"):
        recv.Stream().add_udp_pcap_file_reader("a.pcap")


def test_a_socket_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        with pytest.raises(TransportError, match="No such device"):
            spead.open_receiver(f"pcap://{path}")


# ----------------------------------------------------------------------------------------------------- a real capture


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_what_the_kernel_shows(tmp_path: Path, host: str) -> None:
    """Frames of the loopback interface, before segmentation, as tcpdump gets them."""
    try:
        capturing = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # all protocols
    except PermissionError:
        pytest.skip("capturing needs CAP_NET_RAW")
    group = send.ItemGroup()
    group.add_item(0x1000, "data", "Bytes", (30_000,), np.uint8, value=np.arange(30_000) % 251)
    with capturing, spead.open_receiver(f"udp://{host}:0") as receiver:
        capturing.bind(("lo", 0))
        address = receiver.urls[0].removeprefix("udp://").partition("?")[0]
        with spead.open_sender(f"udp://{address}") as sender:
            for cnt in (1, 2, 3):
                sender.send_heap(group.get_heap(descriptors="all", data="all"))
                assert receiver.get(20).cnt == cnt
        capturing.setblocking(False)
        frames = _captured(capturing)
    path = write_pcap(tmp_path / "a.pcap", frames, snaplen=262144)
    with spead.open_receiver(f"pcap://{path}?filter=udp dst port {address.rpartition(':')[2]}") as replayed:
        ours = spead.ItemGroup()
        for heap in replayed:
            assert np.array_equal(ours.update(heap)["data"].value, np.arange(30_000) % 251)
        assert replayed.stats["heaps"] == 3
        assert not replayed.drops()


def _captured(capturing: socket.socket) -> list[bytes]:
    """The frames that arrived. On the loopback interface each is shown as a sent one, too."""
    frames = []
    with contextlib.suppress(BlockingIOError):
        while True:
            frame, (_, _, kind, *_) = capturing.recvfrom(1 << 17)
            if kind != socket.PACKET_OUTGOING:
                frames.append(frame)
    return frames
