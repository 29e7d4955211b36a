"""Captures that are written."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import spead2
import spead2.recv
import spead2.send
from spead_transport_inproc import InprocReceiver, InprocSender
from spead_transport_pcap import PcapConfig, PcapSender, PcapTransport, Recorder, RecordingSender, RecordTransport
from spead_transport_pcap.writer import LARGEST_PACKET, CaptureWriter

import spead_transport as spead
from spead_transport import InprocQueue, send
from spead_transport.errors import BrokenTransportError, EndOfStream, TransportError
from spead_transport.protocol.framing import frame_packets
from spead_transport.transport import Endpoint, PacketBatch

from .captures import ethernet, heap_packets, ipv4, pcapng_bytes, udp, write_pcap

HERE = [Endpoint("127.0.0.1", 7148)]


def _heaps(count: int) -> list[send.Heap]:
    group = send.ItemGroup()
    group.add_item(0x1000, "data", "Bytes", (3000,), np.uint8)
    heaps = []
    for index in range(count):
        group["data"].value = np.full(3000, index, np.uint8)
        heaps.append(group.get_heap())
    return heaps


def _read(path: Path, **options: str) -> list[bytes]:
    with PcapTransport(PcapConfig(path=str(path), **options)).open_receiver() as receiver:  # type: ignore[arg-type]
        try:
            return [packet.tobytes() for packet in receiver.try_recv(100_000).packets()]
        except EndOfStream:
            return []


def _check_with_spead2(path: Path, count: int, filter: str = "") -> None:
    """The peer reads the same heaps from the file."""
    stream = spead2.recv.Stream(spead2.ThreadPool())
    stream.add_udp_pcap_file_reader(str(path), filter)
    group = spead2.ItemGroup()
    for index, heap in enumerate(stream):
        group.update(heap)
        assert np.array_equal(group["data"].value, np.full(3000, index, np.uint8))
    assert stream.stats["heaps"] == count


# --------------------------------------------------------------------------------------------------------- the format


def test_bytes_of_a_capture(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    with PcapSender(
        CaptureWriter(str(path), [Endpoint("239.2.3.4", 7148)], 262144, "x"), "x", now=lambda: 1.5
    ) as sender:
        assert sender.try_send(PacketBatch.of([b"spead!"])) == 1
    expected = """
        a1b2c3d4 0002 0004 00000000 00000000 00040000 00000001
        00000001 0007a120 00000030 00000030
        01005e020304 020000000001 0800
        45 00 0022 0000 4000 40 11 CKSM 7f000001 ef020304
        1bec 1bec 000e 0000
        737065616421
    """
    # The checksum makes the sum of the IP header's words, with the carries added, all ones.
    checksum = 0xFFFF - sum((0x4500, 0x22, 0x4000, 0x4011, 0x7F00, 1, 0xEF02, 0x304)) % 0xFFFF
    assert path.read_bytes() == bytes.fromhex(expected.replace("CKSM", f"{checksum:04x}"))


def test_ipv6_has_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    writer = CaptureWriter(str(path), [Endpoint("ff15::7", 7148)], 262144, "x")
    writer.write(PacketBatch.of([b"odd", b"even"]), 0.0)
    writer.close()
    data = path.read_bytes()
    for at, size in ((40, 3), (40 + 14 + 40 + 8 + 3 + 16, 4)):
        assert data[at : at + 6] == b"\x33\x33\0\0\0\7"
        packet = data[at + 14 : at + 14 + 48 + size]
        datagram = packet[40:] + bytes(size % 2)
        pseudo = packet[8:40] + struct.pack(">II", 8 + size, 17)
        total = sum(struct.unpack(f">{(len(pseudo) + len(datagram)) // 2}H", pseudo + datagram))
        assert (total & 0xFFFF) + (total >> 16) == 0xFFFF
    assert _read(path, filter="ip6 dst ff15::7") == [b"odd", b"even"]


def test_snaplen(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    writer = CaptureWriter(str(path), HERE, 128, "x")
    writer.write(PacketBatch.of([bytes(50), bytes(1000)]), 0.0)
    writer.close()
    with PcapTransport(PcapConfig(path=str(path))).open_receiver() as receiver:
        assert receiver.try_recv(10).sizes.tolist() == [50]
        assert receiver.drops() == {"cut_short": 1}


# --------------------------------------------------------------------------------------------------- sending to files


def test_a_stream_into_a_capture(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "a.pcap"
    with spead.open_sender(f"pcap://{path}?destination=239.2.3.4:7150", engine=engine) as sender:
        for heap in _heaps(5):
            sender.send_heap(heap)
    with spead.open_receiver(f"pcap://{path}?filter=dst host 239.2.3.4 and port 7150", engine=engine) as receiver:
        assert [heap.cnt for heap in receiver] == [1, 2, 3, 4, 5]
    _check_with_spead2(path, 5)
    _check_with_spead2(path, 5, "udp port 7150")


def test_packets_that_fit_no_datagram() -> None:
    with PcapTransport(PcapConfig(path="/dev/null")).open_sender() as sender:
        batch = PacketBatch.of([bytes(10), bytes(LARGEST_PACKET + 1), bytes(LARGEST_PACKET)])
        assert sender.try_send(batch) == 1
        with pytest.raises(TransportError, match="does not fit into a datagram"):
            sender.try_send(batch[1:])
        assert sender.try_send(batch[2:]) == 1
        with pytest.raises(ValueError, match="no destination 1"):
            sender.try_send(PacketBatch.of([b"x"], destination=1))


def test_a_full_disk() -> None:
    with pytest.raises(TransportError, match="No space left"):
        PcapTransport(PcapConfig(path="/dev/full")).open_sender()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="Is a directory"):
        PcapTransport(PcapConfig(path=str(tmp_path))).open_sender()


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = write_pcap(tmp_path / "a.pcap", [bytes(1000)])
    transport = PcapTransport(PcapConfig(path=str(path)))
    with transport.open_sender() as sender:
        sender.try_send(PacketBatch.of(heap_packets(1)))
        with pytest.raises(TransportError, match=r"(?s)being written already.*a file of its own"):
            transport.open_sender()
    assert _read(path) == heap_packets(1)
    with transport.open_sender():
        pass
    assert _read(path) == []


# ---------------------------------------------------------------------------------------------------------- recording


@pytest.mark.parametrize("end", ["send", "receive"])
def test_recording_udp(tmp_path: Path, engine: str, end: str) -> None:
    path = tmp_path / "a.pcap"
    source = "udp://127.0.0.1:0"
    with spead.open_receiver(
        f"record+{source}?file={path}" if end == "receive" else source, engine=engine
    ) as receiver:
        address = receiver.urls[0].partition("://")[2].partition("?")[0]
        target = f"udp://{address}"
        with spead.open_sender(f"record+{target}?file={path}" if end == "send" else target, engine=engine) as sender:
            for index, heap in enumerate(_heaps(5)):
                sender.send_heap(heap)
                assert receiver.get(20).cnt == index + 1
    port = address.rpartition(":")[2]
    assert len(_read(path)) == len(_read(path, filter=f"dst host 127.0.0.1 and udp dst port {port}")) > 5
    _check_with_spead2(path, 5)


def test_recording_several_destinations(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    with spead.open_sender(f"record+udp://127.0.0.1:9,127.0.0.2:10?file={path}") as sender:
        for index in (0, 1):
            sender.send_heap(_heaps(1)[0], substream_index=index)
    both = [_read(path, filter=f"dst host 127.0.0.{1 + index} and udp port {9 + index}") for index in (0, 1)]
    assert len(both[0]) == len(both[1]) > 0


def test_recording_inproc(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "a.pcap"
    url = RecordTransport.loopback_url().replace("/dev/null", str(path))
    plain = url.removeprefix("record+").partition("?")[0]
    with spead.open_receiver(plain, engine=engine) as receiver, spead.open_sender(url, engine=engine) as sender:
        for heap in _heaps(5):
            sender.send_heap(heap)
        sender.close()
        assert len(list(receiver)) == 5
    _check_with_spead2(path, 5, "udp port 7148")


def test_the_destination_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    with spead.open_sender(f"record+udp://127.0.0.1:9?file={path}&destination=[ff15::7]:5") as sender:
        sender.send_heap(_heaps(1)[0])
    assert len(_read(path, filter="ip6 dst ff15::7 and port 5")) > 0


class _Failing(CaptureWriter):
    """Fails once its file is there."""

    def write(self, batch: PacketBatch, now: float) -> None:
        raise OSError(28, "No space left on device")


def test_a_recording_that_fails_does_not_disturb(caplog: pytest.LogCaptureFixture) -> None:
    queue = InprocQueue()
    recorder = Recorder(_Failing("/dev/null", HERE, 262144, "x"), "record+x://")
    with (
        RecordingSender(InprocSender([queue]), recorder, "record+x://") as sender,
        InprocReceiver(queue) as receiver,
        caplog.at_level(logging.ERROR),
    ):
        for _ in range(3):
            assert sender.try_send(PacketBatch.of([b"x", b"y"])) == 2
        assert len(receiver.try_recv(10)) == 6
    assert (recorder.recorded, recorder.missed) == (0, 6)
    assert len(caplog.records) == 1
    assert "the recording is not complete" in caplog.text


def test_packets_that_are_too_large_are_not_recorded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.pcap"
    queue = InprocQueue()
    recorder = Recorder(CaptureWriter(str(path), HERE, 262144, "x"), "record+x://")
    with RecordingSender(InprocSender([queue]), recorder, "x") as sender, caplog.at_level(logging.ERROR):
        sender.try_send(PacketBatch.of([b"a", bytes(70_000), b"b"]))
    assert _read(path) == [b"a", b"b"]
    assert (recorder.recorded, recorder.missed) == (2, 1)
    assert "fit no datagram" in caplog.text


def test_a_sender_into_a_capture_breaks_when_it_cannot_write() -> None:
    writer = _Failing("/dev/null", HERE, 262144, "x")
    with PcapSender(writer, "pcap://x") as sender, pytest.raises(BrokenTransportError, match="No space left"):
        sender.try_send(PacketBatch.of([b"x"]))


@pytest.mark.parametrize(
    "url", ["record+inproc://x", "record://x?file=a", "record+inproc://x?file=a&destination=host:5"]
)
def test_malformed_urls(url: str) -> None:
    with pytest.raises(ValueError, match=r"file|wraps|IP address"):
        RecordTransport.from_url(url)


# ------------------------------------------------------------------------------------- what the peer sends and reads


def test_both_read_the_same(tmp_path: Path, engine: str) -> None:
    """A capture of what spead2 sends, read by it and by us."""
    stream = spead2.send.BytesStream(spead2.ThreadPool(), spead2.send.StreamConfig(max_packet_size=1472))
    group = spead2.send.ItemGroup()
    group.add_item(0x1000, "data", "Bytes", (3000,), np.uint8)
    for index in range(5):
        group["data"].value = np.full(3000, index, np.uint8)
        stream.send_heap(group.get_heap())
    stream.send_heap(group.get_end())
    data = np.frombuffer(stream.getvalue(), np.uint8)
    offsets, sizes = frame_packets(data, 0)
    path = tmp_path / "a.pcap"
    with PcapTransport(PcapConfig(path=str(path))).open_sender() as sender:
        sender.try_send(PacketBatch(data, offsets, sizes))
    _check_with_spead2(path, 5)
    incoming = spead.recv.Stream(engine=engine)
    incoming.add_udp_pcap_file_reader(str(path))
    ours = spead.ItemGroup()
    for index, heap in enumerate(incoming):
        assert np.array_equal(ours.update(heap)["data"].value, np.full(3000, index, np.uint8))
    assert incoming.stats["heaps"] == 5


def test_pcapng_is_read_by_both(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    path.write_bytes(pcapng_bytes([ethernet(ipv4(udp(packet))) for packet in heap_packets(1)]))
    stream = spead2.recv.Stream(spead2.ThreadPool())
    stream.add_udp_pcap_file_reader(str(path))
    assert [heap.cnt for heap in stream] == [1]
    assert _read(path) == heap_packets(1)
