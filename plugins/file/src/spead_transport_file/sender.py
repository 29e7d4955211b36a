"""Writes packets to files and pipes."""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import Final

from spead_transport.errors import BrokenTransportError
from spead_transport.transport import (
    Capabilities,
    EventReadiness,
    FdReadiness,
    PacketBatch,
    PacketSender,
    PacketWriter,
    Readiness,
)

__all__ = ["CAPABILITIES", "FileSender"]

CAPABILITIES: Final = Capabilities(lossy=False, ordered=True, reach="host", signals_end=True)

_HINTS: Final = {
    errno.ENOSPC: "the disk is full; what was written so far can be read, and appended to",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "no file may become so large here",
    errno.EPIPE: "whoever read the pipe has closed it, or the program has ended",
}


class FileSender(PacketSender):
    """An open file. Packets that were taken are with the system, though not necessarily on the disk.

    Parameters
    ----------
    fd
        The file, which becomes this object's; writing to it must not wait.
    url
        What the sender calls itself.
    """

    def __init__(self, fd: int, url: str) -> None:
        self._fd = fd
        self._writer = PacketWriter(partial(os.writev, fd))
        self._writable = _writability(fd)
        super().__init__(url, CAPABILITIES)

    @property
    def writable(self) -> Readiness:
        return self._writable

    def hand_over(self) -> tuple[int, dict[int, str]] | None:
        """For engines of native code, which then write in place of this object and leave it to be closed.

        Returns
        -------
        tuple or None
            A duplicate of the file descriptor, which becomes the caller's, and what to do about errors, by their
            numbers; ``None`` if a packet was written in part, or something failed. Nothing has changed then.
        """
        with self._using():
            if not self._writer.at_rest:
                return None
            return os.dup(self._fd), _HINTS

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            if batch.destination != 0:
                raise ValueError(f"{self.url}: there is no destination {batch.destination}, only 0")
            try:
                return self._writer.send(batch)
            except OSError as error:
                raise self._broken("cannot write", error) from error

    def _release_resources(self) -> None:
        if isinstance(self._writable, FdReadiness):
            self._writable.detach()
        self._writable.wake()
        try:
            os.close(self._fd)
        except OSError as error:  # close(2): some file systems, such as NFS, report only here what went wrong
            raise self._broken("what was written last may be lost", error) from error

    def _broken(self, message: str, error: OSError) -> BrokenTransportError:
        return BrokenTransportError(message, errno=error.errno, url=self.url, hint=_HINTS.get(error.errno or 0))


def _writability(fd: int) -> Readiness:
    try:
        return FdReadiness(fd, write=True)
    except PermissionError:  # epoll_ctl(2): a file that never waits
        always = EventReadiness()
        always.set()
        return always
