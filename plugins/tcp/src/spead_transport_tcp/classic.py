"""The classic arguments of TCP streams: several forms under one name, told apart by what the first argument is."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Final

from spead_transport.transport import Endpoint, PacketReceiver, open_receiver

from .config import MAX_PACKET_SIZE, TcpConfig
from .receiver import TcpReceiver
from .transport import TcpTransport

__all__ = ["BUFFER_SIZE", "classic_receiver", "classic_transport"]

#: Of sockets, in bytes, unless another one is asked for.
BUFFER_SIZE: Final = 212992


def classic_receiver(*arguments: Any, **named: Any) -> PacketReceiver:
    """The receiver that the arguments of ``recv.Stream.add_tcp_reader`` describe.

    Raises
    ------
    TypeError
        If the arguments fit none of its forms, or a port is impossible.
    TransportError
        If an address does not resolve or cannot be listened at.
    """
    if "acceptor" in named or (arguments and isinstance(arguments[0], socket.socket)):
        return _from_acceptor(*arguments, **named)
    return _from_port(*arguments, **named)


def _from_acceptor(acceptor: socket.socket, max_size: int = MAX_PACKET_SIZE) -> PacketReceiver:
    return TcpReceiver.from_socket(acceptor, max_packet_size=max_size)


def _from_port(
    port: int, max_size: int = MAX_PACKET_SIZE, buffer_size: int = BUFFER_SIZE, bind_hostname: str = ""
) -> PacketReceiver:
    config = TcpConfig(endpoint=_endpoint(bind_hostname, port), max_packet_size=max_size, buffer_size=buffer_size)
    return open_receiver(TcpTransport(config))


def classic_transport(endpoints: Sequence[tuple[str, int]], buffer_size: int, interface_address: str) -> TcpTransport:
    """The transport that the arguments of a classic TCP stream describe.

    Raises
    ------
    TypeError
        If a port is impossible.
    ValueError
        If there is not exactly one endpoint.
    """
    if len(endpoints) != 1:
        raise ValueError(f"a TCP stream has exactly one endpoint, not {len(endpoints)}")
    host, port = endpoints[0]
    return TcpTransport(
        TcpConfig(endpoint=_endpoint(host, port), buffer_size=buffer_size, interface=interface_address)
    )


def _endpoint(host: str, port: int) -> Endpoint:
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise TypeError(f"a port must be an integer from 0 to 65535, not {port!r}")
    return Endpoint(host, port)
