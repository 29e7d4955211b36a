"""Options of captures that are read, and of those that are written."""

from __future__ import annotations

from typing import Final

import attrs

from spead_transport.transport import Endpoint, EndpointRange, TransportConfig, as_ip_address, option

__all__ = ["PcapConfig", "RecordConfig"]


def _endpoint(value: str | Endpoint | None) -> Endpoint | None:
    """An endpoint from its text; ``None`` from an empty one."""
    if not isinstance(value, str):
        return value
    return EndpointRange.parse(value).first if value else None


def _check_endpoint(_: object, __: object, value: Endpoint | None) -> None:
    if value is not None and as_ip_address(value.host) is None:
        raise ValueError(f"expected an IP address and a port, not {value}")


_SNAPLEN: Final = [attrs.validators.ge(128), attrs.validators.le(262144)]
_SNAPLEN_HELP: Final = "how much of each frame is written, headers included"


@attrs.frozen(kw_only=True)
class PcapConfig(TransportConfig):
    """Options of ``pcap://``."""

    path: str = option("", "path of the capture", address=True, validator=attrs.validators.min_len(1))
    filter: str = option("", "which packets to receive, as for tcpdump (pcap-filter(7)); all if not given")
    speed: float | None = option(
        None,
        "1 receives at the pace of the capture, 2 twice as fast …; as fast as possible if not given",
        validator=attrs.validators.optional([attrs.validators.gt(0.0), attrs.validators.lt(float("inf"))]),
    )
    destination: Endpoint | None = option(
        None,
        "where packets that are sent seem to go, as address:port; 127.0.0.1:7148 if not given",
        converter=_endpoint,
        validator=_check_endpoint,
    )
    snaplen: int = option(262144, _SNAPLEN_HELP, unit="bytes", validator=_SNAPLEN)


@attrs.frozen(kw_only=True)
class RecordConfig(TransportConfig):
    """Options of ``record+…://``."""

    file: str = option("", "path of the capture to write, over what is there", validator=attrs.validators.min_len(1))
    destination: Endpoint | None = option(
        None,
        "where packets seem to go, as address:port; the transport's own addresses if not given and it has any, "
        "else 127.0.0.1:7148",
        converter=_endpoint,
        validator=_check_endpoint,
    )
    snaplen: int = option(262144, _SNAPLEN_HELP, unit="bytes", validator=_SNAPLEN)
