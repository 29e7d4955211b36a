"""The options of ``udp://``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from spead_transport.transport import Endpoint, EndpointRange, Endpoints, TransportConfig, as_ip_address, option

__all__ = ["RECEIVE_BUFFER_SIZE", "SEND_BUFFER_SIZE", "UdpConfig"]

#: Of sockets for which no other size is given, in bytes.
SEND_BUFFER_SIZE: Final = 512 * 1024
RECEIVE_BUFFER_SIZE: Final = 8 * 1024 * 1024


def _as_sources(value: str | Iterable[str]) -> str:
    """Addresses with commas between them."""
    texts = value.split(",") if isinstance(value, str) else list(value)
    sources = [text.strip() for text in texts if text.strip()]
    for source in sources:
        if as_ip_address(source) is None:
            raise ValueError(f"source: expected addresses with commas between them, not {source!r}")
    return ",".join(sources)


def _parse_bind(text: str) -> Endpoint:
    if as_ip_address(text) is not None or ":" not in text:
        return Endpoint(text, 0)
    parsed = EndpointRange.parse(text)
    if parsed.further:
        raise ValueError(f"bind: expected one address, not {text!r}")
    return parsed.first


def _check_bind(_: object, __: object, text: str) -> None:
    _parse_bind(text)


@attrs.frozen(kw_only=True)
class UdpConfig(TransportConfig):
    """Options of UDP transport. Those that concern one direction have no effect on the other."""

    endpoints: Endpoints = option(
        Endpoints(),
        "where packets go (each endpoint is a destination), or where they are received (address to bind to, or "
        "multicast group): host:port, lists with commas, and ranges of addresses such as 239.1.1.1+15:7148",
        address=True,
        converter=Endpoints.parse,
    )
    interface: str = option(
        "",
        "network interface for multicast, by name, number or address; without multicast, a name or number limits "
        "packets to that interface, and an address is the one to send from or to receive at",
    )
    bind: str = option("", "sending: address to send from, or address:port", validator=_check_bind)
    ttl: int | None = option(
        None,
        "sending: how many routers a packet may pass (time to live, hop limit); the system's if not given, which is "
        "1 for multicast",
        validator=attrs.validators.optional(attrs.validators.in_(range(256))),
    )
    loop: bool = option(True, "sending: whether receivers on this machine get multicast packets")
    fragment: bool = option(
        True, "sending: whether packets that are larger than the network's MTU may be sent in fragments"
    )
    source: str = option(
        "", "receiving: take multicast packets of these senders only (addresses with commas)", converter=_as_sources
    )
    buffer_size: int | None = option(
        None,
        "size of each socket's buffer; if not given, 512 KiB for sending and 8 MiB for receiving; 0 leaves what the "
        "system gives",
        unit="bytes",
        validator=attrs.validators.optional(attrs.validators.in_(range(1 << 30))),
    )
    max_packet_size: int = option(
        9200,
        "receiving: larger packets are dropped, and counted as truncated",
        unit="bytes",
        validator=attrs.validators.in_(range(1, 65536)),
    )
    gso: bool = option(True, "sending: let the kernel cut large blocks into packets, if it can")
    gro: bool = option(True, "receiving: let the kernel put packets together in large blocks, if it can")

    @property
    def bind_endpoint(self) -> Endpoint | None:
        """What `bind` says."""
        return _parse_bind(self.bind) if self.bind else None

    @property
    def sources(self) -> tuple[str, ...]:
        """The addresses of `source`."""
        return tuple(self.source.split(",")) if self.source else ()
