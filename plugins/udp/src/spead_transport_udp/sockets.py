"""Sockets as this transport needs them: bound, joined to their groups, with the options and buffers asked for."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import attrs

from spead_transport.errors import TransportError
from spead_transport.transport import Endpoint

from .addresses import SocketAddress, family_of, is_group, resolve, resolve_all
from .config import RECEIVE_BUFFER_SIZE, SEND_BUFFER_SIZE, UdpConfig
from .interfaces import Interface, find_interface
from .multicast import join_group, set_outgoing_interface

__all__ = ["Route", "adopt", "open_receiving", "open_sending", "resolve_route"]

_log = logging.getLogger("spead_transport")

# Constants of Linux that Python has no names for.
_SO_SNDBUFFORCE: Final = 32  # socket(7)
_SO_RCVBUFFORCE: Final = 33
_IP_MTU_DISCOVER: Final = 10  # ip(7)
_IP_RECVERR: Final = 11
_IPV6_MTU_DISCOVER: Final = 23  # ipv6(7)
_IPV6_RECVERR: Final = 25
_PMTUDISC_DO: Final = 2  # the same for both
_IP_UNICAST_IF: Final = 50  # linux/in.h
_IPV6_UNICAST_IF: Final = 76  # linux/in6.h

_HINTS: Final = {
    errno.EADDRINUSE: "another socket has this address already; port 0 takes a free one",
    errno.EADDRNOTAVAIL: "only an address of this machine, or a multicast group, can be received at",
    errno.EACCES: "ports below 1024 need privileges",
    errno.EAFNOSUPPORT: "this machine has no such network protocol",
    errno.ENODEV: "the system does not know where to join the group; name a network interface (interface=…)",
    errno.EINVAL: "a link-local address needs a network interface (interface=…)",
    errno.EPERM: "this needs privileges",
    errno.ENOBUFS: "too many sources for one socket; see sysctl net.ipv4.igmp_max_msf and net.ipv6.mld_max_msf",
}


@attrs.frozen
class Route:
    """Where to send from and to, without names."""

    interface: Interface | None
    #: The address to bind to, if any.
    own: SocketAddress | None
    family: socket.AddressFamily
    destinations: list[SocketAddress]


def resolve_route(config: UdpConfig, url: str) -> Route:
    """What a sender's options mean. This may have to wait for a name service.

    Raises
    ------
    ValueError
        If the options do not fit together.
    TransportError
        If a name does not resolve, or there is no such network interface.
    """
    config.endpoints.require_destinations(url)
    interface = find_interface(config.interface, url)
    own = config.bind_endpoint
    own_family = (family_of(own.host) if own else None) or (interface.family if interface else None)
    family, addresses = resolve_all(config.endpoints, url, own_family or socket.AF_UNSPEC)
    unicast = not all(map(is_group, addresses))
    if own is None and unicast and interface is not None and interface.family == family:
        own = Endpoint(interface.address or "", 0)
    return Route(interface, resolve(own, url, family)[1] if own else None, family, addresses)


def open_sending(config: UdpConfig, route: Route, url: str) -> socket.socket:
    """A socket to send from.

    Raises
    ------
    TransportError
        If the system refuses something.
    """
    groups = [is_group(address) for address in route.destinations]
    with _new_socket(route.family, url) as sock:
        _set_send_options(sock, config, route.interface, url, unicast=not all(groups), multicast=any(groups))
        if route.own is not None:
            _bind(sock, route.own, url)
        _set_buffer_sizes([sock], _wanted(config, SEND_BUFFER_SIZE), url, receive=False)
    return sock


def open_receiving(config: UdpConfig, url: str) -> list[socket.socket]:
    """A socket for each endpoint.

    Raises
    ------
    ValueError
        If the options do not fit together.
    TransportError
        If a name does not resolve, or the system refuses something.
    """
    if not len(config.endpoints):
        raise ValueError(f"{url}: expected an endpoint to receive at, host:port")
    interface = find_interface(config.interface, url)
    with ExitStack() as undo:
        sockets = [undo.enter_context(_receiving(endpoint, config, interface, url)) for endpoint in config.endpoints]
        _set_buffer_sizes(sockets, _wanted(config, RECEIVE_BUFFER_SIZE), url, receive=True)
    return sockets


def adopt(sock: socket.socket) -> socket.socket:
    """A duplicate of a user's UDP socket, as own sockets are.

    Raises
    ------
    ValueError
        If it is not a UDP socket over IPv4 or IPv6.
    """
    udp = sock.type == socket.SOCK_DGRAM and sock.proto in (0, socket.IPPROTO_UDP)
    if not udp or sock.family not in (socket.AF_INET, socket.AF_INET6):
        raise ValueError(f"expected a UDP socket (SOCK_DGRAM over IPv4 or IPv6), not {sock!r}")
    fd = os.dup(sock.fileno())
    try:
        own = _wrap(sock.family, fd)
    except BaseException:
        os.close(fd)
        raise
    # ip(7): with IP_RECVERR "all generated errors will be queued": the socket polls ready until somebody reads them.
    if own.family == socket.AF_INET:
        own.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 0)
    else:
        own.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 0)
    return own


def _wrap(family: int, fd: int) -> socket.socket:
    """A socket object that never waits, whatever the file descriptor's mode.

    The mode belongs to the open file description, which an adopted socket shares with its owner's: it is left alone,
    and each call says MSG_DONTWAIT. SOCK_NONBLOCK tells Python's object alone not to wait by itself.
    """
    return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0, fileno=fd)


@contextmanager
def _new_socket(family: int, url: str) -> Iterator[socket.socket]:
    """A socket that is closed if the block fails."""
    with _refusal("cannot make a socket", url):
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        yield sock
    except BaseException:
        sock.close()
        raise


@contextmanager
def _refusal(message: str, url: str, hint: str | None = None) -> Iterator[None]:
    """What the system refuses in the block becomes a :exc:`TransportError`."""
    try:
        yield
    except OSError as error:
        number = error.errno
        raise TransportError(
            message, errno=number, url=url, hint=hint or (_HINTS.get(number) if number else None)
        ) from error


def _bind(sock: socket.socket, address: SocketAddress, url: str) -> None:
    with _refusal(f"cannot bind to {address[0]} port {address[1]}", url):
        sock.bind(address)


# ------------------------------------------------------------------------------------------------- sending, receiving


def _set_send_options(
    sock: socket.socket, config: UdpConfig, interface: Interface | None, url: str, *, unicast: bool, multicast: bool
) -> None:
    v4 = sock.family == socket.AF_INET
    level = socket.IPPROTO_IP if v4 else socket.IPPROTO_IPV6
    if config.ttl is not None:
        with _refusal(f"cannot set the time to live to {config.ttl}", url, "expected 1 to 255, or 0 for multicast"):
            if unicast:
                sock.setsockopt(level, socket.IP_TTL if v4 else socket.IPV6_UNICAST_HOPS, config.ttl)
            if multicast:
                sock.setsockopt(level, socket.IP_MULTICAST_TTL if v4 else socket.IPV6_MULTICAST_HOPS, config.ttl)
    with _refusal("cannot set the socket's options", url):
        if multicast:
            sock.setsockopt(level, socket.IP_MULTICAST_LOOP if v4 else socket.IPV6_MULTICAST_LOOP, config.loop)
        if not config.fragment:
            sock.setsockopt(level, _IP_MTU_DISCOVER if v4 else _IPV6_MTU_DISCOVER, _PMTUDISC_DO)
    if interface is not None:
        with _refusal(f"cannot send through the interface {interface.name}", url):
            if multicast:
                set_outgoing_interface(sock, interface)
            if unicast and interface.address is None:
                # The kernel wants network byte order here, for IPv6 too.
                sock.setsockopt(level, _IP_UNICAST_IF if v4 else _IPV6_UNICAST_IF, socket.htonl(interface.index))


@contextmanager
def _receiving(
    endpoint: Endpoint, config: UdpConfig, interface: Interface | None, url: str
) -> Iterator[socket.socket]:
    """A socket bound to `endpoint`, closed if the block fails."""
    # An empty host takes its family, and its address, from the interface.
    hint = interface.family if interface is not None and not endpoint.host else None
    family, address = resolve(endpoint, url, hint or socket.AF_UNSPEC)
    with _new_socket(family, url) as sock:
        if is_group(address):
            _bind_to_group(sock, address, config, interface, url)
        elif config.sources:
            raise ValueError(f"{url}: source= needs a multicast group, which '{endpoint}' is not")
        else:
            _bind_to_host(sock, address, interface, url)
        yield sock


def _bind_to_group(
    sock: socket.socket, address: SocketAddress, config: UdpConfig, interface: Interface | None, url: str
) -> None:
    # Several programs of a machine may receive a group, each of which gets all packets.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if len(address) == 4 and interface is not None:
        host, port, flow, scope = address
        address = (host, port, flow, scope or interface.index)
    # Bound to the group's own address, not to any: then no packet to the same port of another group comes in.
    _bind(sock, address, url)
    with _refusal(f"cannot join the group {address[0]}", url):
        join_group(sock, address, interface, config.sources)


def _bind_to_host(sock: socket.socket, address: SocketAddress, interface: Interface | None, url: str) -> None:
    if interface is not None and interface.address is None:
        with _refusal(f"cannot limit reception to the interface {interface.name}", url):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.name.encode() + b"\0")
    elif interface is not None and interface.family == sock.family:
        if ipaddress.ip_address(address[0]).is_unspecified:
            _, address = resolve(Endpoint(interface.address or "", address[1]), url)
        elif ipaddress.ip_address(address[0]) != ipaddress.ip_address(interface.address or ""):
            raise ValueError(f"{url}: interface={interface.address} contradicts the address {address[0]}")
    _bind(sock, address, url)


# ----------------------------------------------------------------------------------------------------------- buffers


def _wanted(config: UdpConfig, default: int) -> int:
    return default if config.buffer_size is None else config.buffer_size


def _set_buffer_sizes(sockets: Sequence[socket.socket], wanted: int, url: str, *, receive: bool) -> None:
    """Give sockets (at least one) buffers of `wanted` bytes, and warn once if the system gives less."""
    if wanted == 0:
        return
    granted = min(_set_buffer_size(sock, wanted, receive=receive) for sock in sockets)
    if granted < wanted:
        sysctl = "net.core.rmem_max" if receive else "net.core.wmem_max"
        _log.warning(
            "%s: the system limits the socket's %s buffer to %d bytes, less than the %d asked for; "
            "raise the limit (sysctl -w %s=%d) or ask for less (buffer_size=)",
            url,
            "receive" if receive else "send",
            granted,
            wanted,
            sysctl,
            wanted,
        )


def _set_buffer_size(sock: socket.socket, wanted: int, *, receive: bool) -> int:
    """Ask for a buffer of `wanted` bytes; how many the system gives."""
    option = socket.SO_RCVBUF if receive else socket.SO_SNDBUF
    try:
        # socket(7): a privileged process can override the limit rmem_max or wmem_max.
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE if receive else _SO_SNDBUFFORCE, wanted)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, option, wanted)
    # socket(7): the kernel doubles the value "to allow space for bookkeeping overhead", and returns the doubled one.
    return sock.getsockopt(socket.SOL_SOCKET, option) // 2
