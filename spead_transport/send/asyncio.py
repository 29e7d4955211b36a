"""Sending with asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Self

from .._lazy import lazy_names
from ..engine.send_config import GroupMode, HeapReference, HeapReferenceList, StreamConfig
from ..engine.thread_pool import ThreadPool
from ..errors import no_ibverbs
from ..protocol.outgoing import Heap
from ..transport import PacketSender, open_sender_async
from .ibverbs import UdpIbvConfig
from .opening import SenderTarget, handed_over, specify
from .stream import Stream

if TYPE_CHECKING:
    from spead_transport_inproc.asyncio import InprocStream
    from spead_transport_tcp.asyncio import TcpStream
    from spead_transport_udp.asyncio import UdpStream

__all__ = ["AsyncStream", "InprocStream", "SenderOpening", "TcpStream", "UdpIbvStream", "UdpStream", "open_sender"]


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
        self._futures = self._runner.futures()

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
        return self._futures.send_one(heap, cnt, substream_index, rate)

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
            If a member is no :class:`HeapReference`, or `mode` is no :class:`GroupMode`.
        """
        return self._futures.send(HeapReferenceList.of(heaps), GroupMode.of(mode))

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
        sent = self._futures.all_so_far()
        if sent is not None:
            await sent

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
