"""Sends packets over a TCP connection."""

from __future__ import annotations

import errno
import socket
from functools import partial
from typing import Final

from spead_transport.errors import BrokenTransportError
from spead_transport.transport import Capabilities, FdReadiness, PacketBatch, PacketSender, PacketWriter

from .sockets import adopt, endpoint_of

__all__ = ["CAPABILITIES", "TcpSender"]

CAPABILITIES: Final = Capabilities(lossy=False, ordered=True, reach="network", signals_end=True)

#: In bytes. Within a machine, what is on its way should stay in the processor's caches: the system makes buffers ever
#: larger, which costs half as much time again with large packets. (Python is too slow for buffers this small.)
_LOCAL_BUFFER_SIZE: Final = 1 << 19
_HINTS: Final = {
    errno.ECONNRESET: "the receiver was closed or its program ended, perhaps before it had read everything",
    errno.EPIPE: "the receiver was closed or its program ended",
    errno.ETIMEDOUT: "the receiver's machine or the network is down",
}


class TcpSender(PacketSender):
    """A connection to a receiver. Packets that were taken are with the system, which goes on delivering them
    after the sender is closed.

    Parameters
    ----------
    sock
        A connected socket, which becomes this object's.
    url
        What the sender calls itself.
    adaptive
        Whether the size of the socket's buffer may be changed.
    """

    def __init__(self, sock: socket.socket, url: str, *, adaptive: bool = False) -> None:
        self._socket = sock
        self._adaptive = adaptive
        self._writable = FdReadiness(sock.fileno(), write=True)
        self._writer = PacketWriter(partial(_write, sock))
        super().__init__(url, CAPABILITIES)

    @classmethod
    def from_socket(cls, sock: socket.socket) -> TcpSender:
        """A sender that uses a duplicate of an existing socket, with the options that the socket has.

        Parameters
        ----------
        sock
            A TCP socket that is connected. It stays the caller's, who may close it.

        Raises
        ------
        ValueError
            If it is not a TCP socket, or not connected.
        """
        own = adopt(sock)
        try:
            try:
                peer = own.getpeername()
            except OSError as error:
                raise ValueError(f"expected a socket that is connected, not {sock!r}") from error
            return cls(own, f"tcp://{endpoint_of(peer)}")
        except BaseException:
            own.close()
            raise

    @property
    def writable(self) -> FdReadiness:
        return self._writable

    def hand_over(self) -> tuple[int, dict[int, str]] | None:
        """For engines of native code, which then send in place of this object and leave it to be closed.

        Returns
        -------
        tuple or None
            The socket's file descriptor, which becomes the caller's, and what to do about errors, by their numbers;
            ``None`` if a packet was written in part, or something failed. Nothing has changed then.
        """
        with self._using():
            if not self._writer.at_rest:
                return None
            self._writable.detach()
            if self._adaptive and self._socket.getsockname()[0] == self._socket.getpeername()[0]:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LOCAL_BUFFER_SIZE)
            return self._socket.detach(), _HINTS

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            if batch.destination != 0:
                raise ValueError(f"{self.url}: there is no destination {batch.destination}, only 0")
            try:
                return self._writer.send(batch)
            except OSError as error:
                hint = _HINTS.get(error.errno or 0)
                raise BrokenTransportError("cannot send", errno=error.errno, url=self.url, hint=hint) from error

    def _release_resources(self) -> None:
        if self._socket.fileno() >= 0:  # not handed over
            self._writable.detach()
            self._socket.close()
        self._writable.wake()


def _write(sock: socket.socket, buffers: list[memoryview]) -> int:
    return sock.sendmsg(buffers, (), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
