"""Receiving in chunks: many heaps in one piece of memory, of which the user's placement says what goes where.

A chunk goes round: the user puts it in the free ring, a stream takes it, fills it, and puts it in the data ring, from
where the user takes it. A stream that finds the free ring empty, or the data ring full, pauses its readers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Self, overload

import attrs

from ..engine import get_engine
from ..engine.chunks import Chunk, ChunkRing, ChunkStreamConfig, ChunkStreamGroupConfig, ChunkWindow
from ..engine.chunks.config import CHUNK_STATS
from ..engine.interface import EndPolicy, Engine, ReaderRunner
from ..engine.recv_config import StreamConfig
from ..engine.selection import receiving_engine
from ..engine.thread_pool import ThreadPool
from ..errors import Empty, Full, Stopped
from ..transport.readiness import poll_readable
from .base import BaseStream

__all__ = [
    "ChunkRingPair",
    "ChunkRingStream",
    "ChunkRingbuffer",
    "ChunkStreamGroupMember",
    "ChunkStreamRingGroup",
]

_log = logging.getLogger("spead_transport")


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


class ChunkRingStream(BaseStream, ChunkRingPair):
    """A stream that puts heaps into chunks.

    Its readers are driven by the threads of `thread_pool`. It is a context manager that stops the stream, whereupon
    the chunks that it holds go to the data ring.

    Beside the statistics of other streams it has ``too_old_heaps`` (they came when their chunk had left),
    ``rejected_heaps`` (the placement wants none of them), and ``misplaced_heaps`` (the placement failed, or put them
    outside their chunk).

    Parameters
    ----------
    thread_pool
        Whose threads drain the readers; if not given, the stream has a thread of its own.
    config
        The stream's settings, of which it takes a copy. Heaps without a length are never accepted.
    chunk_stream_config
        The settings of its chunks, of which it takes a copy.
    data_ringbuffer, free_ringbuffer
        Where filled chunks go, and where free ones come from. Several streams may share a ring; the data ring is
        stopped when all streams that share it have ended.
    engine
        Name of the engine; see :func:`spead_transport.engine.get_engine`.
    end
        Whether the stream ends with the first of its readers that ends (``"any"``), or with the last (``"all"``).

    Raises
    ------
    ValueError
        If there is no placement.
    """

    def __init__(
        self,
        thread_pool: ThreadPool | None,
        config: StreamConfig | None,
        chunk_stream_config: ChunkStreamConfig,
        data_ringbuffer: ChunkRing,
        free_ringbuffer: ChunkRing,
        *,
        engine: str | None = None,
        end: EndPolicy = "any",
    ) -> None:
        ChunkRingPair.__init__(self, data_ringbuffer, free_ringbuffer)
        config, chunk_config = _copies(config, chunk_stream_config)
        chosen = _engine(engine, config, end)
        window = ChunkWindow(chunk_config.max_chunks, data_ringbuffer, free_ringbuffer, lossless=False)
        runner = _chunk_runner(chosen, config, chunk_config, window, thread_pool, end)
        BaseStream.__init__(self, config, runner)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class ChunkStreamGroupMember(BaseStream):
    """A stream of a group; made by :meth:`ChunkStreamRingGroup.emplace_back`."""


class ChunkStreamRingGroup(ChunkRingPair, Sequence[ChunkStreamGroupMember]):
    """Streams that fill the same chunks, each perhaps with the data of one antenna. A sequence of its streams.

    It is a context manager that stops all of them.

    Parameters
    ----------
    config
        The settings of the group, of which it takes a copy.
    data_ringbuffer, free_ringbuffer
        Where filled chunks go, and where free ones come from.
    """

    def __init__(
        self, config: ChunkStreamGroupConfig, data_ringbuffer: ChunkRing, free_ringbuffer: ChunkRing
    ) -> None:
        super().__init__(data_ringbuffer, free_ringbuffer)
        self._config = attrs.evolve(config)
        lossless = config.eviction_mode is ChunkStreamGroupConfig.EvictionMode.LOSSLESS
        self._window = ChunkWindow(config.max_chunks, data_ringbuffer, free_ringbuffer, lossless=lossless)
        self._members: list[ChunkStreamGroupMember] = []
        self._stopped = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._members)} streams>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def config(self) -> ChunkStreamGroupConfig:
        """A copy of the settings of the group."""
        return attrs.evolve(self._config)

    def emplace_back(
        self,
        thread_pool: ThreadPool | None,
        config: StreamConfig | None,
        chunk_stream_config: ChunkStreamConfig,
        *,
        engine: str | None = None,
        end: EndPolicy = "any",
    ) -> ChunkStreamGroupMember:
        """Add a stream. The parameters are those of :class:`ChunkRingStream`.

        Raises
        ------
        RuntimeError
            If the group has received something already, or was stopped.
        ValueError
            If the stream's ``max_chunks`` is larger than the group's, or it has no placement.
        """
        if self._window.began or self._stopped:
            raise RuntimeError("a stream cannot be added to a group that has received something or was stopped")
        config, chunk_config = _copies(config, chunk_stream_config)
        if chunk_config.max_chunks > self._config.max_chunks:
            raise ValueError(
                f"max_chunks={chunk_config.max_chunks} of the stream must not be larger than "
                f"max_chunks={self._config.max_chunks} of the group"
            )
        runner = _chunk_runner(_engine(engine, config, end), config, chunk_config, self._window, thread_pool, end)
        member = ChunkStreamGroupMember(config, runner)
        self._members.append(member)
        return member

    def stop(self) -> None:
        """Stop all streams. The chunks that they hold go to the data ring, which is then stopped. Idempotent."""
        if not self._members and not self._stopped:
            self._window.close()
        self._stopped = True
        for member in self._members:
            member.stop()

    @overload
    def __getitem__(self, index: int) -> ChunkStreamGroupMember: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ChunkStreamGroupMember]: ...
    def __getitem__(self, index: int | slice) -> ChunkStreamGroupMember | Sequence[ChunkStreamGroupMember]:
        """A stream, or several, in the order of adding."""
        return self._members[index]

    def __len__(self) -> int:
        """How many streams there are."""
        return len(self._members)


def _copies(config: StreamConfig | None, chunk_config: ChunkStreamConfig) -> tuple[StreamConfig, ChunkStreamConfig]:
    """The settings as a stream with chunks has them."""
    if not isinstance(chunk_config, ChunkStreamConfig):
        raise TypeError(f"chunk_stream_config must be a ChunkStreamConfig, not {chunk_config!r}")
    chunk_config.placer()  # raises if there is none
    config = StreamConfig() if config is None else config.copy()
    config.allow_unsized_heaps = False
    for name in CHUNK_STATS:
        config.add_stat(name)
    return config, chunk_config.copy()


def _engine(name: str | None, config: StreamConfig, end: EndPolicy) -> Engine:
    if end not in ("any", "all"):
        raise ValueError(f"end must be 'any' or 'all', not {end!r}")
    return receiving_engine(name, config)


def _chunk_runner(
    engine: Engine,
    config: StreamConfig,
    chunk_config: ChunkStreamConfig,
    window: ChunkWindow,
    thread_pool: ThreadPool | None,
    end: EndPolicy,
) -> ReaderRunner:
    pool = ThreadPool() if thread_pool is None else thread_pool
    runner = engine.chunk_runner(config, chunk_config, window, pool, end)
    if runner is None:
        _log.info("the %s engine has no chunks: the python engine receives them", engine.name)
        runner = get_engine("python").chunk_runner(config, chunk_config, window, pool, end)
        assert runner is not None
    return runner


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
