"""Chunks on their way between streams and users.

Streams never wait for a ring: one that finds no room, or no chunk, leaves a message, goes to sleep, and is told.
Users wait by polling a file descriptor, which both a blocked thread and an event loop can do.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import attrs

from ...errors import Empty, Full, Stopped
from ...transport import EventReadiness
from ..validators import positive_int
from .chunk import Chunk

__all__ = ["ChunkRing", "ChunkRingStatistics"]


@attrs.frozen(kw_only=True)
class ChunkRingStatistics:
    """What went through a ring, in chunks."""

    put: int = 0
    taken: int = 0
    waiting: int = 0
    #: The most that ever waited.
    peak: int = 0
    #: How often a stream found no room.
    full: int = 0
    #: How often a stream found no chunk.
    empty: int = 0


class ChunkRing:
    """What synchronous and asynchronous rings share. Methods may be called from any thread.

    Parameters
    ----------
    maxsize
        How many chunks fit in. (A stream that ends puts in what it has, even if that is more.)

    Raises
    ------
    ValueError
        If `maxsize` is 0.
    TypeError
        If it is negative or no integer.
    """

    def __init__(self, maxsize: int) -> None:
        self._maxsize = positive_int(maxsize, "maxsize")
        self._lock = threading.Lock()
        self._chunks: deque[Chunk] = deque()
        self._has_data = EventReadiness()
        self._has_space = EventReadiness()
        self._has_space.set()
        self._waiting_for_space: list[Callable[[], None]] = []
        self._waiting_for_data: list[Callable[[], None]] = []
        self._producers = 0
        self._stopped = False
        self._put_count = self._taken = self._peak = self._full = self._empty = 0

    def __repr__(self) -> str:
        state = ", stopped" if self._stopped else ""
        return f"<{type(self).__name__}: {len(self._chunks)} of {self._maxsize} chunks{state}>"

    @property
    def maxsize(self) -> int:
        """How many chunks fit in."""
        return self._maxsize

    @property
    def data_fd(self) -> int:
        """A file descriptor that polls readable when it is worth calling :meth:`get_nowait`."""
        return self._has_data.fileno()

    @property
    def space_fd(self) -> int:
        """A file descriptor that polls readable when it is worth calling :meth:`put_nowait`."""
        return self._has_space.fileno()

    def qsize(self) -> int:
        """How many chunks are in the ring."""
        return len(self._chunks)

    def empty(self) -> bool:
        """Whether there is no chunk in the ring."""
        return not self._chunks

    def full(self) -> bool:
        """Whether there is no room in the ring."""
        return len(self._chunks) >= self._maxsize

    def statistics(self) -> ChunkRingStatistics:
        """A snapshot of what was counted."""
        with self._lock:
            return ChunkRingStatistics(
                put=self._put_count,
                taken=self._taken,
                waiting=len(self._chunks),
                peak=self._peak,
                full=self._full,
                empty=self._empty,
            )

    def put_nowait(self, chunk: Chunk) -> None:
        """Put a chunk in.

        Raises
        ------
        Full
            If there is no room.
        Stopped
            If the ring was stopped.
        ValueError
            If the chunk has no ``data`` or no ``present``.
        TypeError
            If it is no chunk.
        """
        if not isinstance(chunk, Chunk):
            raise TypeError(f"expected a Chunk, not {type(chunk).__name__}")
        chunk.memory()
        with self._lock:
            self._check_stopped()
            if self.full():
                raise Full(f"{self!r} is full")
            told = self._push(chunk)
        _tell(told)

    def get_nowait(self) -> Chunk:
        """Take the chunk that was put in first.

        Raises
        ------
        Empty
            If there is none now.
        Stopped
            If the ring was stopped and is empty.
        """
        with self._lock:
            if not self._chunks:
                self._check_stopped()
                raise Empty(f"{self!r} is empty")
            chunk, told = self._pop()
        _tell(told)
        return chunk

    def stop(self) -> bool:
        """Take no more chunks; those that are in the ring can still be taken.

        Returns
        -------
        bool
            Whether this call did it, rather than an earlier one.
        """
        with self._lock:
            if self._stopped:
                return False
            told = self._stop()
        _tell(told)
        return True

    def add_producer(self) -> None:
        """Count somebody more who puts chunks in. Streams do so with their data rings."""
        with self._lock:
            self._producers += 1

    def remove_producer(self) -> bool:
        """Count somebody less who puts chunks in, and stop the ring after the last of them.

        Returns
        -------
        bool
            Whether the ring was stopped.
        """
        with self._lock:
            if self._producers == 0:
                return False
            self._producers -= 1
            if self._producers or self._stopped:
                return False
            told = self._stop()
        _tell(told)
        return True

    # ------------------------------------------------------------------------------------------------ for streams

    def offer(self, chunk: Chunk, when_space: Callable[[], None]) -> bool:
        """For streams: put a chunk in if there is room; otherwise `when_space` is called, once, when there may be.

        Raises
        ------
        Stopped
            If the ring was stopped.
        """
        with self._lock:
            self._check_stopped()
            if self.full():
                self._full += 1
                self._waiting_for_space.append(when_space)
                return False
            told = self._push(chunk)
        _tell(told)
        return True

    def request(self, when_data: Callable[[], None]) -> Chunk | None:
        """For streams: take a chunk if there is one; otherwise `when_data` is called, once, when there may be.

        Raises
        ------
        Stopped
            If the ring was stopped and is empty.
        """
        with self._lock:
            if not self._chunks:
                self._check_stopped()
                self._empty += 1
                self._waiting_for_data.append(when_data)
                return None
            chunk, told = self._pop()
        _tell(told)
        return chunk

    def forget(self, callback: Callable[[], None]) -> None:
        """For streams that end: do not call `callback` any more."""
        with self._lock:
            self._waiting_for_space = [other for other in self._waiting_for_space if other != callback]
            self._waiting_for_data = [other for other in self._waiting_for_data if other != callback]

    def put_last(self, chunks: list[Chunk]) -> int:
        """For streams that end: put chunks in, even if there is no room for them. Returns how many were put in: none
        if the ring was stopped."""
        with self._lock:
            if self._stopped:
                return 0
            told = [callback for chunk in chunks for callback in self._push(chunk)]
        _tell(told)
        return len(chunks)

    # ----------------------------------------------------------------------------------------- with the lock held

    def _check_stopped(self) -> None:
        if self._stopped:
            raise Stopped("the ring of chunks was stopped")

    def _push(self, chunk: Chunk) -> list[Callable[[], None]]:
        """Put a chunk in; returns whom to tell."""
        self._chunks.append(chunk)
        self._put_count += 1
        self._peak = max(self._peak, len(self._chunks))
        self._has_data.set()
        if self.full():
            self._has_space.clear()
        told, self._waiting_for_data = self._waiting_for_data, []
        return told

    def _pop(self) -> tuple[Chunk, list[Callable[[], None]]]:
        """Take a chunk out; returns whom to tell, too."""
        chunk = self._chunks.popleft()
        self._taken += 1
        if not self._chunks and not self._stopped:
            self._has_data.clear()
        if self.full():
            return chunk, []
        self._has_space.set()
        told, self._waiting_for_space = self._waiting_for_space, []
        return chunk, told

    def _stop(self) -> list[Callable[[], None]]:
        self._stopped = True
        self._has_data.set()
        self._has_space.set()
        told = self._waiting_for_space + self._waiting_for_data
        self._waiting_for_space, self._waiting_for_data = [], []
        return told


def _tell(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        callback()
