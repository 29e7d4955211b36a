"""Endpoints that use a socket made elsewhere."""

from __future__ import annotations

import socket
import struct

import pytest
from spead_transport_udp import UdpReceiver, UdpSender

from spead_transport.errors import TransportError
from spead_transport.transport import PacketBatch, transport_from_url

from .links import GROUP, each_family, needs_ipv6, no_more, port_of, receive, send_all

# Constants of Linux that Python has no names for.
SO_TIMESTAMPNS = 35
IP_PKTINFO = 8
IP_RECVERR = 11
IP_RECVTTL = 12


def bound(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    return sock


@each_family
def test_adopted_sockets_work_and_stay_their_owners(host: str) -> None:
    with bound(host) as incoming, bound(host) as outgoing:
        port = incoming.getsockname()[1]
        with UdpReceiver.from_socket(incoming, max_packet_size=100) as receiver:
            assert port_of(receiver) == port
            with UdpSender.from_socket(outgoing, [(host, port), (host, port)]) as sender:
                assert sender.num_destinations == 2
                send_all(sender, PacketBatch.of([b"one", b"two", bytes(101)], destination=1))
                assert receive(receiver, 2) == [b"one", b"two"]
                assert no_more(receiver)
                assert receiver.drops()["truncated"] == 1
        outgoing.sendto(b"still mine", incoming.getsockname())
        assert incoming.recv(100) == b"still mine"


def test_owner_may_close_at_once() -> None:
    incoming, outgoing = bound("127.0.0.1"), bound("127.0.0.1")
    receiver = UdpReceiver.from_socket(incoming)
    sender = UdpSender.from_socket(outgoing, [incoming.getsockname()])
    incoming.close()
    outgoing.close()
    with sender, receiver:
        send_all(sender, PacketBatch.of([b"packet"] * 3))
        assert receive(receiver, 3) == [b"packet"] * 3


@pytest.mark.parametrize("timeout", [None, 0, 5])
@pytest.mark.parametrize("default", [None, 7])
def test_mode_of_the_socket_is_left_alone(timeout: float | None, default: float | None) -> None:
    """And whatever it is, nothing waits."""
    socket.setdefaulttimeout(default)
    try:
        with bound("127.0.0.1") as sock:
            sock.settimeout(timeout)
            blocking = sock.getblocking()
            with UdpReceiver.from_socket(sock) as receiver:
                assert len(receiver.try_recv(10)) == 0
            assert sock.gettimeout() == timeout
            assert sock.getblocking() == blocking
            sock.sendto(b"x", sock.getsockname())
            assert sock.recv(10) == b"x"
    finally:
        socket.setdefaulttimeout(None)


def test_connected_sender_survives_that_nobody_is_there() -> None:
    """Each packet comes back (ICMP port unreachable), which a connected socket reports at the next call."""
    with bound("127.0.0.1") as incoming:
        address = incoming.getsockname()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outgoing:
        outgoing.connect(address)
        outgoing.send(b"lost")
        with pytest.raises(ConnectionRefusedError):
            outgoing.send(b"report")
        with UdpSender.from_socket(outgoing, [address], gso=False) as sender:
            for _ in range(3):
                assert sender.try_send(PacketBatch.of([b"lost"] * 5)) == 5
            with transport_from_url(f"udp://127.0.0.1:{address[1]}").open_receiver() as receiver:
                assert sender.try_send(PacketBatch.of([b"found"] * 5)) == 5
                assert receive(receiver, 5) == [b"found"] * 5


def test_connected_receiver_survives_reports() -> None:
    with bound("127.0.0.1") as gone, bound("127.0.0.1") as incoming:
        peer = gone.getsockname()
        incoming.connect(peer)
        gone.close()
        with UdpReceiver.from_socket(incoming) as receiver:
            for _ in range(3):
                incoming.send(b"into the void")
                assert len(receiver.try_recv(10)) == 0
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
                back.bind(peer)
                back.sendto(b"hello", incoming.getsockname())
                assert receive(receiver, 1) == [b"hello"]


def test_error_queue_of_the_owner_does_no_harm() -> None:
    """With IP_RECVERR a socket polls ready until somebody reads the reports, which are the owner's business."""
    with bound("127.0.0.1") as gone, bound("127.0.0.1") as incoming:
        nobody = gone.getsockname()
        gone.close()
        incoming.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        incoming.sendto(b"lost", nobody)
        with UdpReceiver.from_socket(incoming) as receiver:
            assert len(receiver.try_recv(10)) == 0
            assert no_more(receiver)
            with UdpSender.from_socket(incoming, [nobody]) as sender:
                assert sender.try_send(PacketBatch.of([b"lost"] * 5)) == 5
            assert no_more(receiver)
            incoming.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            incoming.sendto(b"lost", nobody)
            assert len(receiver.try_recv(10)) == 0


def test_ancillary_messages_of_the_owner_do_no_harm() -> None:
    with bound("127.0.0.1") as incoming, bound("127.0.0.1") as outgoing:
        incoming.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        incoming.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        incoming.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        packets = [bytes([index]) * 10 for index in range(100)]
        sender = UdpSender.from_socket(outgoing, [incoming.getsockname()])
        with sender, UdpReceiver.from_socket(incoming) as receiver:
            send_all(sender, PacketBatch.of(packets))
            assert receive(receiver, 100) == packets


def test_drops_before_adoption_are_not_counted() -> None:
    with bound("127.0.0.1") as incoming, bound("127.0.0.1") as outgoing:
        incoming.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(100):
            outgoing.sendto(bytes(1000), incoming.getsockname())
        with UdpReceiver.from_socket(incoming) as receiver:
            assert receiver.drops()["kernel"] == 0
            for _ in range(10):
                outgoing.sendto(bytes(1000), incoming.getsockname())
            assert receiver.drops()["kernel"] == 10


def test_members_of_groups_stay_members() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as incoming:
        incoming.bind((GROUP, 0))
        member = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton("127.0.0.1"))
        incoming.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        with UdpReceiver.from_socket(incoming) as receiver:
            url = f"udp://{GROUP}:{port_of(receiver)}?interface=127.0.0.1"
            with transport_from_url(url).open_sender() as sender:
                send_all(sender, PacketBatch.of([b"x"]))
                assert receive(receiver, 1) == [b"x"]


# ------------------------------------------------------------------------------------------------------------ errors


def test_other_sockets_are_refused() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        for wrong in (one, stream):
            with pytest.raises(ValueError, match="expected a UDP socket"):
                UdpSender.from_socket(wrong, [("127.0.0.1", 1)])
            with pytest.raises(ValueError, match="expected a UDP socket"):
                UdpReceiver.from_socket(wrong)


def test_receiver_needs_a_bound_socket() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(ValueError, match="is bound to"):
        UdpReceiver.from_socket(sock)


def test_sender_needs_destinations() -> None:
    with bound("127.0.0.1") as sock:
        with pytest.raises(ValueError, match="expected a destination"):
            UdpSender.from_socket(sock, [])
        with pytest.raises(ValueError, match="needs a host and a port"):
            UdpSender.from_socket(sock, [("127.0.0.1", 0)])


@needs_ipv6
def test_destinations_are_of_the_sockets_family() -> None:
    with bound("127.0.0.1") as sock, pytest.raises(TransportError, match="'::1' has no IPv4 address"):
        UdpSender.from_socket(sock, [("::1", 1)])


def test_closed_socket_is_refused() -> None:
    sock = bound("127.0.0.1")
    sock.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        UdpReceiver.from_socket(sock)
