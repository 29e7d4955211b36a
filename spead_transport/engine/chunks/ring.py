"""Chunks on their way between streams and users.

Streams never wait for a ring: one that finds no room, or no chunk, leaves a message, goes to sleep, and is told.
Users wait by polling a file descriptor, which both a blocked thread and an event loop can do.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

import attrs

from ...errors import Empty, Full, Stopped
from ...transport import EventReadiness
from ..stats import RingStatistics
from .chunk import Chunk

__all__ = ["ChunkRingCore", "ChunkRingStatistics", "PythonChunkRing"]


@attrs.frozen(kw_only=True)
class ChunkRingStatistics(RingStatistics):
    """What went through a ring, in chunks."""

    #: How often a stream found no chunk.
    empty: int = 0


class ChunkRingCore(ABC):
    """What is inside a ring: a queue of chunks. Methods may be called from any thread, and none of them waits.

    An engine may have its own (:meth:`Engine.chunk_ring`); streams of other engines use it through this interface.
    """

    @property
    @abstractmethod
    def data_fd(self) -> int:
        """A file descriptor that polls readable when it is worth calling :meth:`get_nowait`."""

    @property
    @abstractmethod
    def space_fd(self) -> int:
        """A file descriptor that polls readable when it is worth calling :meth:`put_nowait`."""

    @abstractmethod
    def __len__(self) -> int:
        """How many chunks are in the ring."""

    @abstractmethod
    def statistics(self) -> ChunkRingStatistics:
        """A snapshot of what was counted."""

    @abstractmethod
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
        """

    @abstractmethod
    def get_nowait(self) -> Chunk:
        """Take the chunk that was put in first.

        Raises
        ------
        Empty
            If there is none now.
        Stopped
            If the ring was stopped and is empty.
        """

    @abstractmethod
    def stop(self) -> bool:
        """Take no more chunks; those that are in the ring can still be taken.

        Returns
        -------
        bool
            Whether this call did it, rather than an earlier one.
        """

    @abstractmethod
    def add_producer(self) -> None:
        """Count somebody more who puts chunks in."""

    @abstractmethod
    def remove_producer(self) -> bool:
        """Count somebody less who puts chunks in, and stop the ring after the last of them.

        Returns
        -------
        bool
            Whether the ring was stopped.
        """

    @abstractmethod
    def offer(self, chunk: Chunk, when_space: Callable[[], None]) -> bool:
        """For streams: put a chunk in if there is room; otherwise `when_space` is called, once, when there may be.

        Raises
        ------
        Stopped
            If the ring was stopped.
        """

    @abstractmethod
    def request(self, when_data: Callable[[], None]) -> Chunk | None:
        """For streams: take a chunk if there is one; otherwise `when_data` is called, once, when there may be.

        Raises
        ------
        Stopped
            If the ring was stopped and is empty.
        """

    @abstractmethod
    def forget(self, callback: Callable[[], None]) -> None:
        """For streams that end: do not call `callback` (this very object) any more."""

    @abstractmethod
    def put_last(self, chunks: list[Chunk]) -> None:
        """For streams that end: put chunks in, even if there is no room for them, unless the ring was stopped."""


class PythonChunkRing(ChunkRingCore):
    """The core of a ring that runs anywhere.

    Parameters
    ----------
    maxsize
        How many chunks fit in.
    """

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
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

    @property
    def data_fd(self) -> int:
        return self._has_data.fileno()

    @property
    def space_fd(self) -> int:
        return self._has_space.fileno()

    def __len__(self) -> int:
        return len(self._chunks)

    def statistics(self) -> ChunkRingStatistics:
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
        chunk.memory()
        with self._lock:
            self._check_stopped()
            if self._is_full():
                raise Full(f"there are {self._maxsize} chunks in the ring already")
            told = self._push(chunk)
        _tell(told)

    def get_nowait(self) -> Chunk:
        with self._lock:
            if not self._chunks:
                self._check_stopped()
                raise Empty("there is no chunk in the ring")
            chunk, told = self._pop()
        _tell(told)
        return chunk

    def stop(self) -> bool:
        with self._lock:
            if self._stopped:
                return False
            told = self._stop()
        _tell(told)
        return True

    def add_producer(self) -> None:
        with self._lock:
            self._producers += 1

    def remove_producer(self) -> bool:
        with self._lock:
            if self._producers == 0:
                return False
            self._producers -= 1
            if self._producers or self._stopped:
                return False
            told = self._stop()
        _tell(told)
        return True

    def offer(self, chunk: Chunk, when_space: Callable[[], None]) -> bool:
        with self._lock:
            self._check_stopped()
            if self._is_full():
                self._full += 1
                self._waiting_for_space.append(when_space)
                return False
            told = self._push(chunk)
        _tell(told)
        return True

    def request(self, when_data: Callable[[], None]) -> Chunk | None:
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
        with self._lock:
            self._waiting_for_space = [other for other in self._waiting_for_space if other is not callback]
            self._waiting_for_data = [other for other in self._waiting_for_data if other is not callback]

    def put_last(self, chunks: list[Chunk]) -> None:
        with self._lock:
            if self._stopped:
                return
            told = [callback for chunk in chunks for callback in self._push(chunk)]
        _tell(told)

    # ----------------------------------------------------------------------------------------- with the lock held

    def _is_full(self) -> bool:
        return len(self._chunks) >= self._maxsize

    def _check_stopped(self) -> None:
        if self._stopped:
            raise Stopped("the ring of chunks was stopped")

    def _push(self, chunk: Chunk) -> list[Callable[[], None]]:
        """Put a chunk in; returns whom to tell."""
        self._chunks.append(chunk)
        self._put_count += 1
        self._peak = max(self._peak, len(self._chunks))
        self._has_data.set()
        if self._is_full():
            self._has_space.clear()
        told, self._waiting_for_data = self._waiting_for_data, []
        return told

    def _pop(self) -> tuple[Chunk, list[Callable[[], None]]]:
        """Take a chunk out; returns whom to tell, too."""
        chunk = self._chunks.popleft()
        self._taken += 1
        if not self._chunks and not self._stopped:
            self._has_data.clear()
        if self._is_full():
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
