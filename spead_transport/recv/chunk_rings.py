"""Rings of chunks, as users see them.

Users wait by polling a file descriptor, which both a blocked thread and an event loop can do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..engine import get_engine
from ..engine.chunks import Chunk, ChunkRingCore, ChunkRingStatistics
from ..engine.validators import positive_int
from ..errors import Empty, Full, Stopped
from ..transport.readiness import poll_readable

__all__ = ["ChunkRing", "ChunkRingPair", "ChunkRingbuffer"]


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
        self._core = get_engine().chunk_ring(self._maxsize)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.qsize()} of {self._maxsize} chunks>"

    @property
    def core(self) -> ChunkRingCore:
        """For engines: what is inside."""
        return self._core

    @property
    def maxsize(self) -> int:
        """How many chunks fit in."""
        return self._maxsize

    @property
    def data_fd(self) -> int:
        """A file descriptor that polls readable when it is worth calling :meth:`get_nowait`."""
        return self._core.data_fd

    @property
    def space_fd(self) -> int:
        """A file descriptor that polls readable when it is worth calling :meth:`put_nowait`."""
        return self._core.space_fd

    def qsize(self) -> int:
        """How many chunks are in the ring."""
        return len(self._core)

    def empty(self) -> bool:
        """Whether there is no chunk in the ring."""
        return not len(self._core)

    def full(self) -> bool:
        """Whether there is no room in the ring."""
        return len(self._core) >= self._maxsize

    def statistics(self) -> ChunkRingStatistics:
        """A snapshot of what was counted."""
        return self._core.statistics()

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
        self._core.put_nowait(chunk)

    def get_nowait(self) -> Chunk:
        """Take the chunk that was put in first.

        Raises
        ------
        Empty
            If there is none now.
        Stopped
            If the ring was stopped and is empty.
        """
        return self._core.get_nowait()

    def stop(self) -> bool:
        """Take no more chunks; those that are in the ring can still be taken.

        Returns
        -------
        bool
            Whether this call did it, rather than an earlier one.
        """
        return self._core.stop()

    def add_producer(self) -> None:
        """Count somebody more who puts chunks in. Streams do so with their data rings."""
        self._core.add_producer()

    def remove_producer(self) -> bool:
        """Count somebody less who puts chunks in, and stop the ring after the last of them.

        Returns
        -------
        bool
            Whether the ring was stopped.
        """
        return self._core.remove_producer()


class ChunkRingbuffer(ChunkRing):
    """A ring of chunks, whose methods may wait. Iterating over it gives chunks until it is stopped and empty."""

    def get(self, timeout: float | None = None) -> Chunk:
        """Take the chunk that was put in first; wait for it if there is none.

        Parameters
        ----------
        timeout
            The longest wait, in seconds; ``None`` waits for ever.

        Raises
        ------
        Empty
            If the time ran out.
        Stopped
            If the ring was stopped and is empty.
        """
        deadline = _deadline(timeout)
        while True:
            try:
                return self.get_nowait()
            except Empty:
                if not poll_readable(self.data_fd, _left(deadline)):
                    raise Empty(f"no chunk came within {timeout} seconds") from None

    def put(self, chunk: Chunk, timeout: float | None = None) -> None:
        """Put a chunk in; wait for room if there is none.

        Parameters
        ----------
        chunk
            The chunk.
        timeout
            The longest wait, in seconds; ``None`` waits for ever.

        Raises
        ------
        Full
            If the time ran out.
        Stopped
            If the ring was stopped.
        ValueError
            If the chunk has no ``data`` or no ``present``.
        TypeError
            If it is no chunk.
        """
        deadline = _deadline(timeout)
        while True:
            try:
                return self.put_nowait(chunk)
            except Full:
                if not poll_readable(self.space_fd, _left(deadline)):
                    raise Full(f"there was no room for a chunk within {timeout} seconds") from None

    def __iter__(self) -> Iterator[Chunk]:
        """The chunks until the ring is stopped and empty."""
        return self

    def __next__(self) -> Chunk:
        try:
            return self.get()
        except Stopped:
            raise StopIteration from None


class ChunkRingPair:
    """The rings between a stream, or a group of them, and its user."""

    def __init__(self, data_ringbuffer: ChunkRing, free_ringbuffer: ChunkRing) -> None:
        for name, ring in (("data_ringbuffer", data_ringbuffer), ("free_ringbuffer", free_ringbuffer)):
            if not isinstance(ring, ChunkRing):
                raise TypeError(f"{name} must be a ChunkRingbuffer, not {ring!r}")
        self._data_ringbuffer = data_ringbuffer
        self._free_ringbuffer = free_ringbuffer

    @property
    def data_ringbuffer(self) -> ChunkRing:
        """Where filled chunks come from."""
        return self._data_ringbuffer

    @property
    def free_ringbuffer(self) -> ChunkRing:
        """Where free chunks go."""
        return self._free_ringbuffer

    def add_free_chunk(self, chunk: Chunk) -> None:
        """Give a chunk to be filled: a new one, or one that was taken from the data ring and is done with.

        Raises
        ------
        Full
            If there is no room in the free ring.
        Stopped
            If the free ring was stopped.
        ValueError
            If the chunk has no ``data`` or no ``present``.
        """
        self._free_ringbuffer.put_nowait(chunk)


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
