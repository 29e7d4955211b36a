"""What a test leaves behind: threads that still run, file descriptors that are still open, queues that are not empty.

Sockets and open endpoints of every kind are file descriptors, those in memory too.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from ..transport import Transport

__all__ = ["Resources"]

_DESCRIPTORS: Final = Path("/proc/self/fd")
_PAUSE: Final = 0.05  #: seconds to wait for a thread before looking again


@attrs.frozen
class Resources:
    """The threads, file descriptors and named queues of this process at one moment."""

    threads: frozenset[threading.Thread]
    #: What each descriptor is, by number: a number can be closed and used again for something else.
    descriptors: dict[int, str]
    #: What transports keep apart from their endpoints, by URL: see :meth:`Transport.leftovers`.
    leftovers: dict[str, str]

    @classmethod
    def now(cls) -> Resources:
        """Those that there are."""
        return cls(_threads(), _open_descriptors(), _leftovers())

    def leaked_since(self, grace: float = 5.0) -> list[str]:
        """Describes what exists now and did not then.

        Threads are given `grace` seconds: ending takes them a moment, in which they may hold on to what they worked
        on; and so may those of native code, which are not in sight. What belongs to objects that are only kept alive
        by a reference cycle is no leak: they are collected.

        Returns
        -------
        list of str
            A line for each; empty if nothing was left behind.
        """
        deadline = time.monotonic() + grace
        while (leaks := self._leaks()) and time.monotonic() < deadline:
            gc.collect()
            threads = self._new_threads()
            for thread in threads:
                thread.join(_PAUSE)
            if not threads and self._leaks():
                time.sleep(_PAUSE)
        return leaks

    def _leaks(self) -> list[str]:
        return [
            *(f"thread {thread.name!r} still runs" for thread in self._new_threads()),
            *(f"file descriptor {number} is still open: {what}" for number, what in self._new_descriptors().items()),
            *(f"{url} is still there: {what}" for url, what in _leftovers().items() if url not in self.leftovers),
        ]

    def _new_threads(self) -> frozenset[threading.Thread]:
        return _threads() - self.threads - {threading.current_thread()}

    def _new_descriptors(self) -> dict[int, str]:
        """Those that were not open then, or were something else."""
        return {number: what for number, what in _open_descriptors().items() if self.descriptors.get(number) != what}


def _threads() -> frozenset[threading.Thread]:
    """The threads that Python started; those that a library started itself show up as dummies."""
    return frozenset(t for t in threading.enumerate() if not isinstance(t, threading._DummyThread))


def _open_descriptors() -> dict[int, str]:
    """All but files that came with a package: libraries keep fonts and the like open on purpose."""
    descriptors: dict[int, str] = {}
    for entry in _DESCRIPTORS.iterdir():
        try:
            what = os.readlink(entry)
        except FileNotFoundError:
            continue  # the descriptor with which the directory itself was being read
        if not what.startswith(sys.prefix):
            descriptors[int(entry.name)] = what
    return descriptors


def _leftovers() -> dict[str, str]:
    """Of transports whose code was loaded; no other can have any."""
    transports = _with_subclasses(Transport.__subclasses__())
    return {url: what for transport in transports for url, what in transport.leftovers().items()}


def _with_subclasses(classes: Iterable[type[Transport[Any]]]) -> Iterator[type[Transport[Any]]]:
    for transport in classes:
        yield transport
        yield from _with_subclasses(transport.__subclasses__())
