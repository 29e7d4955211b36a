"""Endpoints as text."""

from __future__ import annotations

import ipaddress
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spead_transport_udp import Endpoint, EndpointRange, Endpoints


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("127.0.0.1:7148", [("127.0.0.1", 7148)]),
        (":7148", [("", 7148)]),
        ("[::1]:7148", [("::1", 7148)]),
        ("[fe80::1%eth0]:1", [("fe80::1%eth0", 1)]),
        ("digitiser-1.example:65535", [("digitiser-1.example", 65535)]),
        ("239.1.1.255+2:7148", [("239.1.1.255", 7148), ("239.1.2.0", 7148), ("239.1.2.1", 7148)]),
        ("[ff05::ffff+1]:9", None),
        ("[ff05::ffff]+1:9", [("ff05::ffff", 9), ("ff05::1:0", 9)]),
        ("10.0.0.1:1, 10.0.0.9+1:2", [("10.0.0.1", 1), ("10.0.0.9", 2), ("10.0.0.10", 2)]),
    ],
)
def test_parsing(text: str, expected: list[tuple[str, int]] | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="IPv6 address in the brackets"):
            Endpoints.parse(text)
        return
    endpoints = Endpoints.parse(text)
    assert [(endpoint.host, endpoint.port) for endpoint in endpoints] == expected
    assert len(endpoints) == len(expected)
    assert Endpoints.parse(str(endpoints)) == endpoints


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("127.0.0.1", "expected host:port"),
        ("::1:7148", "expected host:port"),
        ("host:port", "expected host:port"),
        ("127.0.0.1:1,,127.0.0.1:2", "expected host:port"),
        ("127.0.0.1:-1", "expected host:port"),
        ("127.0.0.1:65536", "above 65535"),
        ("[127.0.0.1]:1", "expected an IPv6 address"),
        ("[]:1", "expected an IPv6 address"),
        ("host+3:1", "a range starts with an address"),
        ("+3:1", "a range starts with an address"),
        ("1.2.3.4+65536:1", "at most 65535 further"),
        ("255.255.255.254+2:1", "no 2 addresses after 255.255.255.254"),
        ("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]+1:1", "no 1 addresses after"),
    ],
)
def test_malformed_text(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Endpoints.parse(text)


@given(
    st.lists(
        st.tuples(st.ip_addresses().filter(lambda address: not address.is_unspecified), st.integers(0, 65535)),
        max_size=4,
    )
)
def test_pairs_survive_as_text(pairs: list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]) -> None:
    endpoints = Endpoints.parse([(str(host), port) for host, port in pairs])
    assert Endpoints.parse(str(endpoints)) == endpoints
    assert [endpoint.host for endpoint in endpoints] == [str(host) for host, _ in pairs]


@pytest.mark.parametrize("port", [-1, 65536, "1", None, 1.0])
def test_port_must_be_a_port(port: object) -> None:
    with pytest.raises((ValueError, TypeError), match="port"):
        Endpoint("127.0.0.1", port)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", [None, 5, b"127.0.0.1"])
def test_host_must_be_text(host: object) -> None:
    with pytest.raises(TypeError, match="host"):
        Endpoint(host, 1)  # type: ignore[arg-type]


def test_endpoints_are_values() -> None:
    endpoints = Endpoints.parse("239.1.1.1+15:7148,[::1]:1")
    assert pickle.loads(pickle.dumps(endpoints)) == endpoints
    assert hash(endpoints) == hash(Endpoints.parse("239.1.1.1+15:7148,[::1]:1"))
    assert Endpoints.parse(endpoints) is endpoints
    assert len(EndpointRange.parse("239.1.1.1+15:7148").first.host) == 9
    assert str(Endpoint("::1", 3)) == "[::1]:3"
