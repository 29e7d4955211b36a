"""What the system refuses, and what the user is told."""

from __future__ import annotations

import errno
import socket

import pytest
from spead_transport_udp import UdpConfig, UdpSender, UdpTransport

from spead_transport.errors import BrokenTransportError, TransportError
from spead_transport.transport import PacketBatch, transport_from_url

from .links import HAS_IPV6, at, each_family, link, needs_ipv6, port_of, receive

IPV6_MTU = 24  # ipv6(7); Python has no name for it


@pytest.mark.parametrize("direction", ["open_sender", "open_receiver"])
@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".invalid", "fe80::1%no-such-interface"])
def test_names_that_do_not_resolve(host: str, direction: str) -> None:
    """(Names of which this is known without asking a server.)"""
    transport = UdpTransport(UdpConfig(endpoints=at(host, 7148)))
    with pytest.raises(TransportError, match=f"'{host}' has no (IPv6 )?address") as caught:
        getattr(transport, direction)()
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.url == transport.url
    assert "check the name" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "direction", "number", "message"),
    [
        ("udp://192.0.2.77:0", "open_receiver", errno.EADDRNOTAVAIL, "cannot bind to 192.0.2.77 port 0"),
        (
            "udp://127.0.0.1:1?bind=192.0.2.77:5",
            "open_sender",
            errno.EADDRNOTAVAIL,
            "cannot bind to 192.0.2.77 port 5",
        ),
        ("udp://127.0.0.1:1?ttl=0", "open_sender", errno.EINVAL, "cannot set the time to live to 0"),
        ("udp://127.0.0.1:1?interface=no-such", "open_sender", errno.ENODEV, "no network interface 'no-such'"),
        ("udp://127.0.0.1:0?interface=99999", "open_receiver", errno.ENXIO, "no network interface '99999'"),
        ("udp://:0?interface=192.0.2.77", "open_receiver", errno.EADDRNOTAVAIL, "no network interface '192.0.2.77'"),
    ],
)
def test_refusals_name_the_url_and_a_remedy(url: str, direction: str, number: int, message: str) -> None:
    with pytest.raises(TransportError, match=message) as caught:
        getattr(transport_from_url(url), direction)()
    assert caught.value.errno == number
    assert caught.value.url == url
    assert caught.value.hint
    assert not isinstance(caught.value, BrokenTransportError)


def test_interfaces_are_listed() -> None:
    with pytest.raises(TransportError, match=r"hint: .*lo \(127\.0\.0\.1"):
        transport_from_url("udp://127.0.0.1:0?interface=eth99").open_receiver()


def test_port_in_use() -> None:
    with transport_from_url("udp://127.0.0.1:0").open_receiver() as receiver:
        with pytest.raises(TransportError, match="another socket has this address") as caught:
            transport_from_url(receiver.url).open_receiver()
        assert caught.value.errno == errno.EADDRINUSE


def test_failure_at_the_last_endpoint_closes_the_others() -> None:
    """(The test would leave file descriptors behind.)"""
    with transport_from_url("udp://127.0.0.1:0").open_receiver() as receiver:
        port = port_of(receiver)
        with pytest.raises(TransportError):
            transport_from_url(f"udp://127.0.0.2:0,127.0.0.3:0,127.0.0.1:{port}").open_receiver()


def test_options_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match=r"source= needs a multicast group"):
        transport_from_url("udp://127.0.0.1:0?source=127.0.0.2").open_receiver()
    with pytest.raises(ValueError, match=r"interface=127\.0\.0\.1 contradicts the address 127\.0\.0\.2"):
        transport_from_url("udp://127.0.0.2:0?interface=127.0.0.1").open_receiver()
    with pytest.raises(ValueError, match="not of one family"):
        transport_from_url("udp://239.1.2.3:0?interface=lo&source=::1").open_receiver()
    if HAS_IPV6:
        with pytest.raises(TransportError, match="'::1' has no IPv4 address"):
            transport_from_url("udp://localhost:1,[::1]:1,127.0.0.1:1?bind=127.0.0.1").open_sender()


# ---------------------------------------------------------------------------------------------------- large packets


@each_family
@pytest.mark.parametrize("gso", [True, False])
@pytest.mark.parametrize("size", [65528, 70000, 300_000])
def test_packet_larger_than_a_datagram_is_refused_alone(host: str, gso: bool, size: int) -> None:
    with link(host, sending=UdpConfig(gso=gso)) as (sender, receiver):
        batch = PacketBatch.of([b"before", bytes(size), b"after", b"wards"])
        assert sender.try_send(batch) == 1
        for _ in range(2):
            with pytest.raises(TransportError, match=f"a packet of {size} bytes to .* is too large") as caught:
                sender.try_send(batch[1:])
            assert caught.value.errno == errno.EMSGSIZE
            assert caught.value.url == sender.url
            assert "at most 65507 bytes" in str(caught.value)
            assert "lower max_packet_size" in str(caught.value)
            assert not isinstance(caught.value, BrokenTransportError)
        assert sender.try_send(batch[2:]) == 2
        assert receive(receiver, 3) == [b"before", b"after", b"wards"]


@needs_ipv6
@pytest.mark.parametrize("gso", [True, False])
def test_packet_larger_than_the_mtu_is_refused_where_fragments_are(gso: bool) -> None:
    with UdpTransport(UdpConfig(endpoints=at("::1"))).open_receiver() as receiver:
        config = UdpConfig(endpoints=at("::1", port_of(receiver)), fragment=False)
        # The loopback interface takes nearly everything; ::1 cannot be given another MTU, but a socket can.
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU, 1280)
            sock.setsockopt(socket.IPPROTO_IPV6, 23, 2)  # IPV6_MTU_DISCOVER: IPV6_PMTUDISC_DO
            with UdpSender.from_socket(sock, config.endpoints, gso=gso) as sender:
                with pytest.raises(TransportError, match=r"exceeds the network's MTU(.|\n)*1452 over IPv6") as caught:
                    sender.try_send(PacketBatch.of([bytes(1400)] * 3))
                assert caught.value.errno == errno.EMSGSIZE
                assert sender.try_send(PacketBatch.of([b"small"] * 3)) == 3
        assert receive(receiver, 3) == [b"small"] * 3


def test_fragments_can_be_forbidden() -> None:
    with link("127.0.0.1", sending=UdpConfig(fragment=False)) as (sender, receiver):
        assert sender.try_send(PacketBatch.of([bytes(9000)])) == 1
        assert receive(receiver, 1) == [bytes(9000)]


@needs_ipv6
def test_packet_that_never_fits_the_socket_buffer_is_refused() -> None:
    """Fragments of one packet have to fit the buffer together, or the kernel gives ENOBUFS."""
    with UdpTransport(UdpConfig(endpoints=at("::1"), max_packet_size=65507)).open_receiver() as receiver:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU, 1280)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            with UdpSender.from_socket(sock, UdpConfig.from_url(receiver.url).endpoints) as sender:
                with pytest.raises(TransportError, match="raise buffer_size") as caught:
                    sender.try_send(PacketBatch.of([bytes(60000)]))
                assert caught.value.errno == errno.ENOBUFS
                assert sender.try_send(PacketBatch.of([bytes(1000)])) == 1
        assert receive(receiver, 1) == [bytes(1000)]


def test_destination_that_cannot_be_reached() -> None:
    """A socket bound to the loopback interface's address cannot send elsewhere; a broadcast needs permission."""
    with UdpTransport(UdpConfig(endpoints=at("255.255.255.255", 9))).open_sender() as sender:
        with pytest.raises(TransportError, match=r"cannot send to 255\.255\.255\.255:9") as caught:
            sender.try_send(PacketBatch.of([b"x", b"y"]))
        assert caught.value.errno in (errno.EACCES, errno.ENETUNREACH)
        assert caught.value.hint
