"""From endpoints to the addresses that the socket calls want, and back."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final, TypeAlias

from spead_transport.errors import TransportError
from spead_transport.transport import Endpoint, EndpointRange, Endpoints, as_ip_address

__all__ = ["SocketAddress", "as_endpoint", "endpoints_at", "family_of", "is_group", "resolve", "resolve_all"]

#: (address, port), or (address, port, flow, scope) for IPv6.
SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

_ANY_ADDRESS: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
_FAMILY_NAMES: Final[dict[int, str]] = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


def resolve(
    endpoint: Endpoint, url: str, family: int = socket.AF_UNSPEC
) -> tuple[socket.AddressFamily, SocketAddress]:
    """Family and address of an endpoint. An empty host is any address, of IPv4 unless `family` says otherwise.

    Raises
    ------
    TransportError
        If the host has no address, or none of `family`.
    """
    host = endpoint.host
    if not host:
        family = family or socket.AF_INET
        host = _ANY_ADDRESS[socket.AddressFamily(family)]
    try:
        found = socket.getaddrinfo(host, endpoint.port, family, socket.SOCK_DGRAM)
    except (OSError, ValueError) as error:
        kind = f"{_FAMILY_NAMES[family]} address" if family in _FAMILY_NAMES else "address"
        raise TransportError(
            f"{endpoint.host!r} has no {kind}: {getattr(error, 'strerror', None) or error}",
            url=url,
            hint="check the name, or give an address; all addresses of an endpoint have to be of one family",
        ) from error
    result_family, _, _, _, address = found[0]
    return result_family, _as_socket_address(address)


def resolve_all(
    endpoints: Endpoints, url: str, family: int = socket.AF_UNSPEC
) -> tuple[socket.AddressFamily, list[SocketAddress]]:
    """Addresses of endpoints (at least one) that have to be of one family.

    Raises
    ------
    TransportError
        If a host has no address, or there is no family that all have.
    """
    numeric = filter(None, (family_of(endpoint.host) for endpoint in endpoints))
    family = family or next(numeric, socket.AF_UNSPEC)
    addresses = []
    for endpoint in endpoints:
        family, address = resolve(endpoint, url, family)
        addresses.append(address)
    return socket.AddressFamily(family), addresses


def family_of(host: str) -> socket.AddressFamily | None:
    """Family of an address; ``None`` for a name."""
    address = as_ip_address(host)
    if address is None:
        return None
    return socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6


def is_group(address: SocketAddress) -> bool:
    """Whether an address is a multicast group's."""
    return ipaddress.ip_address(address[0]).is_multicast


def as_endpoint(address: SocketAddress) -> Endpoint:
    """The endpoint that has this address. A link-local one keeps the number of its interface."""
    scope = f"%{address[3]}" if len(address) == 4 and address[3] else ""
    return Endpoint(address[0] + scope, address[1])


def endpoints_at(addresses: Iterable[SocketAddress]) -> Endpoints:
    """Endpoints that have these addresses."""
    return Endpoints(tuple(EndpointRange(as_endpoint(address)) for address in addresses))


def _as_socket_address(address: tuple[object, ...]) -> SocketAddress:
    """Drop what the stubs allow for other families."""
    match address:
        case (str(host), int(port)):
            return host, port
        case (str(host), int(port), int(flow), int(scope)):
            return host, port, flow, scope
    raise TypeError(f"not an address of IPv4 or IPv6: {address!r}")
