"""Every exception that this package defines.

Bad arguments raise :exc:`ValueError` or :exc:`TypeError`. The state of a stream is told by :exc:`Stopped`,
:exc:`Empty` and :exc:`Full`. Everything that the outside world does to a transport is a :exc:`TransportError`,
which is both an :exc:`OSError` (it may carry an ``errno``) and a :exc:`RuntimeError`, so that a program which
expects either family goes on working.
"""

from __future__ import annotations

import errno
import os

__all__ = [
    "BrokenTransportError",
    "BusyError",
    "ClosedError",
    "Empty",
    "EndOfStream",
    "Full",
    "Stopped",
    "TransportError",
    "TransportLookupError",
]


class Stopped(Exception):  # noqa: N818 - the field's name
    """The stream or queue was stopped and holds nothing more."""


class Empty(Exception):  # noqa: N818 - the field's name
    """Nothing is available now, and the call was not to wait."""


class Full(Exception):  # noqa: N818 - the field's name
    """There is no room now, and the call was not to wait."""


class EndOfStream(Exception):  # noqa: N818 - not an error
    """A packet receiver delivered its last packet: the ordinary end, not an error."""


class TransportError(OSError, RuntimeError):
    """The outside world refused what a transport asked.

    Parameters
    ----------
    message
        What was expected and what came.
    errno
        The operating system's error number, if there is one.
    url
        The transport in question, as a URL without secrets.
    hint
        What to do about it.
    """

    def __init__(
        self, message: str, *, errno: int | None = None, url: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(errno, message)
        self.errno = errno
        self.message = message
        self.url = url
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.url}: {self.message}" if self.url else self.message
        if self.errno is not None:
            text += f" [errno {self.errno}: {os.strerror(self.errno)}]"
        if self.hint:
            text += f"\nhint: {self.hint}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        state = {"errno": self.errno, "url": self.url, "hint": self.hint}
        return (_rebuild, (type(self), self.message, state))


def _rebuild(cls: type[TransportError], message: str, state: dict[str, int | str | None]) -> TransportError:
    return cls(message, **state)  # type: ignore[arg-type]


class ClosedError(TransportError):
    """The endpoint was closed on this side, before or during the call."""


class BrokenTransportError(TransportError):
    """The endpoint stopped working for an outside cause; it can only be closed."""


class BusyError(TransportError):
    """Two callers used one direction of an endpoint at the same time."""


class TransportLookupError(TransportError, ValueError):
    """No usable transport for a scheme: unknown, provided twice, broken, or made for another version.

    A :exc:`ValueError` because the scheme is an argument, most often mistyped; a :exc:`TransportError` because the
    cure may be to install or upgrade something. Who chooses a transport by configuration need not tell them apart.
    """


def no_ibverbs(instead: str) -> TransportError:
    """The error for whoever asks for ibverbs; `instead` names what there is."""
    return TransportError(
        "this package does not send or receive with ibverbs",
        errno=errno.EOPNOTSUPP,
        hint=f"use {instead}, which lets the kernel handle many packets at once (GSO and GRO)",
    )
