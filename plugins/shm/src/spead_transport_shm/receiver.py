"""Reads packets from shared memory."""

from __future__ import annotations

import errno
import logging
import socket
from collections import deque
from contextlib import ExitStack, suppress
from typing import Final

import attrs

from spead_transport.errors import BrokenTransportError, ClosedError, EndOfStream
from spead_transport.transport import FdSetReadiness, PacketBatch, PacketReceiver

from .config import Access
from .link import Failure, Link
from .sender import CAPABILITIES

__all__ = ["ShmReceiver"]

_log = logging.getLogger("spead_transport")

#: The connection was gone before it was accepted (accept(2)).
_MISSED: Final = frozenset({errno.ECONNABORTED, errno.EPROTO})
_HINTS: Final = {errno.EMFILE: "the program has too many files and sockets open (ulimit -n)"}


class ShmReceiver(PacketReceiver):
    """Reads the rings of all senders that attach, in turns, without copying.

    The stream ends when enough senders have come and all have closed. A sender that dies, or sends nonsense, does not
    disturb the others: what it had sent is delivered, and if there was one the stream ends with an error.

    Parameters
    ----------
    listener
        A listening socket, which becomes this object's.
    url
        What the receiver calls itself.
    access
        Who may attach. If these are others than the same user's processes, packets are copied before they are handed
        out, so that nobody can change them while they are being looked at.
    senders
        How many must have come before the stream can end; 0 if it never does.
    """

    def __init__(self, listener: socket.socket, url: str, *, access: Access = Access.USER, senders: int = 1) -> None:
        self._listener: socket.socket | None = listener
        self._access = access
        self._endless = senders == 0
        self._senders = senders
        self._missing = senders
        self._accepted = False
        #: Who was served goes to the end.
        self._links: deque[Link] = deque()
        #: Whose records the last batch consists of.
        self._lender: Link | None = None
        self._corrupt = 0
        #: What happened to the first link that broke.
        self._failure: Failure | None = None
        self._readable = FdSetReadiness()
        self._readable.add(listener.fileno())
        super().__init__(url, attrs.evolve(CAPABILITIES, signals_end=not self._endless))

    @property
    def readable(self) -> FdSetReadiness:
        return self._readable

    @property
    def access(self) -> Access:
        """Who may attach."""
        return self._access

    @property
    def senders(self) -> int:
        """How many senders must have come before the stream can end; 0 if it never does."""
        return self._senders

    def hand_over(self) -> int | None:
        """For engines of native code, which then receive in place of this object and leave it to be closed.

        Returns
        -------
        int or None
            The file descriptor of the socket that senders connect to, which becomes the caller's; ``None`` if some
            were accepted already. Nothing has changed then.
        """
        with self._using():
            if self._listener is None or self._accepted:
                return None
            self._readable.remove(self._listener.fileno())
            listener, self._listener = self._listener, None
            return listener.detach()

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            self._give_back()
            ready = self._readable.ready()
            if self._listener is not None and self._listener.fileno() in ready:
                self._accept(self._listener)
                ready = self._readable.ready()
            for link in tuple(self._links):
                if link.fileno() in ready:
                    batch = self._receive(link, limit)
                    if len(batch):
                        # The next call gives this one's memory back, which the sender may need to go on.
                        self._readable.set()
                        return batch
            if self._over:
                self._end()
            self._readable.clear()
            return PacketBatch.of([])

    def release(self) -> None:
        with suppress(ClosedError), self._using():
            self._give_back()

    def drops(self) -> dict[str, int]:
        return {"corrupt": self._corrupt} if self._corrupt else {}

    def _accept(self, listener: socket.socket) -> None:
        """Accept all who are waiting."""
        while True:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _MISSED:
                    continue
                hint = _HINTS.get(error.errno or 0)
                message = "cannot accept a sender"
                raise BrokenTransportError(message, errno=error.errno, url=self.url, hint=hint) from error
            with ExitStack() as undo:
                undo.callback(sock.close)
                link = Link(sock)
                objection = link.peer.objection(self._access)
                if objection:
                    _log.warning("%s: a sender was refused: %s", self.url, objection)
                    link.refuse(objection)
                    continue
                self._readable.add(sock.fileno())
                self._links.append(link)
                self._accepted = True
                undo.pop_all()

    def _receive(self, link: Link, limit: int) -> PacketBatch:
        """The next packets of a sender; it leaves the queue if this is its end."""
        was_attached, was_corrupt = link.attached, link.corrupt
        batch = link.receive(limit)
        self._corrupt += link.corrupt - was_corrupt
        if link.attached and not was_attached:
            self._missing = max(0, self._missing - 1)
        self._links.remove(link)
        if link.closed:
            self._bury(link)
        else:
            self._links.append(link)
            self._lender = link
        return batch if self._access is Access.USER else batch.flatten()

    def _bury(self, link: Link) -> None:
        """Close a link. Others are not disturbed if it broke: they may go on for long."""
        if link.failure is not None:
            _log.warning("%s: %s", self.url, link.failure.message)
            if link.attached:  # else the stream lacks nothing
                self._failure = self._failure or link.failure
        self._close(link)

    def _give_back(self) -> None:
        """Let the sender overwrite what the last batch consisted of."""
        lender, self._lender = self._lender, None
        if lender is not None and not lender.closed:
            lender.give_back()

    @property
    def _over(self) -> bool:
        return not self._endless and not self._missing and not any(link.attached for link in self._links)

    def _end(self) -> None:
        """Say that the stream is over."""
        self._close_all()
        self._readable.set()
        if self._failure is not None:
            raise BrokenTransportError(self._failure.message, url=self.url, hint=self._failure.hint)
        raise EndOfStream

    def _close(self, link: Link) -> None:
        self._readable.remove(link.fileno())
        link.socket.close()

    def _close_all(self) -> None:
        while self._links:
            self._close(self._links.pop())
        if self._listener is not None:
            self._readable.remove(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _release_resources(self) -> None:
        self._lender = None
        self._close_all()
        self._readable.set()
        self._readable.wake()
