"""The sockets by which the two ends find and watch each other."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final, Self

import attrs

from spead_transport.errors import TransportError

from .config import Access
from .messages import BUFFER_SIZE, address_of

__all__ = ["Peer", "connect", "listen"]

_BACKLOG: Final = 128
_CREDENTIALS: Final = struct.Struct("=iII")
_LISTEN_HINTS: Final = {
    errno.EADDRINUSE: "another receiver has this name: choose another one, or close that receiver"
}
_CONNECT_HINTS: Final = {
    errno.ECONNREFUSED: "open the receiver first, on this machine and, if there are containers, in the same network "
    "namespace; or check the name",
    errno.EAGAIN: "the receiver has not looked at earlier senders yet; is it being used?",
}


@attrs.frozen
class Peer:
    """The process at the other end of a socket, as it was when it connected or began to listen."""

    process: int
    user: int
    group: int

    @classmethod
    def of(cls, sock: socket.socket) -> Self:
        """What the system says of the other end (``SO_PEERCRED``, unix(7))."""
        return cls(*_CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)))

    def __str__(self) -> str:
        return f"process {self.process} of user {self.user}"

    def objection(self, access: Access) -> str | None:
        """Why `access` does not admit this process, if so."""
        if access is Access.ANYONE or self.user in (0, os.geteuid()):
            return None
        if access is Access.GROUP and self.group == os.getegid():
            return None
        here = f"user {os.geteuid()}, group {os.getegid()}"
        return f"access={access.value} does not admit {self} and group {self.group} at the other end (here: {here})"


def listen(name: str, url: str) -> socket.socket:
    """The receiver's socket.

    Raises
    ------
    ValueError
        If there is no name.
    TransportError
        If the name is in use, or the system refuses.
    """
    with _new_socket("cannot listen", name, url, _LISTEN_HINTS) as sock:
        sock.bind(address_of(name))
        sock.listen(_BACKLOG)
        return sock


def connect(name: str, access: Access, url: str) -> socket.socket:
    """A socket that is connected to a receiver.

    Raises
    ------
    ValueError
        If there is no name.
    TransportError
        If there is no receiver, or not one that `access` admits.
    """
    with _new_socket("cannot connect to a receiver", name, url, _CONNECT_HINTS) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_SIZE)
        sock.connect(address_of(name))
        objection = Peer.of(sock).objection(access)
        if objection:
            raise TransportError(
                objection, errno=errno.EACCES, url=url, hint="run both as the same user, or set another access here"
            )
        return sock


@contextlib.contextmanager
def _new_socket(message: str, name: str, url: str, hints: dict[int, str]) -> Iterator[socket.socket]:
    """A socket that is closed if the block fails; what the system refuses becomes a :exc:`TransportError`."""
    if not name:
        raise ValueError(f"{url}: expected a name, as in shm://correlator")
    sock = None
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        yield sock
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError) and not isinstance(error, TransportError):
            hint = hints.get(error.errno or 0)
            raise TransportError(message, errno=error.errno, url=url, hint=hint) from error
        raise
