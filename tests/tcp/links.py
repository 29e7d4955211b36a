"""What the tests of TCP share: endpoints on this machine, and raw sockets at one end or the other."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spead_transport_tcp import TcpConfig, TcpReceiver, TcpSender, TcpTransport

from spead_transport.transport import Endpoint, PacketReceiver

from ..exchange import PATIENCE


def listen(host: str = "127.0.0.1", **options: Any) -> TcpReceiver:
    """A receiver on this machine, with these options."""
    return TcpTransport(TcpConfig(endpoint=Endpoint(host, 0), **options)).open_receiver()


def address_of(receiver: PacketReceiver) -> tuple[str, int]:
    """Where a receiver listens."""
    endpoint = TcpConfig.from_url(receiver.url).endpoint
    return endpoint.host, endpoint.port


def connect(receiver: PacketReceiver, **options: Any) -> TcpSender:
    """A sender to `receiver`, with these options."""
    return TcpTransport(TcpConfig(endpoint=Endpoint(*address_of(receiver)), **options)).open_sender()


def connect_raw(receiver: PacketReceiver) -> socket.socket:
    """A connection to `receiver` for any bytes at all."""
    return socket.create_connection(address_of(receiver), PATIENCE)


@contextmanager
def raw_peer(**options: Any) -> Iterator[tuple[TcpSender, socket.socket]]:
    """A sender, and the plain socket at the other end; what it does not read piles up soon."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = TcpConfig(endpoint=Endpoint(*listener.getsockname()), **options)
        with TcpTransport(config).open_sender() as sender, listener.accept()[0] as peer:
            peer.settimeout(PATIENCE)
            yield sender, peer


def reset(sock: socket.socket) -> None:
    """Close a connection the rude way: the other end gets an error."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_to_end(peer: socket.socket) -> bytes:
    """All bytes until the connection's end."""
    return b"".join(iter(lambda: peer.recv(1 << 16), b""))
