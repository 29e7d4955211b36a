"""Learning that a file was written to, from the system (inotify(7)) instead of looking again and again."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

__all__ = ["FileWatch"]

_IN_MODIFY: Final = 0x2
_IN_CLOSE_WRITE: Final = 0x8
#: ``struct inotify_event``: watch, what happened, cookie, length of the name that follows (none, for a single file).
_EVENT: Final = struct.Struct("@iIII")
_READ_BYTES: Final = 4096


class FileWatch:
    """Watches a file that is open. Writing to it on another machine (over NFS, say) goes unnoticed.

    Parameters
    ----------
    fd
        A descriptor of the file.

    Raises
    ------
    OSError
        If the system can watch no more files.
    """

    def __init__(self, fd: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = _checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            path = f"/proc/self/fd/{fd}".encode()
            _checked(libc.inotify_add_watch(self._fd, path, _IN_MODIFY | _IN_CLOSE_WRITE))
        except BaseException:
            os.close(self._fd)
            raise

    def fileno(self) -> int:
        """Polls readable when something happened since :meth:`acknowledge`."""
        return self._fd

    def acknowledge(self) -> bool:
        """Take note of what happened; whether somebody who could write to the file has closed it."""
        closed = False
        while True:
            try:
                events = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return closed
            position = 0
            while position < len(events):
                _, mask, _, name_length = _EVENT.unpack_from(events, position)
                closed |= bool(mask & _IN_CLOSE_WRITE)
                position += _EVENT.size + name_length

    def close(self) -> None:
        os.close(self._fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
