"""The classic streams over in-process queues."""

from __future__ import annotations

from collections.abc import Sequence

from spead_transport import ThreadPool
from spead_transport.send import StreamConfig, SyncStream
from spead_transport.send.asyncio import AsyncStream

from .endpoints import InprocSender
from .queue import InprocQueue

__all__ = ["AsyncInprocStream", "InprocStream"]


class InprocStream(SyncStream):
    """Sends to queues in this process.

    Parameters
    ----------
    thread_pool
        As for every stream.
    queues
        One for each substream. Closing the stream does not stop them.
    config
        The stream's settings.
    engine
        Name of the engine.

    Raises
    ------
    ValueError
        If there is no queue.
    """

    def __init__(
        self,
        thread_pool: ThreadPool | None,
        queues: Sequence[InprocQueue],
        config: StreamConfig | None = None,
        *,
        engine: str | None = None,
    ) -> None:
        self._queues = tuple(queues)
        super().__init__(InprocSender(self._queues), config, thread_pool=thread_pool, engine=engine)

    @property
    def queues(self) -> list[InprocQueue]:
        """The queue of each substream."""
        return list(self._queues)


class AsyncInprocStream(AsyncStream):
    """Sends to queues in this process, with asyncio. The parameters are those of :class:`InprocStream`."""

    def __init__(
        self,
        thread_pool: ThreadPool | None,
        queues: Sequence[InprocQueue],
        config: StreamConfig | None = None,
        *,
        engine: str | None = None,
    ) -> None:
        self._queues = tuple(queues)
        super().__init__(InprocSender(self._queues), config, thread_pool=thread_pool, engine=engine)

    @property
    def queues(self) -> list[InprocQueue]:
        """The queue of each substream."""
        return list(self._queues)
