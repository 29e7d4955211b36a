"""Multicast groups: joining them, and choosing the interface to send from."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable
from typing import Final

from .addresses import SocketAddress
from .interfaces import Interface

__all__ = ["join_group", "set_outgoing_interface"]

# Constants of Linux that Python has no names for.
_IP_MULTICAST_ALL: Final = 49  # ip(7)
_IPV6_MULTICAST_ALL: Final = 29  # linux/in6.h
_MCAST_JOIN_GROUP: Final = 42  # RFC 3678; the same for IPv4 and IPv6
_MCAST_JOIN_SOURCE_GROUP: Final = 46

#: ``struct group_req`` and the first part of ``struct group_source_req``: the addresses that follow are aligned.
_INTERFACE_INDEX: Final = struct.Struct("@I0P")
_SOCKADDR_STORAGE_SIZE: Final = 128


def join_group(
    sock: socket.socket, group: SocketAddress, interface: Interface | None, sources: Iterable[str]
) -> None:
    """Receive what is sent to `group`: by anybody, or by `sources` only if there are some.

    Raises
    ------
    OSError
        If the system refuses.
    ValueError
        If a source is not of the group's family.
    """
    level = socket.IPPROTO_IP if sock.family == socket.AF_INET else socket.IPPROTO_IPV6
    _only_own_groups(sock)
    index = _INTERFACE_INDEX.pack(interface.index if interface is not None else 0)
    head = index + _sockaddr(group[0])
    sources = list(sources)
    if not sources:
        sock.setsockopt(level, _MCAST_JOIN_GROUP, head)
    for source in sources:
        if (":" in source) != (":" in group[0]):
            raise ValueError(f"source {source} and group {group[0]} are not of one family")
        sock.setsockopt(level, _MCAST_JOIN_SOURCE_GROUP, head + _sockaddr(source))


def set_outgoing_interface(sock: socket.socket, interface: Interface) -> None:
    """Send multicast packets through `interface`, from the address by which it was found if it is of that family.

    Raises
    ------
    OSError
        If the system refuses.
    """
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
        return
    own = interface.address if interface.address is not None and interface.family == socket.AF_INET else "0.0.0.0"
    ip_mreqn = struct.pack("@4s4si", bytes(4), socket.inet_aton(own), interface.index)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, ip_mreqn)


def _only_own_groups(sock: socket.socket) -> None:
    """Without this a socket gets whatever any socket of the machine joined, past its own interface and sources.

    ip(7): IP_MULTICAST_ALL (since Linux 2.6.31) "can be used to modify the delivery policy of multicast messages".
    """
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)


def _sockaddr(host: str) -> bytes:
    """``struct sockaddr_storage`` with an address and no port."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv4Address):
        packed = struct.pack("@HH", socket.AF_INET, 0) + address.packed
    else:
        packed = struct.pack("@HHI", socket.AF_INET6, 0, 0) + address.packed
    return packed.ljust(_SOCKADDR_STORAGE_SIZE, b"\0")
