"""Receiving with asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Self

from ..engine.chunks import Chunk
from ..engine.interface import EndPolicy, ReceivedHeap
from ..engine.recv_config import RingStreamConfig, StreamConfig
from ..engine.thread_pool import ThreadPool
from ..errors import Empty, Full, Stopped
from .base import ReceiverTarget
from .chunk_rings import ChunkRing
from .stream import RingStream, specify

__all__ = ["ChunkRingbuffer", "Stream", "open_receiver"]


class Stream(RingStream):
    """A stream of heaps: iterate over it with ``async for``, or await :meth:`get`.

    It is used in one event loop at a time, and is an asynchronous context manager that stops the stream. A plain
    ``for`` works too, where blocking the loop does not matter: for heaps that have arrived.
    """

    def __init__(
        self,
        thread_pool: ThreadPool | None = None,
        config: StreamConfig | None = None,
        ring_config: RingStreamConfig | None = None,
        *,
        engine: str | None = None,
        end: EndPolicy = "any",
    ) -> None:
        super().__init__(thread_pool, config, ring_config, engine=engine, end=end)
        # Its waiters are served in the order of their arrival, and a waiter that is cancelled leaves no trace.
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.stop()

    def __aiter__(self) -> AsyncIterator[ReceivedHeap]:
        """The heaps until the stream ends."""
        return self

    async def __anext__(self) -> ReceivedHeap:
        try:
            return await self.get()
        except Stopped:
            raise StopAsyncIteration from None

    async def get(self) -> ReceivedHeap:
        """The next heap; wait for it if there is none.

        Several tasks may wait; they are served in the order of their calls. A call that is cancelled takes no heap:
        the heap is taken only when the waiting is over, and returned without waiting again.

        Raises
        ------
        Stopped
            If the stream ended and all heaps were taken.
        TransportError
            Once, before :exc:`Stopped`, if a reader broke.
        """
        async with self._turn:
            while True:
                try:
                    return self._runner.get_nowait()
                except Empty:
                    await _readable(self._runner.fileno())


class ChunkRingbuffer(ChunkRing):
    """A ring of chunks for asyncio. Iterating over it with ``async for`` gives chunks until it is stopped and empty.

    It is used in one event loop at a time.
    """

    def __init__(self, maxsize: int) -> None:
        super().__init__(maxsize)
        self._get_turn = asyncio.Lock()
        self._put_turn = asyncio.Lock()

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """The chunks until the ring is stopped and empty."""
        return self

    async def __anext__(self) -> Chunk:
        try:
            return await self.get()
        except Stopped:
            raise StopAsyncIteration from None

    async def get(self) -> Chunk:
        """Take the chunk that was put in first; wait for it if there is none. A call that is cancelled takes none.

        Raises
        ------
        Stopped
            If the ring was stopped and is empty.
        """
        async with self._get_turn:
            while True:
                try:
                    return self.get_nowait()
                except Empty:
                    await _readable(self.data_fd)

    async def put(self, chunk: Chunk) -> None:
        """Put a chunk in; wait for room if there is none. A call that is cancelled puts nothing in.

        Raises
        ------
        Stopped
            If the ring was stopped.
        ValueError
            If the chunk has no ``data`` or no ``present``.
        TypeError
            If it is no chunk.
        """
        async with self._put_turn:
            while True:
                try:
                    return self.put_nowait(chunk)
                except Full:
                    await _readable(self.space_fd)


async def _readable(fd: int) -> None:
    """Wait until a file descriptor polls readable."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _report, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _report(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def open_receiver(
    *targets: ReceiverTarget,
    config: StreamConfig | None = None,
    ring_config: RingStreamConfig | None = None,
    thread_pool: ThreadPool | None = None,
    engine: str | None = None,
    end: EndPolicy | None = None,
) -> Stream:
    """Like :func:`spead_transport.recv.open_receiver`, for asyncio."""
    specified, settings = specify(targets)
    stream = Stream(
        thread_pool,
        settings.recv_config(config),
        settings.ring_config(ring_config),
        engine=engine or settings.engine or None,
        end=end or settings.end,
    )
    stream.add_readers(specified)
    return stream
