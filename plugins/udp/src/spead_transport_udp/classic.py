"""The classic arguments of UDP streams: several forms under one name, told apart by what the first argument is."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from spead_transport.transport import (
    Endpoint,
    EndpointRange,
    Endpoints,
    PacketReceiver,
    PacketSender,
    as_ip_address,
    open_receiver,
    open_sender,
)

from .config import RECEIVE_BUFFER_SIZE, SEND_BUFFER_SIZE, UdpConfig
from .receiver import UdpReceiver
from .sender import UdpSender
from .transport import UdpTransport

__all__ = ["classic_receiver", "classic_sender"]

_MAX_SIZE = UdpConfig().max_packet_size


# ------------------------------------------------------------------------------------------------------- receiving


def classic_receiver(*arguments: Any, **named: Any) -> PacketReceiver:
    """The receiver that the arguments of ``recv.Stream.add_udp_reader`` describe.

    Raises
    ------
    TypeError
        If the arguments fit none of its forms, or a port is impossible.
    TransportError
        If an address does not resolve or cannot be bound.
    """
    first = arguments[0] if arguments else None
    if isinstance(first, str) or "multicast_group" in named:
        return _from_group(*arguments, **named)
    if isinstance(first, socket.socket) or "socket" in named:
        return _from_socket(*arguments, **named)
    return _from_port(*arguments, **named)


def _from_port(
    port: int, max_size: int = _MAX_SIZE, buffer_size: int = RECEIVE_BUFFER_SIZE, bind_hostname: str = ""
) -> PacketReceiver:
    endpoints = _endpoints([(bind_hostname, port)])
    return open_receiver(
        UdpTransport(UdpConfig(endpoints=endpoints, max_packet_size=max_size, buffer_size=buffer_size))
    )


def _from_socket(socket: socket.socket, max_size: int = _MAX_SIZE) -> PacketReceiver:
    return UdpReceiver.from_socket(socket, max_packet_size=max_size)


def _from_group(
    multicast_group: str,
    port: int,
    max_size: int = _MAX_SIZE,
    buffer_size: int = RECEIVE_BUFFER_SIZE,
    interface_address: str | int = "",
    *,
    interface_index: int | None = None,
) -> PacketReceiver:
    config = UdpConfig(
        endpoints=_endpoints([(multicast_group, port)]),
        max_packet_size=max_size,
        buffer_size=buffer_size,
        interface=_interface(interface_address, interface_index),
    )
    return open_receiver(UdpTransport(config))


# --------------------------------------------------------------------------------------------------------- sending


def classic_sender(
    endpoints: Sequence[tuple[str, int]],
    *,
    sock: socket.socket | None = None,
    buffer_size: int = SEND_BUFFER_SIZE,
    ttl: int | None = None,
    interface_address: str | int = "",
    interface_index: int | None = None,
) -> PacketSender:
    """The sender that the arguments of a classic UDP stream describe.

    Raises
    ------
    TypeError
        If a port is impossible.
    ValueError
        If there are no endpoints, or one is not a multicast group although a `ttl` is given.
    TransportError
        If an address does not resolve or cannot be used.
    """
    destinations = _endpoints(endpoints)
    if sock is not None:
        return UdpSender.from_socket(sock, destinations)
    if ttl is not None:
        for endpoint in destinations:
            address = as_ip_address(endpoint.host)
            if address is None or not address.is_multicast:
                raise ValueError(f"a ttl is for multicast groups only, and {endpoint} is none")
    config = UdpConfig(
        endpoints=destinations,
        buffer_size=buffer_size,
        ttl=ttl,
        interface=_interface(interface_address, interface_index),
    )
    return open_sender(UdpTransport(config))


def _interface(address: str | int, index: int | None) -> str:
    """An interface as the configuration wants it; the fifth argument may be an address or an index."""
    if index is not None:
        address = index
    return "" if address in ("", "0.0.0.0", "::", 0) else str(address)


def _endpoints(pairs: Sequence[tuple[str, int]]) -> Endpoints:
    for _, port in pairs:
        if not isinstance(port, int) or not 0 <= port <= 65535:
            raise TypeError(f"a port must be an integer from 0 to 65535, not {port!r}")
    return Endpoints(tuple(EndpointRange(Endpoint(host, port)) for host, port in pairs))
