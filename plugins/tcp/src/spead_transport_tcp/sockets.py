"""Sockets as this transport needs them: connected or listening, with the options asked for."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Iterator
from typing import Final, TypeAlias

from spead_transport.errors import TransportError
from spead_transport.transport import Endpoint, as_ip_address

from .config import TcpConfig

__all__ = ["adopt", "connect", "connect_async", "endpoint_of", "listen", "set_keepalive"]

_log = logging.getLogger("spead_transport")

#: (address, port), or (address, port, flow, scope) for IPv6, and its family.
_Candidate: TypeAlias = tuple[int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]

#: Senders that the system lets wait until they are accepted.
_BACKLOG: Final = 128
#: Questions without an answer after which a connection is given up (TCP_KEEPCNT), spread over as long as the first
#: took to come.
_KEEPALIVE_PROBES: Final = 6

_HINTS: Final = {
    errno.ECONNREFUSED: "nobody listens there; open the receiver first",
    errno.ETIMEDOUT: "no answer came; check the address and firewalls, or raise connect_timeout",
    errno.EADDRINUSE: "somebody listens there already; port 0 takes a free one",
    errno.EADDRNOTAVAIL: "the address is not one of this machine",
    errno.EACCES: "ports below 1024 need privileges",
    errno.EPERM: "limiting connections to an interface by name needs privileges, or a firewall forbids this",
    errno.ENODEV: "this machine has no such network interface",
    errno.ENETUNREACH: "no route leads there",
    errno.EHOSTUNREACH: "no route leads there",
}


# -------------------------------------------------------------------------------------------------------- connecting


def connect(config: TcpConfig, url: str) -> socket.socket:
    """A socket that is connected; waits until it is. All addresses of the host are tried.

    Raises
    ------
    ValueError
        If there is no host or no port to connect to.
    TransportError
        If the host has no address, or no connection could be made in time.
    """
    deadline = time.monotonic() + config.connect_timeout
    failure: OSError = TimeoutError()
    for family, address in _resolve(_destination(config, url), url, _family(config)):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        with _outgoing(family, config, url) as sock:
            sock.settimeout(left)
            try:
                sock.connect(address)
            except OSError as error:
                failure = error
                sock.close()
                continue
            sock.setblocking(False)
            return sock
    raise _not_connected(failure, config, url) from failure


async def connect_async(config: TcpConfig, url: str) -> socket.socket:
    """Like :func:`connect`, while the event loop goes on."""
    loop = asyncio.get_running_loop()
    destination = _destination(config, url)
    failure: OSError = TimeoutError()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(config.connect_timeout):
            for family, address in await loop.run_in_executor(None, _resolve, destination, url, _family(config)):
                with _outgoing(family, config, url) as sock:
                    try:
                        await loop.sock_connect(sock, address)
                    except OSError as error:
                        failure = error
                        sock.close()
                        continue
                    return sock
    raise _not_connected(failure, config, url) from failure


def _destination(config: TcpConfig, url: str) -> Endpoint:
    if not (config.endpoint.host and config.endpoint.port):
        raise ValueError(f"{url}: expected a host and a port to connect to, not {str(config.endpoint)!r}")
    return config.endpoint


def _not_connected(failure: OSError, config: TcpConfig, url: str) -> TransportError:
    # Python's own time limit raises an error without a number.
    number = errno.ETIMEDOUT if isinstance(failure, TimeoutError) else failure.errno
    return TransportError(
        f"cannot connect to {config.endpoint}", errno=number, url=url, hint=_HINTS.get(number) if number else None
    )


@contextlib.contextmanager
def _outgoing(family: int, config: TcpConfig, url: str) -> Iterator[socket.socket]:
    """A socket to connect from, closed if the block fails."""
    with _new_socket(family, url) as sock:
        source = as_ip_address(config.interface)
        if source is not None:
            with _refusal(f"cannot connect from {config.interface}", url):
                sock.bind((config.interface, 0))
        _set_interface(sock, config, url)
        _set_buffer_size(sock, socket.SO_SNDBUF, config.buffer_size, url)
        # Batches are large and go out at once: there is nothing to wait for that could fill the last segment.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        set_keepalive(sock, config.keepalive)
        yield sock


# --------------------------------------------------------------------------------------------------------- listening


def listen(config: TcpConfig, url: str) -> socket.socket:
    """A socket that listens.

    Raises
    ------
    ValueError
        If two addresses to listen at are given.
    TransportError
        If the host has no address, or the system refuses.
    """
    endpoint = _own_endpoint(config, url)
    family, address = _resolve(endpoint, url)[0]
    with _new_socket(family, url) as sock:
        # Or the port of a receiver that was closed could not be listened at again for minutes (TIME_WAIT).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _set_interface(sock, config, url)
        # Before listening, for the window that can be offered depends on it; the connections inherit it (tcp(7)).
        _set_buffer_size(sock, socket.SO_RCVBUF, config.buffer_size, url)
        with _refusal(f"cannot listen at {endpoint}", url):
            sock.bind(address)
            sock.listen(_BACKLOG)
        return sock


def _own_endpoint(config: TcpConfig, url: str) -> Endpoint:
    """Where to listen: at the endpoint's host, or at the interface's address, or at any address of IPv4."""
    host, port = config.endpoint.host, config.endpoint.port
    if as_ip_address(config.interface) is None:
        return Endpoint(host or "0.0.0.0", port)
    if host and as_ip_address(host) != as_ip_address(config.interface):
        raise ValueError(f"{url}: interface={config.interface} and the address {host} contradict each other")
    return Endpoint(config.interface, port)


# ----------------------------------------------------------------------------------------------------------- for both


def adopt(sock: socket.socket) -> socket.socket:
    """A duplicate of a user's TCP socket whose calls do not wait, if the file description does not.

    Raises
    ------
    ValueError
        If it is not a TCP socket over IPv4 or IPv6.
    """
    if sock.type != socket.SOCK_STREAM or sock.family not in (socket.AF_INET, socket.AF_INET6):
        raise ValueError(f"expected a TCP socket (SOCK_STREAM over IPv4 or IPv6), not {sock!r}")
    fd = os.dup(sock.fileno())
    try:
        # SOCK_NONBLOCK tells Python's object alone not to wait by itself; the file description stays as it is.
        return socket.socket(sock.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 0, fileno=fd)
    except BaseException:
        os.close(fd)
        raise


def endpoint_of(address: tuple[str | int, ...]) -> Endpoint:
    """The endpoint that has this socket address."""
    return Endpoint(str(address[0]), int(address[1]))


def set_keepalive(sock: socket.socket, idle: float) -> None:
    """Have the system find out whether the other side is still there after `idle` seconds; not if that is 0."""
    if not idle:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, round(idle)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, round(idle / _KEEPALIVE_PROBES)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)


def _family(config: TcpConfig) -> socket.AddressFamily:
    """The family of the address to connect from, if there is one: only such addresses can be connected to."""
    source = as_ip_address(config.interface)
    if source is None:
        return socket.AF_UNSPEC
    return socket.AF_INET if source.version == 4 else socket.AF_INET6


def _resolve(endpoint: Endpoint, url: str, family: int = socket.AF_UNSPEC) -> list[_Candidate]:
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, family, socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise TransportError(
            f"{endpoint.host!r} has no address{' like that of the interface' if family else ''}: "
            f"{getattr(error, 'strerror', None) or error}",
            url=url,
            hint="check the name, or give an address",
        ) from error
    return [(family, address) for family, _, _, _, address in found]


@contextlib.contextmanager
def _new_socket(family: int, url: str) -> Iterator[socket.socket]:
    """A socket that is closed if the block fails."""
    with _refusal("cannot make a socket", url):
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        yield sock
    except BaseException:
        sock.close()
        raise


@contextlib.contextmanager
def _refusal(message: str, url: str) -> Iterator[None]:
    """What the system refuses in the block becomes a :exc:`TransportError`."""
    try:
        yield
    except OSError as error:
        number = error.errno
        hint = _HINTS.get(number) if number else None
        raise TransportError(message, errno=number, url=url, hint=hint) from error


def _set_interface(sock: socket.socket, config: TcpConfig, url: str) -> None:
    if config.interface and as_ip_address(config.interface) is None:
        with _refusal(f"cannot limit connections to the interface {config.interface}", url):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, config.interface.encode() + b"\0")


def _set_buffer_size(sock: socket.socket, kind: int, wanted: int, url: str) -> None:
    """Ask for a buffer of `wanted` bytes, if any, and warn if the system gives less."""
    if not wanted:
        return
    sock.setsockopt(socket.SOL_SOCKET, kind, wanted)
    # socket(7): the kernel doubles the value "to allow space for bookkeeping overhead", and returns the doubled one.
    granted = sock.getsockopt(socket.SOL_SOCKET, kind) // 2
    if granted < wanted:
        _log.warning(
            "%s: the system limits the socket's buffer to %d bytes, less than the %d asked for; raise the limit "
            "(sysctl -w net.core.%s_max=%d), ask for less, or let the system choose (buffer_size=0)",
            url,
            granted,
            wanted,
            "rmem" if kind == socket.SO_RCVBUF else "wmem",
            wanted,
        )
