from __future__ import annotations

import socket
from pathlib import Path

import pytest
from spead_transport_unixgram import LARGEST_PACKET, UnixgramConfig, UnixgramTransport

from spead_transport.errors import TransportError
from spead_transport.transport import PacketBatch


def test_a_socket_in_the_file_system_goes_with_its_receiver(tmp_path: Path) -> None:
    path = tmp_path / "ingest"
    transport = UnixgramTransport.from_url(f"unixgram://{path}")
    with transport.open_receiver() as receiver, transport.open_sender() as sender:
        assert path.is_socket()
        assert sender.try_send(PacketBatch.of([b"packet"])) == 1
        assert [packet.tobytes() for packet in receiver.try_recv(10).packets()] == [b"packet"]
    assert not path.exists()


def test_a_socket_that_somebody_removed_can_be_closed(tmp_path: Path) -> None:
    path = tmp_path / "ingest"
    with UnixgramTransport(UnixgramConfig(address=str(path))).open_receiver():
        path.unlink()


def test_a_sender_needs_a_receiver(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="start the receiver before its senders"):
        UnixgramTransport(UnixgramConfig(address=str(tmp_path / "ingest"))).open_sender()


def test_one_receiver_for_each_address() -> None:
    transport = UnixgramTransport.from_url(UnixgramTransport.loopback_url())
    with transport.open_receiver(), pytest.raises(TransportError, match="remove the socket"):
        transport.open_receiver()


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="too long"):
        UnixgramTransport(UnixgramConfig(address=str(tmp_path / ("x" * 200)))).open_receiver()


def test_packets_that_are_too_large_are_counted() -> None:
    config = UnixgramConfig(address=UnixgramTransport.loopback_url().rpartition("/")[2])
    with (
        UnixgramTransport(config).open_receiver() as receiver,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger,
    ):
        stranger.sendto(bytes(LARGEST_PACKET + 1), f"\0{config.address}")
        assert len(receiver.try_recv(10)) == 0
        assert receiver.drops() == {"too_large": 1}


def test_the_buffer_holds_the_largest_packet_at_least() -> None:
    with pytest.raises(ValueError, match="buffer_size"):
        UnixgramTransport.from_url("unixgram://x?buffer_size=64kB")
    transport = UnixgramTransport.from_url(f"{UnixgramTransport.loopback_url()}?buffer_size=128KiB")
    with transport.open_receiver() as receiver, transport.open_sender() as sender:
        assert sender.try_send(PacketBatch.of([bytes(LARGEST_PACKET)])) == 1
        assert receiver.try_recv(1).nbytes == LARGEST_PACKET
