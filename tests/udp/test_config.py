"""The options of ``udp://`` and what they do to sockets."""

from __future__ import annotations

import copy
import ctypes
import logging
import os
import pickle
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from spead_transport_udp import Endpoints, UdpConfig, UdpTransport

from spead_transport.transport import PacketBatch, transport_from_url

from .links import HAS_IPV6, PATIENCE, at, each_family, link

CAP_NET_ADMIN = 12
IP_RECVTTL = 12  # ip(7); Python has no name for it


def test_url_gives_every_option() -> None:
    url = (
        "udp://239.2.3.4+3:7148?interface=10.0.0.5&bind=10.0.0.5:99&ttl=4&loop=no&fragment=no&source=10.1.1.1,10.1.1.2"
        "&buffer_size=8388608&max_packet_size=9000&gso=no&gro=no"
    )
    transport = transport_from_url(url.replace("8388608", "8MiB"))
    assert transport == UdpTransport(
        UdpConfig(
            endpoints=Endpoints.parse("239.2.3.4+3:7148"),
            interface="10.0.0.5",
            bind="10.0.0.5:99",
            ttl=4,
            loop=False,
            fragment=False,
            source="10.1.1.1,10.1.1.2",
            buffer_size=8 << 20,
            max_packet_size=9000,
            gso=False,
            gro=False,
        )
    )
    assert transport.url == url


def test_configuration_is_a_value() -> None:
    config = UdpConfig.from_url("udp://[::1]:7148?ttl=1")
    assert copy.deepcopy(config) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(config) == hash(UdpConfig.from_url("udp://[::1]:7148?ttl=1"))
    assert "ttl=1" in repr(config)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("udp://127.0.0.1", r"^udp://127\.0\.0\.1: expected host:port"),
        ("udp://127.0.0.1:1?ttl=256", r"'ttl' must be in range\(0, 256\)"),
        ("udp://127.0.0.1:1?ttl=soon", "option 'ttl': expected a number, not 'soon'"),
        ("udp://127.0.0.1:1?buffer_size=-1", "'buffer_size' must be in"),
        ("udp://127.0.0.1:1?buffer_size=3s", "option 'buffer_size': unknown unit 's'"),
        ("udp://127.0.0.1:1?max_packet_size=65536", "'max_packet_size' must be in"),
        ("udp://127.0.0.1:1?source=somebody", "source: expected addresses"),
        ("udp://127.0.0.1:1?bind=10.0.0.1:x", "expected host:port"),
        ("udp://127.0.0.1:1?bind=10.0.0.1%2B3:4", "bind: expected one address"),
        ("udp://127.0.0.1:1?tll=3", "unknown option 'tll'; did you mean 'ttl'"),
    ],
)
def test_bad_options_are_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transport_from_url(url)


@pytest.mark.parametrize("url", ["udp://", "udp://:7148", "udp://127.0.0.1:0", "udp://127.0.0.1:1,:2"])
def test_sender_needs_hosts_and_ports(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected a destination|needs a host and a port"):
        transport_from_url(url).open_sender()


def test_receiver_needs_an_endpoint() -> None:
    with pytest.raises(ValueError, match="expected an endpoint"):
        transport_from_url("udp://").open_receiver()


@contextmanager
def without_capability(number: int) -> Iterator[None]:
    """Take a capability from this thread for a while, so that it is treated as an ordinary user's."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("@Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    before = ctypes.create_string_buffer(24)
    if libc.capget(header, before):
        raise OSError(ctypes.get_errno(), "capget")
    words = list(struct.unpack("@6I", before))
    words[0] &= ~(1 << number)  # of those that are effective
    if libc.capset(header, struct.pack("@6I", *words)):
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        if libc.capset(header, before):
            raise OSError(ctypes.get_errno(), "capset")


@pytest.mark.parametrize(("direction", "limit"), [("receive", "rmem_max"), ("send", "wmem_max")])
def test_smaller_buffers_than_asked_for_give_one_warning(
    direction: str, limit: str, caplog: pytest.LogCaptureFixture
) -> None:
    allowed = int(Path(f"/proc/sys/net/core/{limit}").read_text())
    port = 0 if direction == "receive" else 1
    transport = transport_from_url(f"udp://127.0.0.1+2:{port}?buffer_size={allowed + 1}")
    with caplog.at_level(logging.WARNING, "spead_transport"), without_capability(CAP_NET_ADMIN):
        endpoint = transport.open_receiver() if direction == "receive" else transport.open_sender()
        endpoint.close()
    (record,) = caplog.records
    message = record.getMessage()
    assert transport.url in message
    assert f"{direction} buffer to {allowed} bytes, less than the {allowed + 1} asked for" in message
    assert f"sysctl -w net.core.{limit}={allowed + 1}" in message


def test_buffers_that_fit_give_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    transport = transport_from_url("udp://127.0.0.1:0?buffer_size=64KiB")
    with caplog.at_level(logging.WARNING, "spead_transport"), without_capability(CAP_NET_ADMIN):
        transport.open_receiver().close()
    assert not caplog.records


def test_buffer_of_zero_is_left_to_the_system(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "spead_transport"):
        transport_from_url("udp://127.0.0.1:0?buffer_size=0").open_receiver().close()
    assert not caplog.records


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user cannot exceed the system's limit")
def test_privileged_program_exceeds_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    limit = int(Path("/proc/sys/net/core/rmem_max").read_text())
    with caplog.at_level(logging.WARNING, "spead_transport"):
        transport_from_url(f"udp://127.0.0.1:0?buffer_size={limit + 4096}").open_receiver().close()
    assert not caplog.records


def _received_with(config: UdpConfig, host: str, level: int, enable: int, kind: int) -> int:
    """The number in the ancillary message of a packet that was sent with `config`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.setsockopt(level, enable, 1)
        sock.settimeout(PATIENCE)
        config = attrs.evolve(config, endpoints=at(host, sock.getsockname()[1]))
        with UdpTransport(config).open_sender() as sender:
            assert sender.try_send(PacketBatch.of([b"packet"])) == 1
        data, ancillary, _, _ = sock.recvmsg(100, 100)
        assert data == b"packet"
        ((_, found, value),) = ancillary
        assert found == kind
        return int.from_bytes(value, sys.byteorder)


def test_time_to_live() -> None:
    config = UdpConfig(ttl=5)
    assert _received_with(config, "127.0.0.1", socket.IPPROTO_IP, IP_RECVTTL, socket.IP_TTL) == 5
    if HAS_IPV6:
        limit = (socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, socket.IPV6_HOPLIMIT)
        assert _received_with(config, "::1", *limit) == 5


@each_family
def test_url_of_a_receiver_has_its_port(host: str) -> None:
    with link(host, receiving=UdpConfig(max_packet_size=100)) as (sender, receiver):
        endpoint = next(iter(UdpConfig.from_url(receiver.url).endpoints))
        assert endpoint.host == host
        assert endpoint.port > 0
        assert receiver.url.endswith("?max_packet_size=100")
        assert sender.url == receiver.url.partition("?")[0]
        assert receiver.url in repr(receiver)
