"""Receiving with asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Self

from ..engine.chunks import Chunk
from ..engine.interface import EndPolicy, ReceivedHeap, ReceiveRunner
from ..engine.recv_config import RingStreamConfig, StreamConfig
from ..engine.thread_pool import ThreadPool
from ..errors import Empty, Full, Stopped
from .base import ReceiverTarget
from .chunk_rings import ChunkRing
from .stream import RingStream, specify

__all__ = ["ChunkRingbuffer", "Stream", "open_receiver"]

#: Heaps that are handed out without a pause, if they have arrived already, before other tasks have a turn.
_IN_A_ROW: Final = 128


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
        self._waiting = 0
        # How many heaps may be taken without waiting for one's turn: none while somebody waits.
        self._in_a_row = _IN_A_ROW
        self._watch = _Watch(self._runner)

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
        the heap is taken only when the waiting is over, and returned without waiting again. Heaps that have arrived
        are handed out at once, but now and then other tasks have a turn before.

        Raises
        ------
        Stopped
            If the stream ended and all heaps were taken.
        TransportError
            Once, before :exc:`Stopped`, if a reader broke.
        """
        if self._in_a_row:
            heap = self._runner.take()
            if heap is not None:
                self._in_a_row -= 1
                return heap
        return await self._get_in_turn()

    async def _get_in_turn(self) -> ReceivedHeap:
        pause = not self._in_a_row and not self._waiting
        self._in_a_row = 0
        self._waiting += 1
        try:
            async with self._turn:
                if pause:
                    await asyncio.sleep(0)
                while (heap := self._runner.take()) is None:
                    await self._watch.readable()
                return heap
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._in_a_row = _IN_A_ROW


class _Watch:
    """Waits for a stream's file descriptor, which stays registered with the event loop until it has something to say
    while nobody waits: whoever waited for a heap is likely to wait for the next one, too.

    The loop keeps the runner, not the stream. A stream that is forgotten stops its runner, and that ends the watch.
    """

    def __init__(self, runner: ReceiveRunner) -> None:
        self._runner = runner
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: asyncio.Future[None] | None = None

    async def readable(self) -> None:
        """Wait until the file descriptor polls readable. For one task at a time."""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        if self._loop is not loop:
            loop.add_reader(self._runner.fileno(), self._report, loop)
            self._loop = loop
        try:
            await self._ready
        finally:
            self._ready = None

    def _report(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop or self._ready is None:
            loop.remove_reader(self._runner.fileno())
            if loop is self._loop:
                self._loop = None
        elif not self._ready.done():
            self._ready.set_result(None)


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
