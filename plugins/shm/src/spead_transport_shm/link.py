"""One sender, as its receiver sees it."""

from __future__ import annotations

import contextlib
import os
import socket

import attrs

from spead_transport.transport import PacketBatch

from .messages import BUFFER_SIZE, GOODBYE, LONGEST, Announcement, Hello, Receipt, Refusal
from .ring import Record, RecordError, RingReader
from .sockets import Peer

__all__ = ["Failure", "Link"]


@attrs.frozen
class Failure:
    """Why a sender is not listened to any more."""

    message: str
    hint: str


class Link:
    """A connection that was accepted, and the ring that comes with its first message.

    Parameters
    ----------
    sock
        The connection. The caller closes it as soon as the link is :attr:`closed`.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_SIZE)
        self.socket = sock
        self.peer: Peer = Peer.of(sock)
        #: Whether nothing more can come.
        self.closed: bool = False
        #: The reason, if it is not that the sender finished.
        self.failure: Failure | None = None
        #: Number of packets that were announced and could not be found.
        self.corrupt: int = 0
        self._ring: RingReader | None = None
        self._unacknowledged: list[int] = []

    @property
    def attached(self) -> bool:
        """Whether the sender has passed on its ring."""
        return self._ring is not None

    def fileno(self) -> int:
        return self.socket.fileno()

    def refuse(self, reason: str) -> None:
        """Tell the sender, if it is still there."""
        with contextlib.suppress(OSError):
            self.socket.send(Refusal(reason).pack(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def receive(self, limit: int) -> PacketBatch:
        """Packets of the records that were announced: all of them, or `limit` and the rest of a record.

        They are valid until :meth:`give_back`, or for good if the link is closed.
        """
        found: list[Record] = []
        while limit > 0 and not self.closed:
            fds: list[int] = []
            try:
                message = self._next_message(fds)
                if message is None:
                    break
                limit -= self._obey(message, fds, found)
            except ValueError as error:
                self._fail(
                    f"{self.peer} is out of order: {error}", "have both ends the same version of this transport?"
                )
                self.refuse(str(error))
            except OSError as error:
                self._fail(f"cannot receive from {self.peer}: {error}", "are there limits on memory or on files?")
                self.refuse(str(error))
            finally:
                for fd in fds:
                    os.close(fd)
        if self._ring is None or not found:
            return PacketBatch.of([])
        return self._ring.batch(found)

    def give_back(self) -> None:
        """Let the sender use the memory of all that :meth:`receive` returned."""
        # A sender that is gone needs no receipt, and that will be noticed; one that lets receipts pile up gets these
        # with the next.
        with contextlib.suppress(OSError):
            for receipt in Receipt.all_of(tuple(self._unacknowledged)):
                self.socket.send(receipt.pack(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                del self._unacknowledged[: len(receipt.starts)]

    def _next_message(self, fds: list[int]) -> bytes | None:
        """A message, empty if the other end is closed; ``None`` if there is none now. It may come with `fds`."""
        while True:
            try:
                if self.attached:
                    return self.socket.recv(LONGEST, socket.MSG_DONTWAIT)
                message, passed, *_ = socket.recv_fds(
                    self.socket, LONGEST, 1, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
                )
                fds += passed
                return message
            except BlockingIOError:
                return None
            except ConnectionResetError:
                # The other end was closed before it had read everything, which is reported once, and before what it
                # had sent itself.
                continue

    def _obey(self, message: bytes, fds: list[int], found: list[Record]) -> int:
        """Do what a message says; how many packets it is about."""
        if not message:
            self._fail(f"{self.peer} is gone and had not closed its sender", "its program crashed or was killed")
        elif message == GOODBYE:
            self.closed = True
        elif self._ring is None:
            self._ring = _ring(Hello.unpack(message), fds)
        else:
            announcement = Announcement.unpack(message)
            try:
                found.append(self._ring.read(announcement))
            except RecordError:
                self.corrupt += announcement.count
            self._unacknowledged.append(announcement.start)
            return announcement.count
        return 0

    def _fail(self, message: str, hint: str) -> None:
        self.closed = True
        self.failure = Failure(message, hint)


def _ring(hello: Hello, fds: list[int]) -> RingReader:
    if not fds:
        raise ValueError("expected a file descriptor of shared memory with the first message")
    return RingReader(fds[0], hello.size)
