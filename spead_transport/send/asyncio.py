"""Sending with asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from .._lazy import lazy_names
from ..engine.send_config import GroupMode, HeapReference, HeapReferenceList, StreamConfig
from ..engine.thread_pool import ThreadPool
from ..errors import no_ibverbs
from ..protocol.outgoing import Heap
from ..transport import PacketSender
from .ibverbs import UdpIbvConfig
from .opening import SenderTarget, packet_sender
from .stream import Stream

if TYPE_CHECKING:
    from spead_transport_inproc.asyncio import InprocStream
    from spead_transport_tcp.asyncio import TcpStream
    from spead_transport_udp.asyncio import UdpStream

__all__ = ["AsyncStream", "InprocStream", "TcpStream", "UdpIbvStream", "UdpStream", "open_sender"]


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
        self._completions = _Completions()

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
        reference = HeapReference(heap, cnt=cnt, substream_index=substream_index, rate=rate)
        return self._submit(HeapReferenceList((reference,)), GroupMode.SERIAL)

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
        return self._submit(HeapReferenceList.of(heaps), mode)

    def _submit(self, heaps: HeapReferenceList, mode: GroupMode) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            numbered = self._runner.number(heaps, self._cnts)
        except OSError as error:
            future.set_exception(error)
            return future
        tally, completions = self._tally, self._completions
        tally.begin(len(heaps))
        completions.expect()

        def complete(nbytes: int, error: Exception | None) -> None:
            tally.end(len(heaps), nbytes, error)
            completions.complete(future, nbytes, error)

        self._runner.submit(numbered, mode, complete)
        return future

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

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._expected = 0
        self._completed = 0
        self._ready: list[tuple[asyncio.Future[int], int, Exception | None]] = []
        self._flushing: deque[tuple[int, asyncio.Future[None]]] = deque()

    def expect(self) -> None:
        """One more completion will come."""
        self._expected += 1

    def complete(self, future: asyncio.Future[int], nbytes: int, error: Exception | None) -> None:
        """For the engine, from any thread."""
        with self._lock:
            self._ready.append((future, nbytes, error))
            if len(self._ready) > 1:
                return
        loop = future.get_loop()
        try:
            if _running_loop() is loop:
                loop.call_soon(self._resolve)
            else:
                loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:
            if not loop.is_closed():
                raise
            with self._lock:  # nobody can be waiting for a future of a closed loop
                self._completed += len(self._ready)
                self._ready.clear()

    def _resolve(self) -> None:
        with self._lock:
            ready, self._ready = self._ready, []
            self._completed += len(ready)
        for future, nbytes, error in ready:
            if future.done():
                continue
            if error is None:
                future.set_result(nbytes)
            else:
                future.set_exception(error)
        while self._flushing and self._flushing[0][0] <= self._completed:
            _, flushed = self._flushing.popleft()
            if not flushed.done():
                flushed.set_result(None)

    async def all_so_far(self) -> None:
        if self._completed < self._expected:
            flushed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._flushing.append((self._expected, flushed))
            await flushed


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def open_sender(
    target: SenderTarget,
    *,
    config: StreamConfig | None = None,
    thread_pool: ThreadPool | None = None,
    engine: str | None = None,
) -> AsyncStream:
    """Like :func:`spead_transport.send.open_sender`, for asyncio."""
    with packet_sender(target) as (sender, settings):
        return AsyncStream(
            sender, settings.send_config(config), thread_pool=thread_pool, engine=engine or settings.engine or None
        )


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
