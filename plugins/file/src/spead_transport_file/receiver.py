"""Reads packets from files and pipes."""

from __future__ import annotations

import os
import select
import stat

import attrs

from spead_transport.errors import BrokenTransportError, EndOfStream
from spead_transport.transport import FdSetReadiness, PacketBatch, PacketFramer, PacketReceiver

from .config import FileConfig, Follow
from .sender import CAPABILITIES
from .watching import FileWatch

__all__ = ["FileReceiver"]


class FileReceiver(PacketReceiver):
    """An open file, read in large pieces.

    It is read, not mapped into memory: if a mapped file were truncated meanwhile, the program would crash.

    Parameters
    ----------
    fd
        The file, which becomes this object's; reading from it must not wait.
    url
        What the receiver calls itself.
    follow
        What happens at the end of a regular file; see :class:`FileConfig`.
    max_packet_size
        A larger packet is counted as truncated and skipped, in bytes.

    Raises
    ------
    OSError
        If the system can watch no more files.
    """

    def __init__(
        self, fd: int, url: str, *, follow: Follow = "no", max_packet_size: int = FileConfig().max_packet_size
    ) -> None:
        self._fd = fd
        self._framer = PacketFramer(max_packet_size)
        self._max_packet_size = max_packet_size
        self._begun = False
        self._readable = FdSetReadiness()
        mode = os.fstat(fd).st_mode
        self._is_pipe = stat.S_ISFIFO(mode)
        self._watch: FileWatch | None = None
        self._until_closed = follow == "until-closed"
        self._writer_closed = False
        self._over = False
        try:
            self._readable.add(fd)
            self._waits = True
        except PermissionError:  # epoll_ctl(2): a file that never waits
            self._waits = False
            self._readable.set()
        if follow != "no" and stat.S_ISREG(mode):
            self._watch = FileWatch(fd)
            self._readable.add(self._watch.fileno())
        super().__init__(url, attrs.evolve(CAPABILITIES, signals_end=follow != "yes"))

    @property
    def readable(self) -> FdSetReadiness:
        return self._readable

    @property
    def max_packet_size(self) -> int:
        """What claims to be a larger packet is skipped, in bytes."""
        return self._max_packet_size

    def hand_over(self) -> int | None:
        """For engines of native code, which then read in place of this object and leave it to be closed.

        Returns
        -------
        int or None
            A duplicate of the file descriptor, which becomes the caller's; ``None`` if something was read already, or
            the file is followed. Nothing has changed then.
        """
        with self._using():
            return None if self._begun or self._watch is not None else os.dup(self._fd)

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            self._begun = True
            if self._over:
                raise EndOfStream
            # Before reading: then whatever is written after it was read is reported anew.
            if self._watch is not None and self._watch.acknowledge():
                self._writer_closed = True
            while count := self._read():
                if self._watch is not None:
                    self._readable.set()
                batch = self._framer.packets(count)
                if len(batch):
                    return batch
            if count is None or not self._at_end():
                return PacketBatch.of([])
            self._over = True
            self._readable.set()
            rest = self._framer.rest()
            if len(rest):
                return rest
            raise EndOfStream

    def _read(self) -> int | None:
        """Read some more; how many bytes there were, ``None`` if more may come later."""
        try:
            return os.readv(self._fd, [self._framer.room()])
        except BlockingIOError:
            return None
        except OSError as error:
            raise BrokenTransportError("cannot read", errno=error.errno, url=self.url) from error

    def _at_end(self) -> bool:
        """Whether nothing will follow, now that everything was read that is there."""
        if self._is_pipe:
            return self._hung_up()
        if self._watch is None or (self._until_closed and self._writer_closed):
            return True
        self._check_size()
        self._readable.clear()
        return False

    def _hung_up(self) -> bool:
        """Whether the writers of a pipe are gone; reading cannot tell that from there having been none yet."""
        poller = select.poll()
        poller.register(self._fd, 0)  # POLLHUP is reported anyway (poll(2))
        return bool(poller.poll(0))

    def _check_size(self) -> None:
        position, size = os.lseek(self._fd, 0, os.SEEK_CUR), os.fstat(self._fd).st_size
        if size < position:
            raise BrokenTransportError(
                f"the file was cut to {size} bytes after {position} bytes of it had been read",
                url=self.url,
                hint="a file that is followed may only grow; write another recording to another file",
            )

    def _release_resources(self) -> None:
        if self._waits:
            self._readable.remove(self._fd)
        if self._watch is not None:
            self._readable.remove(self._watch.fileno())
            self._watch.close()
        self._readable.wake()
        os.close(self._fd)
