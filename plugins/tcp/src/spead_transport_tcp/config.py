"""The options of ``tcp://``."""

from __future__ import annotations

from typing import Final

import attrs

from spead_transport.transport import Endpoint, Endpoints, TransportConfig, option

__all__ = ["MAX_PACKET_SIZE", "TcpConfig"]

#: In bytes; the same as of earlier packages.
MAX_PACKET_SIZE: Final = 65536


def _as_endpoint(value: str | Endpoint) -> Endpoint:
    if isinstance(value, Endpoint):
        return value
    endpoints = tuple(Endpoints.parse(value))
    if len(endpoints) != 1:
        raise ValueError(f"expected one host:port, not {value!r}")
    return endpoints[0]


@attrs.frozen(kw_only=True)
class TcpConfig(TransportConfig):
    """Options of TCP transport. Those that concern one direction have no effect on the other."""

    endpoint: Endpoint = option(
        Endpoint("", 0),
        "host:port to connect to, or to listen at; for listening, the host may be left out and the port be 0",
        address=True,
        converter=_as_endpoint,
    )
    interface: str = option(
        "",
        "a network interface's name limits connections to it; an address is the one to connect from or to listen at",
    )
    # A fixed size as small as the classic one halves the rate even within one machine (measured: 0.5 instead of
    # 1.2 GB/s with packets of 1472 bytes), and over long distances it limits the rate to one buffer per round trip.
    buffer_size: int = option(
        0,
        "size of each socket's buffer; with 0 the system adapts it to the network as it goes",
        unit="bytes",
        validator=attrs.validators.in_(range(1 << 30)),
    )
    connect_timeout: float = option(
        10.0,
        "sending: how long opening may take, until somebody accepts the connection",
        unit="seconds",
        validator=[attrs.validators.gt(0), attrs.validators.le(3600)],
    )
    keepalive: float = option(
        60.0,
        "after how long without traffic to find out whether the other side is still there; 0 does not",
        unit="seconds",
        validator=[attrs.validators.ge(0), attrs.validators.le(32767)],
    )
    connections: int = option(
        1,
        "receiving: how many senders may connect, at once or one after the other, until the last of which has "
        "finished the stream goes on; with 0 any number, and it never ends",
        validator=attrs.validators.ge(0),
    )
    max_packet_size: int = option(
        MAX_PACKET_SIZE,
        "receiving: a larger packet is counted as truncated and skipped",
        unit="bytes",
        validator=attrs.validators.in_(range(1, 1 << 30)),
    )
