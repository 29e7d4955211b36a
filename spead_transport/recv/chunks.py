"""Receiving in chunks: many heaps in one piece of memory, of which the user's placement says what goes where.

A chunk goes round: the user puts it in the free ring, a stream takes it, fills it, and puts it in the data ring, from
where the user takes it. A stream that finds the free ring empty, or the data ring full, pauses its readers.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Self, overload

import attrs

from ..engine import get_engine
from ..engine.chunks import ChunkStreamConfig, ChunkStreamGroupConfig
from ..engine.chunks.config import CHUNK_STATS
from ..engine.interface import ChunkWindow, EndPolicy, Engine, ReaderRunner
from ..engine.recv_config import StreamConfig
from ..engine.selection import receiving_engine
from ..engine.thread_pool import ThreadPool
from .base import BaseStream
from .chunk_rings import ChunkRing, ChunkRingPair

__all__ = ["ChunkRingStream", "ChunkStreamGroupMember", "ChunkStreamRingGroup"]

_log = logging.getLogger("spead_transport")


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
        window = _window(chosen, chunk_config.max_chunks, self, lossless=False)
        BaseStream.__init__(self, config, _runner(window, config, chunk_config, thread_pool, end))

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
        #: Made with the first stream, whose engine is that of all of them.
        self._window: ChunkWindow | None = None
        self._engine_name = ""
        data_ringbuffer.add_producer()
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
            If the stream's ``max_chunks`` is larger than the group's, it has no placement, or another engine was
            chosen for it than for those before.
        """
        if (self._window is not None and self._window.began) or self._stopped:
            raise RuntimeError("a stream cannot be added to a group that has received something or was stopped")
        config, chunk_config = _copies(config, chunk_stream_config)
        if chunk_config.max_chunks > self._config.max_chunks:
            raise ValueError(
                f"max_chunks={chunk_config.max_chunks} of the stream must not be larger than "
                f"max_chunks={self._config.max_chunks} of the group"
            )
        window = self._window_of(_engine(engine, config, end))
        member = ChunkStreamGroupMember(config, _runner(window, config, chunk_config, thread_pool, end))
        self._members.append(member)
        return member

    def _window_of(self, engine: Engine) -> ChunkWindow:
        if self._window is None:
            lossless = self._config.eviction_mode is ChunkStreamGroupConfig.EvictionMode.LOSSLESS
            self._window = _window(engine, self._config.max_chunks, self, lossless=lossless)
            self._engine_name = engine.name
            self.data_ringbuffer.remove_producer()  # the window is one
        elif engine.name != self._engine_name:
            raise ValueError(
                f"the {engine.name} engine cannot receive: streams of a group share their chunks and must have the "
                f"same engine, and the first has the {self._engine_name} engine"
            )
        return self._window

    def stop(self) -> None:
        """Stop all streams. The chunks that they hold go to the data ring, which is then stopped. Idempotent."""
        if not self._members and not self._stopped:
            if self._window is None:
                self.data_ringbuffer.remove_producer()
            else:
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


def _window(engine: Engine, max_chunks: int, rings: ChunkRingPair, *, lossless: bool) -> ChunkWindow:
    data_ring, free_ring = rings.data_ringbuffer.core, rings.free_ringbuffer.core
    window = engine.chunk_window(max_chunks, data_ring, free_ring, lossless=lossless)
    if window is None:
        _log.info("the %s engine has no chunks for these rings: the python engine receives them", engine.name)
        window = get_engine("python").chunk_window(max_chunks, data_ring, free_ring, lossless=lossless)
        assert window is not None
    return window


def _runner(
    window: ChunkWindow,
    config: StreamConfig,
    chunk_config: ChunkStreamConfig,
    thread_pool: ThreadPool | None,
    end: EndPolicy,
) -> ReaderRunner:
    return window.runner(config, chunk_config, ThreadPool() if thread_pool is None else thread_pool, end)
