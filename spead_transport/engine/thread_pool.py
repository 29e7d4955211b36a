"""Threads that drive streams in the background."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from .validators import positive_int, unsigned

__all__ = ["ThreadPool", "Workers", "parse_range_list", "pin_thread"]

_log = logging.getLogger("spead_transport")


class Workers(Protocol):
    """An engine's threads."""

    def stop(self) -> None:
        """End the threads and wait for them."""


W = TypeVar("W", bound=Workers)


class ThreadPool:
    """Threads that streams share. They start when the first stream needs one.

    A stream never keeps a thread from serving another one: one that waits for its user is set aside.

    Parameters
    ----------
    threads
        How many threads, at least 1.
    affinity
        Processor cores to bind the threads to, in turn; none binds nothing.

    Raises
    ------
    ValueError
        If `threads` is 0.
    TypeError
        If a number is negative or no integer.
    """

    def __init__(self, threads: int = 1, affinity: Iterable[int] = ()) -> None:
        self._threads = positive_int(threads, "threads")
        self._affinity = [unsigned(core, "affinity") for core in affinity]
        self._lock = threading.Lock()
        self._workers: dict[str, Workers] = {}
        self._stopped = False

    def __enter__(self) -> ThreadPool:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        cores = f", {self._affinity}" if self._affinity else ""
        return f"ThreadPool({self._threads}{cores})"

    def workers(self, engine: str, make: Callable[[int, list[int]], W], kind: type[W]) -> W:
        """For engines: this pool's threads of the engine named `engine`, made at the first call.

        Raises
        ------
        RuntimeError
            If the pool was stopped.
        """
        with self._lock:
            if self._stopped:
                raise RuntimeError("the thread pool was stopped")
            workers = self._workers.get(engine)
            if workers is None:
                workers = self._workers[engine] = make(self._threads, self._affinity)
                # Runs when the pool is garbage or the interpreter exits, whichever comes first.
                weakref.finalize(self, workers.stop)
        assert isinstance(workers, kind)
        return workers

    def stop(self) -> None:
        """End the threads. Streams of this pool are no longer driven in the background. Idempotent."""
        with self._lock:
            self._stopped = True
            workers = list(self._workers.values())
        for group in workers:
            group.stop()

    @staticmethod
    def set_affinity(core: int) -> None:
        """Bind the calling thread to a processor core; a core that does not exist only gives a warning.

        Raises
        ------
        TypeError
            If `core` is negative or no integer.
        """
        pin_thread(unsigned(core, "core"))


def pin_thread(core: int) -> None:
    """Bind the calling thread to a processor core, or log why that is not possible."""
    try:
        os.sched_setaffinity(0, {core})
    except (OSError, OverflowError) as error:
        _log.warning("cannot bind the thread to core %d: %s", core, error)


def parse_range_list(ranges: str) -> list[int]:
    """Numbers such as processor cores, written as ``"1,3-5"``; an empty text is an empty list.

    Raises
    ------
    ValueError
        If a part is neither a number nor a range of numbers.
    """
    if not ranges:
        return []
    numbers: list[int] = []
    for part in ranges.split(","):
        first, dash, last = part.partition("-")
        try:
            numbers.extend(range(int(first), int(last if dash else first) + 1))
        except ValueError:
            raise ValueError(f"expected a number or a range such as 3-5, not {part!r} (in {ranges!r})") from None
    return numbers
