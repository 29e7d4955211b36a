"""What the tests of UDP share: addresses that work on this machine, and sending and receiving to the end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import pytest
from spead_transport_udp import Endpoints, UdpConfig, UdpReceiver, UdpSender, UdpTransport

from spead_transport.transport import PacketBatch, PacketReceiver, PacketSender

#: Nothing that is sent within this machine takes so long, in seconds.
PATIENCE = 10.0
#: Well-known addresses of this machine itself.
LOOPBACK = {"IPv4": "127.0.0.1", "IPv6": "::1"}
#: A group, on the loopback interface.
GROUP = "239.192.7.148"


def _has(family: int, address: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True


HAS_IPV6 = _has(socket.AF_INET6, "::1")
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
each_family = pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])


def at(host: str, port: int = 0) -> Endpoints:
    """One endpoint."""
    return Endpoints.parse([(host, port)])


def port_of(receiver: PacketReceiver) -> int:
    """The port that a receiver at one endpoint was given."""
    (endpoint,) = UdpConfig.from_url(receiver.url).endpoints
    return endpoint.port


@contextmanager
def link(
    host: str, receiving: UdpConfig | None = None, sending: UdpConfig | None = None
) -> Iterator[tuple[UdpSender, UdpReceiver]]:
    """A sender and the receiver that it sends to, with these options beside the address."""
    with UdpTransport(attrs.evolve(receiving or UdpConfig(), endpoints=at(host))).open_receiver() as receiver:
        config = attrs.evolve(sending or UdpConfig(), endpoints=at(host, port_of(receiver)))
        with UdpTransport(config).open_sender() as sender:
            yield sender, receiver


def send_all(sender: PacketSender, batch: PacketBatch) -> None:
    """Send every packet of `batch`, waiting where necessary."""
    while len(batch):
        taken = sender.try_send(batch)
        if not taken:
            assert sender.writable.wait(PATIENCE)
        batch = batch[taken:]


def receive(receiver: PacketReceiver, count: int, limit: int = 100) -> list[bytes]:
    """The next `count` packets."""
    packets: list[bytes] = []
    while len(packets) < count:
        assert receiver.readable.wait(PATIENCE), f"{len(packets)} of {count} packets came; {receiver.drops()}"
        packets += [packet.tobytes() for packet in receiver.try_recv(limit).packets()]
    return packets


def no_more(receiver: PacketReceiver) -> bool:
    """Whether nothing waits to be received."""
    return not receiver.readable.wait(0) and not len(receiver.try_recv(1))
