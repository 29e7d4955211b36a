"""The options of TCP, and what is said of those that make no sense."""

from __future__ import annotations

import pytest
from spead_transport_tcp import TcpConfig, TcpTransport

from spead_transport.errors import TransportError
from spead_transport.transport import Endpoint, transport_from_url


def test_url() -> None:
    transport = transport_from_url(
        "tcp://telescope:7148?interface=eth0&buffer_size=1MiB&connect_timeout=500ms&keepalive=2min"
        "&connections=4&max_packet_size=9000"
    )
    assert transport.config == TcpConfig(
        endpoint=Endpoint("telescope", 7148),
        interface="eth0",
        buffer_size=1 << 20,
        connect_timeout=0.5,
        keepalive=120.0,
        connections=4,
        max_packet_size=9000,
    )
    assert transport_from_url(transport.url) == transport


@pytest.mark.parametrize("address", ["host:1", ":1", ":0", "[::1]:7148", "10.0.0.1:65535"])
def test_addresses(address: str) -> None:
    config = TcpConfig.from_url(f"tcp://{address}")
    assert str(config.endpoint) == address
    assert config.to_url("tcp") == f"tcp://{address}"


def test_defaults() -> None:
    config = TcpConfig()
    assert (config.buffer_size, config.max_packet_size, config.connections) == (0, 65536, 1)


@pytest.mark.parametrize(
    "url",
    [
        "tcp://",
        "tcp://host",
        "tcp://host:70000",
        "tcp://a:1,b:2",
        "tcp://10.0.0.1+1:7148",
        "tcp://host:1?connections=-1",
        "tcp://host:1?connect_timeout=0",
        "tcp://host:1?connect_timeout=nan",
        "tcp://host:1?keepalive=-1s",
        "tcp://host:1?max_packet_size=0",
        "tcp://host:1?max_packet_size=1TiB",
        "tcp://host:1?buffer_size=-1",
        "tcp://host:1?ttl=3",
    ],
)
def test_nonsense_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="tcp://"):
        transport_from_url(url)


@pytest.mark.parametrize("url", ["tcp://:7148", "tcp://127.0.0.1:0"])
def test_a_sender_needs_to_know_where_to(url: str) -> None:
    with pytest.raises(ValueError, match="a host and a port"):
        TcpTransport.from_url(url).open_sender()


def test_two_addresses_to_listen_at_are_refused() -> None:
    with pytest.raises(ValueError, match="contradict"):
        TcpTransport.from_url("tcp://127.0.0.1:0?interface=127.0.0.2").open_receiver()


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("tcp://no-such-host.invalid:1", "has no address"),
        ("tcp://203.0.113.1:0", "not one of this machine"),
        ("tcp://:0?interface=no-such-interface", "limit connections to the interface"),
    ],
)
def test_what_the_system_refuses_to_a_receiver(url: str, what: str) -> None:
    with pytest.raises(TransportError, match=what) as caught:
        TcpTransport.from_url(url).open_receiver()
    assert caught.value.url == url


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("tcp://no-such-host.invalid:1", "has no address"),
        ("tcp://127.0.0.1:1?interface=203.0.113.1", "cannot connect from"),
        ("tcp://127.0.0.1:1?interface=no-such-interface", "limit connections to the interface"),
    ],
)
def test_what_the_system_refuses_to_a_sender(url: str, what: str) -> None:
    with pytest.raises(TransportError, match=what):
        TcpTransport.from_url(url).open_sender()


def test_a_port_that_is_taken() -> None:
    with (
        TcpTransport.from_url("tcp://127.0.0.1:0").open_receiver() as receiver,
        pytest.raises(TransportError, match="port 0 takes a free one"),
    ):
        TcpTransport.from_url(receiver.url).open_receiver()


def test_a_buffer_that_the_system_does_not_give(caplog: pytest.LogCaptureFixture) -> None:
    with TcpTransport.from_url("tcp://127.0.0.1:0?buffer_size=1000MiB").open_receiver():
        pass
    assert "buffer_size=0" in caplog.text
    caplog.clear()
    with TcpTransport.from_url("tcp://127.0.0.1:0").open_receiver():
        pass
    assert not caplog.text
