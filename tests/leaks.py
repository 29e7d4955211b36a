"""What a test leaves behind: threads that still run, and file descriptors that are still open."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

import attrs

__all__ = ["Resources"]

_DESCRIPTORS: Final = Path("/proc/self/fd")
_PAUSE: Final = 0.05  #: seconds to wait for a thread before looking again


@attrs.frozen
class Resources:
    """The threads and file descriptors of this process at one moment."""

    threads: frozenset[threading.Thread]
    #: What each descriptor is, by number: a number can be closed and used again for something else.
    descriptors: dict[int, str]

    @classmethod
    def now(cls) -> Resources:
        return cls(_threads(), _open_descriptors())

    def leaked_since(self, grace: float = 5.0) -> list[str]:
        """Describes what exists now and did not then.

        Threads are given `grace` seconds: ending takes them a moment, in which they may hold on to what they worked
        on; and so may those of native code, which are not in sight. What belongs to objects that are only kept alive
        by a reference cycle is no leak: they are collected.
        """
        deadline = time.monotonic() + grace
        while (self._new_threads() or self._new_descriptors()) and time.monotonic() < deadline:
            gc.collect()
            for thread in self._new_threads():
                thread.join(_PAUSE)
            if not self._new_threads() and self._new_descriptors():
                time.sleep(_PAUSE)
        return [
            *(f"thread {thread.name!r} still runs" for thread in self._new_threads()),
            *(f"file descriptor {number} is still open: {what}" for number, what in self._new_descriptors().items()),
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
