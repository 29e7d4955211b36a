"""Receives packets over TCP connections."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections import deque
from typing import Final

import attrs

from spead_transport.errors import BrokenTransportError, EndOfStream
from spead_transport.transport import Endpoint, FdSetReadiness, PacketBatch, PacketFramer, PacketReceiver

from .config import MAX_PACKET_SIZE, TcpConfig
from .sender import CAPABILITIES
from .sockets import adopt, endpoint_of, set_keepalive

__all__ = ["TcpReceiver"]

_log = logging.getLogger("spead_transport")

#: The connection was gone before it was accepted, or something else happened to it alone (accept(2)).
_MISSED: Final = frozenset(
    {
        errno.EAGAIN,
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
    }
)
_HINTS: Final = {
    errno.EMFILE: "the program has too many files and sockets open (ulimit -n)",
    errno.ECONNRESET: "the sender's program was ended before it had closed the stream",
    errno.ETIMEDOUT: "the sender's machine or the network is down",
}


@attrs.frozen(eq=False)
class _Connection:
    socket: socket.socket
    peer: Endpoint
    framer: PacketFramer


class TcpReceiver(PacketReceiver):
    """Accepts connections, whose packets come out together.

    The stream ends when as many senders as were expected have come and have closed their connections. A connection
    that breaks does not disturb the others; if there was one, the stream ends with an error.

    Parameters
    ----------
    listener
        A listening socket whose calls do not wait, which becomes this object's. It is closed when nobody more is
        expected: who comes later is refused.
    url
        What the receiver calls itself.
    connections
        How many senders are expected; 0 for any number.
    max_packet_size
        A larger packet is counted as truncated and skipped, in bytes.
    keepalive
        After how many seconds without traffic to find out whether a sender is still there; 0 does not.
    """

    def __init__(
        self,
        listener: socket.socket,
        url: str,
        *,
        connections: int = 1,
        max_packet_size: int = MAX_PACKET_SIZE,
        keepalive: float = TcpConfig().keepalive,
    ) -> None:
        self._listener: socket.socket | None = listener
        self._expected = self._missing = connections or None
        self._max_packet_size = max_packet_size
        self._keepalive = keepalive
        self._connections: deque[_Connection] = deque()
        #: Of the first connection that broke: whose it was, and the system's error number.
        self._broken: tuple[Endpoint, int | None] | None = None
        self._readable = FdSetReadiness()
        self._readable.add(listener.fileno())
        super().__init__(
            url, attrs.evolve(CAPABILITIES, several_senders=connections != 1, signals_end=connections > 0)
        )

    @classmethod
    def from_socket(
        cls,
        acceptor: socket.socket,
        *,
        connections: int = 1,
        max_packet_size: int = MAX_PACKET_SIZE,
        keepalive: float = TcpConfig().keepalive,
    ) -> TcpReceiver:
        """A receiver that accepts from a duplicate of an existing socket.

        Parameters
        ----------
        acceptor
            A TCP socket that is listening. It stays the caller's, who may close it, and is switched to non-blocking
            mode. While the caller keeps it open, more senders can connect than are accepted.
        connections, max_packet_size, keepalive
            See the class.

        Raises
        ------
        ValueError
            If it is not a TCP socket, or not listening.
        """
        own = adopt(acceptor)
        try:
            if not own.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise ValueError(f"expected a socket that is listening, not {acceptor!r}")
            os.set_blocking(own.fileno(), False)
            return cls(
                own,
                f"tcp://{endpoint_of(own.getsockname())}",
                connections=connections,
                max_packet_size=max_packet_size,
                keepalive=keepalive,
            )
        except BaseException:
            own.close()
            raise

    @property
    def readable(self) -> FdSetReadiness:
        return self._readable

    def hand_over(self) -> tuple[int, dict[int, str]] | None:
        """For engines of native code, which then receive in place of this object and leave it to be closed.

        Returns
        -------
        tuple or None
            The file descriptor of the socket that listens, which becomes the caller's, and what to do about errors,
            by their numbers; ``None`` if somebody was accepted already. Nothing has changed then.
        """
        with self._using():
            if self._listener is None or self._connections or self._missing != self._expected:
                return None
            self._readable.remove(self._listener.fileno())
            listener, self._listener = self._listener, None
            set_keepalive(listener, self._keepalive)  # which connections inherit
            return listener.detach(), _HINTS

    @property
    def expected(self) -> int | None:
        """How many senders are expected; ``None`` for any number."""
        return self._expected

    @property
    def max_packet_size(self) -> int:
        """What claims to be a larger packet is skipped, in bytes."""
        return self._max_packet_size

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            ready = self._readable.ready()
            if self._listener is not None and self._listener.fileno() in ready:
                self._accept(self._listener)
                ready = self._readable.ready()
            for connection in tuple(self._connections):
                if connection.socket.fileno() in ready:
                    # Who was served goes to the end of the queue.
                    self._connections.remove(connection)
                    batch = self._receive(connection)
                    if len(batch):
                        return batch
            if self._over:
                raise EndOfStream if self._broken is None else self._failure(*self._broken)
            return PacketBatch.of([])

    def _accept(self, listener: socket.socket) -> None:
        """Accept all who are waiting and expected."""
        while self._missing != 0:
            try:
                sock, address = listener.accept()
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    return
                if error.errno in _MISSED:
                    continue
                hint = _HINTS.get(error.errno or 0)
                message = "cannot accept a connection"
                raise BrokenTransportError(message, errno=error.errno, url=self.url, hint=hint) from error
            sock.setblocking(False)
            set_keepalive(sock, self._keepalive)
            self._connections.append(_Connection(sock, endpoint_of(address), PacketFramer(self._max_packet_size)))
            self._readable.add(sock.fileno())
            if self._missing is not None:
                self._missing -= 1
        self._readable.remove(listener.fileno())
        listener.close()
        self._listener = None

    def _receive(self, connection: _Connection) -> PacketBatch:
        """The next packets of a connection that is not in the queue; it is put back unless this is its end."""
        try:
            count = connection.socket.recv_into(connection.framer.room(), 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._connections.append(connection)
            return PacketBatch.of([])
        except OSError as error:
            self._note_failure(connection.peer, error.errno)
            count = 0
        if count:
            self._connections.append(connection)
            return connection.framer.packets(count)
        self._close(connection)
        return connection.framer.rest()

    def _note_failure(self, peer: Endpoint, number: int | None) -> None:
        """The stream ends with the first failure, but others are not disturbed: they may go on for long."""
        if self._missing != 0 or self._connections:
            _log.warning("%s", str(self._failure(peer, number)))
        self._broken = self._broken or (peer, number)

    def _failure(self, peer: Endpoint, number: int | None) -> BrokenTransportError:
        hint = _HINTS.get(number or 0)
        return BrokenTransportError(f"the connection from {peer} broke", errno=number, url=self.url, hint=hint)

    @property
    def _over(self) -> bool:
        return self._listener is None and not self._connections

    def _close(self, connection: _Connection) -> None:
        self._readable.remove(connection.socket.fileno())
        connection.socket.close()
        if self._over:
            self._readable.set()

    def _release_resources(self) -> None:
        for connection in self._connections:
            self._close(connection)
        self._connections.clear()
        if self._listener is not None:
            self._readable.remove(self._listener.fileno())
            self._listener.close()
        self._readable.wake()
