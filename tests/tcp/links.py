"""What the tests of TCP share: raw sockets at one end or the other, and sending and receiving to the end."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from spead_transport_tcp import TcpConfig, TcpReceiver, TcpSender, TcpTransport

from spead_transport.errors import EndOfStream
from spead_transport.testing.packets import bytes_of
from spead_transport.transport import Endpoint, PacketBatch, PacketReceiver, PacketSender

#: Nothing that happens within this machine takes so long, in seconds.
PATIENCE = 10.0


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


def send_all(sender: PacketSender, batch: PacketBatch) -> None:
    """Send every packet of `batch`, waiting where necessary."""
    while len(batch):
        taken = sender.try_send(batch)
        batch = batch[taken:]
        if not taken:
            assert sender.writable.wait(PATIENCE)


def send_and_close(sender: PacketSender, batch: PacketBatch) -> None:
    """Send every packet of `batch`, then close the connection."""
    send_all(sender, batch)
    sender.close()


def receive(receiver: PacketReceiver, count: int) -> list[bytes]:
    """At least `count` packets."""
    packets: list[bytes] = []
    while len(packets) < count:
        assert receiver.readable.wait(PATIENCE), f"only {len(packets)} of {count} packets came"
        packets += bytes_of(receiver.try_recv(count))
    return packets


def receive_to_end(receiver: PacketReceiver) -> list[bytes]:
    """All packets until the end of the stream."""
    packets: list[bytes] = []
    try:
        while True:
            packets += receive(receiver, 1)
    except EndOfStream:
        return packets


def read_to_end(peer: socket.socket) -> bytes:
    """All bytes until the connection's end."""
    return b"".join(iter(lambda: peer.recv(1 << 16), b""))


@contextmanager
def running(function: Callable[[], object]) -> Iterator[None]:
    """Run `function` in a thread during the block, which waits for its end and raises what it raised."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(2 * PATIENCE)
        assert not thread.is_alive()
    if failures:
        raise failures[0]
