"""Many packets in one system call, and what happens where the kernel refuses."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spead_transport_udp import UdpConfig, UdpReceiver, UdpSender, UdpTransport
from spead_transport_udp.offload import LARGEST_DATAGRAM, gso_works, segment_message, segment_size, train_end

from spead_transport.transport import PacketBatch

from .links import at, needs_ipv6, port_of, receive

IPV6_MTU = 24  # ipv6(7); Python has no name for it
SO_NO_CHECK = 11  # linux: no checksums on what is sent
UDP_SEGMENT = 103
UDP_GRO = 104

_probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
HAS_GSO = gso_works(_probe)
_probe.close()
needs_gso = pytest.mark.skipif(not HAS_GSO, reason="this kernel has no UDP_SEGMENT")

sizes_in_runs = st.lists(st.tuples(st.sampled_from([0, 1, 8, 1472, 9000, 33000, 65507]), st.integers(1, 70))).map(
    lambda runs: [size for size, count in runs for _ in range(count)]
)


@given(sizes=sizes_in_runs, largest=st.sampled_from([0, 1, 1472, LARGEST_DATAGRAM]))
def test_trains_are_what_the_kernel_takes(sizes: list[int], largest: int) -> None:
    first = 0
    while first < len(sizes):
        last = train_end(sizes, first, largest)
        train = sizes[first:last]
        if len(train) > 1:
            assert len(train) <= 64
            assert sum(train) <= LARGEST_DATAGRAM
            assert set(train[:-1]) == {train[0]}
            assert 0 < train[-1] <= train[0] <= largest
        assert last > first
        first = last


@pytest.mark.parametrize(
    ("sizes", "ends"),
    [
        ([1472] * 100, [44, 88, 100]),
        ([100] * 100, [64, 100]),
        ([1472, 1472, 500, 1472], [3, 4]),
        ([1472, 1472, 0, 1472], [2, 3, 4]),
        ([500, 1472, 1472], [1, 3]),
        ([40000, 40000], [1, 2]),
    ],
)
def test_trains_are_as_long_as_can_be(sizes: list[int], ends: list[int]) -> None:
    found = [0]
    while found[-1] < len(sizes):
        found.append(train_end(sizes, found[-1], LARGEST_DATAGRAM))
    assert found[1:] == ends


def test_segment_size_is_found_among_other_messages() -> None:
    other = (socket.SOL_SOCKET, UDP_GRO, b"\1\0\0\0")
    assert segment_size([]) == 0
    assert segment_size([other]) == 0
    assert segment_size([other, (socket.IPPROTO_UDP, UDP_GRO, (1472).to_bytes(4, sys.byteorder))]) == 1472


@needs_gso
def test_kernel_understands_the_segment_message() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendmsg([b"aaabbbc"], [segment_message(3)], 0, receiver.getsockname())
        assert [receiver.recv(100) for _ in range(3)] == [b"aaa", b"bbb", b"c"]


@contextmanager
def pair(host: str) -> Iterator[tuple[socket.socket, UdpReceiver]]:
    """A socket to send from, and a receiver."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    transport = UdpTransport(UdpConfig(endpoints=at(host)))
    with transport.open_receiver() as receiver, socket.socket(family, socket.SOCK_DGRAM) as sock:
        yield sock, receiver


def check_arrival(sock: socket.socket, receiver: UdpReceiver, packets: list[bytes]) -> None:
    """All packets are taken, and arrive."""
    with UdpSender.from_socket(sock, UdpConfig.from_url(receiver.url).endpoints) as sender:
        for _ in range(2):
            assert sender.try_send(PacketBatch.of(packets)) == len(packets)
            assert receive(receiver, len(packets)) == packets


@needs_gso
def test_refusal_falls_back_without_loss() -> None:
    """The kernel does not cut blocks for a socket that sends no checksums."""
    with pair("127.0.0.1") as (sock, receiver):
        sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        with pytest.raises(OSError, match=r"Invalid argument|Input/output error"):
            sock.sendmsg([bytes(20)], [segment_message(10)], 0, ("127.0.0.1", port_of(receiver)))
        check_arrival(sock, receiver, [bytes([index]) * 1000 for index in range(100)] + [b"end"])


@needs_gso
@needs_ipv6
def test_packets_above_the_mtu_go_in_fragments() -> None:
    with pair("::1") as (sock, receiver):
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU, 1280)
        with pytest.raises(OSError, match=r"Invalid argument|Message too long"):
            sock.sendmsg([bytes(4000)], [segment_message(2000)], 0, ("::1", port_of(receiver)))
        large, small = ([bytes([index]) * size for index in range(20)] for size in (5000, 1000))
        check_arrival(sock, receiver, large + small)


@needs_gso
def test_segment_size_of_an_adopted_socket_is_taken_back() -> None:
    with pair("127.0.0.1") as (sock, receiver):
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 10)
        check_arrival(sock, receiver, [bytes(100), bytes(99), b"a", bytes(1000)])
