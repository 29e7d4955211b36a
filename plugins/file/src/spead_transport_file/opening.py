"""Opening files of all kinds in such a way that no call waits for them."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from spead_transport.errors import TransportError

from .config import STANDARD_STREAM, FileConfig, Mode

__all__ = ["open_for_reading", "open_for_writing"]

#: What every file is opened with. Regular files never wait; a terminal or serial line must not become the program's.
_ALWAYS: Final = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MODES: Final[dict[Mode, int]] = {
    "create": os.O_CREAT | os.O_TRUNC,
    "append": os.O_CREAT | os.O_APPEND,
    "new": os.O_CREAT | os.O_EXCL,
}
#: How long to wait before looking again for a named pipe's reader, in seconds: the system does not report it.
_LOOK_AGAIN: Final = 0.01
_PERMISSIONS: Final = 0o666

_STDIN: Final = 0
_STDOUT: Final = 1

_READING_HINTS: Final = {
    errno.ENOENT: "create it first: open the sender before the receiver, or make a named pipe (mkfifo)",
}
_WRITING_HINTS: Final = {
    errno.ENOENT: "the folder has to exist",
    errno.EEXIST: "with mode=create the file would be replaced, with mode=append continued",
    errno.ENXIO: "nobody reads the named pipe; open its receiver, or raise open_timeout",
    errno.ENOSPC: "the disk is full",
}


def open_for_reading(config: FileConfig, url: str) -> int:
    """A file descriptor to read from.

    Raises
    ------
    TransportError
        If the system refuses.
    """
    with _refusal("cannot read", _READING_HINTS, url):
        if config.path == STANDARD_STREAM:
            fd = _duplicate(_STDIN, os.O_RDONLY)
        else:
            fd = os.open(config.path, os.O_RDONLY | _ALWAYS)
    with _closing_on_error(fd), _refusal("cannot read", _READING_HINTS, url):
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if stat.S_ISFIFO(mode) and config.follow == "yes":
            # A pipe ends when nobody has it open for writing (pipe(7)); this one has, from now on.
            endless = _reopen(fd, os.O_RDWR)
            os.close(fd)
            fd = endless
    return fd


def open_for_writing(config: FileConfig, url: str) -> int:
    """A file descriptor to write to. Waits for somebody to read, if it is a named pipe.

    Raises
    ------
    TransportError
        If the system refuses, or nobody reads in time.
    """
    with _refusal("cannot write", _WRITING_HINTS, url):
        if config.path == STANDARD_STREAM:
            return _standard_output(url)
        deadline = time.monotonic() + config.open_timeout
        while True:
            try:
                return os.open(config.path, os.O_WRONLY | _ALWAYS | _MODES[config.mode], _PERMISSIONS)
            except OSError as error:
                if error.errno != errno.ENXIO or time.monotonic() >= deadline:
                    raise
            time.sleep(_LOOK_AGAIN)


def _standard_output(url: str) -> int:
    if os.isatty(_STDOUT):
        raise TransportError(
            "standard output is a terminal, which packets would confuse",
            url=url,
            hint="redirect it to a file or a pipe",
        )
    return _duplicate(_STDOUT, os.O_WRONLY)


def _duplicate(fd: int, access: int) -> int:
    """A descriptor of our own for a stream that the program was given.

    Whether calls wait is a property of the open file, which the program shares with those who gave it: so a pipe is
    opened anew. A regular file never waits, and its position is shared on purpose.
    """
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.dup(fd)
    try:
        return _reopen(fd, access)
    except OSError:  # a socket, or somebody else's terminal
        own = os.dup(fd)
        os.set_blocking(own, False)
        return own


def _reopen(fd: int, access: int) -> int:
    return os.open(f"/proc/self/fd/{fd}", access | _ALWAYS)


@contextmanager
def _closing_on_error(fd: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(fd)
        raise


@contextmanager
def _refusal(message: str, hints: Mapping[int, str], url: str) -> Iterator[None]:
    """What the system refuses in the block becomes a :exc:`TransportError`."""
    try:
        yield
    except TransportError:
        raise
    except OSError as error:
        number = error.errno
        hint = hints.get(number) if number else None
        raise TransportError(message, errno=number, url=url, hint=hint) from error
