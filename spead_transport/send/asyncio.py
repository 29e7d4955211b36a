"""Sending with asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, Self

from .._lazy import lazy_names
from ..engine.send_config import GroupMode, HeapReference, HeapReferenceList, StreamConfig
from ..engine.thread_pool import ThreadPool
from ..errors import no_ibverbs
from ..protocol.outgoing import Heap
from ..transport import PacketSender, open_sender_async
from .ibverbs import UdpIbvConfig
from .opening import SenderTarget, handed_over, specify
from .statistics import SenderStatistics, Tally
from .stream import Stream

if TYPE_CHECKING:
    from spead_transport_inproc.asyncio import InprocStream
    from spead_transport_tcp.asyncio import TcpStream
    from spead_transport_udp.asyncio import UdpStream

__all__ = ["AsyncStream", "InprocStream", "SenderOpening", "TcpStream", "UdpIbvStream", "UdpStream", "open_sender"]

_SERIAL: Final = GroupMode.SERIAL


class AsyncStream(Stream):
    """A stream whose calls return futures. It is used in one event loop at a time.

    Sending goes on whether or not the futures are awaited, and heaps go out in the order of the calls. It is an
    asynchronous context manager that flushes and closes the stream.
    """

    def __init__(
        self,
        sender: PacketSender,
        config: StreamConfig | None = None,
        *,
        thread_pool: ThreadPool | None = None,
        engine: str | None = None,
    ) -> None:
        super().__init__(sender, config, thread_pool=thread_pool, engine=engine)
        self._completions = _Completions(self._tally)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: object, *exc_info: object) -> None:
        try:
            if exc_type is None:
                await self.async_flush()
        finally:
            self.close()

    def async_send_heap(
        self, heap: Heap, cnt: int = -1, substream_index: int = 0, rate: float = -1.0
    ) -> asyncio.Future[int]:
        """Send a heap.

        Parameters
        ----------
        heap
            The heap. Its items' memory must not change before the future is done.
        cnt
            The heap's number; negative takes the next one of the stream's sequence.
        substream_index
            Which of the stream's destinations it goes to.
        rate
            Bytes per second for this heap; 0 is unlimited, negative takes the stream's.

        Returns
        -------
        asyncio.Future
            Gives the bytes sent, SPEAD headers included, or fails as :meth:`SyncStream.send_heap` would: with
            :exc:`BlockingIOError`, in particular, if ``max_heaps`` heaps are waiting already. Cancelling it does
            not keep the heap from being sent.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            numbered = self._runner.number_one(heap, cnt, substream_index, rate, self._cnts)
        except OSError as error:
            future.set_exception(error)
        else:
            self._submit(numbered, 1, _SERIAL, future)
        return future

    def async_send_heaps(
        self, heaps: Iterable[HeapReference] | HeapReferenceList, mode: GroupMode
    ) -> asyncio.Future[int]:
        """Send several heaps as a group, with one future for all of them.

        Parameters
        ----------
        heaps
            What to send, at most ``max_heaps`` of them.
        mode
            How the heaps' packets follow each other.

        Raises
        ------
        TypeError
            If a member is no :class:`HeapReference`.
        """
        checked = HeapReferenceList.of(heaps)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            numbered = self._runner.number(checked, self._cnts)
        except OSError as error:
            future.set_exception(error)
        else:
            self._submit(numbered, len(checked), mode, future)
        return future

    def _submit(self, numbered: Any, num_heaps: int, mode: GroupMode, future: asyncio.Future[int]) -> None:
        self._tally.begin(num_heaps)
        self._completions.expected += 1
        self._runner.submit(numbered, mode, self._completions.complete, (future, num_heaps))

    def statistics(self) -> SenderStatistics:
        self._completions.collect()
        return super().statistics()

    def flush(self, timeout: float | None = None) -> None:
        """Block until everything is sent or failed. The event loop stands still meanwhile.

        Raises
        ------
        TimeoutError
            If it took longer than `timeout` seconds.
        """
        self._runner.flush(timeout)

    async def async_flush(self) -> None:
        """Wait until everything that was sent before this call is sent or failed, and its futures are done."""
        await self._completions.all_so_far()

    def close(self) -> None:
        """Close the transport. What is waiting fails with :exc:`ClosedError`. Idempotent."""
        self._runner.close()


class UdpIbvStream(AsyncStream):
    """Would send with ibverbs.

    Raises
    ------
    TransportError
        Always: use :class:`UdpStream`.
    """

    def __init__(self, thread_pool: ThreadPool | None, config: StreamConfig, udp_ibv_config: UdpIbvConfig) -> None:
        raise no_ibverbs("send.asyncio.UdpStream")


class _Completions:
    """Brings what the engine reports, from whatever thread, to the futures' event loop: many in one pass.

    A future is never done before the loop had a turn, so that a task which sends without end lets others run.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        #: How many completions there will be, of all so far.
        self.expected = 0
        self._completed = 0
        # What was reported (any thread appends to it), and what of that was counted.
        self._reported: deque[tuple[asyncio.Future[int], int, int, Exception | None]] = deque()
        self._counted: deque[tuple[asyncio.Future[int], int, Exception | None]] = deque()
        self._counting = threading.Lock()
        #: Which loop will look at them.
        self._scheduled_in: asyncio.AbstractEventLoop | None = None
        self._flushing: deque[tuple[int, asyncio.Future[None]]] = deque()

    def complete(self, token: tuple[asyncio.Future[int], int], nbytes: int, error: Exception | None) -> None:
        """For the engine, from any thread."""
        future, num_heaps = token
        self._reported.append((future, num_heaps, nbytes, error))
        loop = future.get_loop()
        if self._scheduled_in is not loop:
            self._schedule_in(loop)

    def _schedule_in(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled_in = loop
        try:
            if _running_loop() is loop:
                loop.call_soon(self._resolve)
            else:
                loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:
            if not loop.is_closed():
                raise
            self._scheduled_in = None
            self.collect()

    def collect(self) -> None:
        """Count what was reported."""
        with self._counting:
            heaps = total = 0
            while self._reported:
                future, num_heaps, nbytes, error = self._reported.popleft()
                if error is None:
                    heaps += num_heaps
                    total += nbytes
                else:
                    self._tally.end(num_heaps, nbytes, error)
                self._completed += 1
                self._counted.append((future, nbytes, error))
            if heaps:
                self._tally.end(heaps, total, None)

    def _resolve(self) -> None:
        self._scheduled_in = None  # before looking: what is reported from now on may be missed here
        self.collect()
        while self._counted:
            _settle(*self._counted.popleft())
        while self._flushing and self._flushing[0][0] <= self._completed:
            _, flushed = self._flushing.popleft()
            if not flushed.done():
                flushed.set_result(None)

    async def all_so_far(self) -> None:
        if self._completed < self.expected:
            flushed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._flushing.append((self.expected, flushed))
            await flushed


def _settle(future: asyncio.Future[int], nbytes: int, error: Exception | None) -> None:
    if future.done():
        return
    try:
        if error is None:
            future.set_result(nbytes)
        else:
            future.set_exception(error)
    except RuntimeError:
        if not future.get_loop().is_closed():
            raise
        # Whoever waited for it is gone, with the loop that was used before this one.


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class SenderOpening(Awaitable[AsyncStream], AbstractAsyncContextManager[AsyncStream]):
    """A stream that is to be opened: ``await`` it, or enter it with ``async with``, which closes the stream, too.

    Until then nothing is opened, and the event loop goes on while it is: a connection may take its time.
    """

    def __init__(self, open_stream: Callable[[], Coroutine[Any, Any, AsyncStream]]) -> None:
        self._open_stream = open_stream
        self._stream: AsyncStream | None = None

    def __await__(self) -> Generator[Any, None, AsyncStream]:
        return self._open_stream().__await__()

    async def __aenter__(self) -> AsyncStream:
        self._stream = await self._open_stream()
        return await self._stream.__aenter__()

    async def __aexit__(self, exc_type: object, *exc_info: object) -> None:
        assert self._stream is not None
        await self._stream.__aexit__(exc_type, *exc_info)


def open_sender(
    target: SenderTarget,
    *,
    config: StreamConfig | None = None,
    thread_pool: ThreadPool | None = None,
    engine: str | None = None,
) -> SenderOpening:
    """Open a stream to send heaps with asyncio.

    Parameters
    ----------
    target, config, thread_pool, engine
        As for :func:`spead_transport.send.open_sender`.

    Returns
    -------
    SenderOpening
        What opens it: ``async with open_sender(url) as stream`` or ``stream = await open_sender(url)``. Errors of
        the system, such as a refused connection, are raised there.

    Raises
    ------
    ValueError
        If the URL is malformed, or names an unknown transport or option.
    """
    specified, settings = specify(target)

    async def open_stream() -> AsyncStream:
        opened = specified if isinstance(specified, PacketSender) else await open_sender_async(specified)
        with handed_over(opened) as sender:
            return AsyncStream(
                sender,
                settings.send_config(config),
                thread_pool=thread_pool,
                engine=engine or settings.engine or None,
            )

    return SenderOpening(open_stream)


if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        __all__,
        {
            "InprocStream": "spead_transport_inproc.asyncio",
            "TcpStream": "spead_transport_tcp.asyncio",
            "UdpStream": "spead_transport_udp.asyncio",
        },
    )
