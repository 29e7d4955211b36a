"""The two ends of in-process queues."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

import attrs

from spead_transport.errors import EndOfStream
from spead_transport.transport import (
    Capabilities,
    EventReadiness,
    PacketBatch,
    PacketReceiver,
    PacketSender,
)

from .queue import Channel, ChannelReader, InprocQueue, Subscription

__all__ = ["CAPABILITIES", "InprocReceiver", "InprocSender"]

CAPABILITIES: Final = Capabilities(
    lossy=False,
    ordered=True,
    reach="process",
    several_destinations=True,
    signals_end=True,
    several_senders=True,
)


def _url(queues: Sequence[InprocQueue]) -> str:
    return f"inproc://{','.join(queue.name for queue in queues)}"


def _capabilities(queues: Sequence[InprocQueue]) -> Capabilities:
    return attrs.evolve(CAPABILITIES, lossy=any(queue.lossy for queue in queues))


class InprocSender(PacketSender):
    """Puts packets into queues. Closing it leaves the queues as they are.

    Parameters
    ----------
    queues
        One for each destination.
    url
        What messages call the sender; by default it is made from the names of the queues.
    on_close
        Called once when the sender is closed; must not block.

    Raises
    ------
    ValueError
        If there is no queue.
    """

    def __init__(
        self,
        queues: Sequence[InprocQueue],
        *,
        url: str | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        if not queues:
            raise ValueError("an in-process sender needs at least one queue")
        self._queues = tuple(queues)
        self._on_close = on_close
        self._writable = EventReadiness()
        self._writable.set()
        super().__init__(url or _url(queues), _capabilities(queues))

    @property
    def queues(self) -> tuple[InprocQueue, ...]:
        """The queue of each destination."""
        return self._queues

    @property
    def writable(self) -> EventReadiness:
        return self._writable

    @property
    def num_destinations(self) -> int:
        return len(self._queues)

    def channels(self, make: Callable[[], Channel]) -> list[Channel] | None:
        """For engines of native code: the channel of each queue; ``None`` if one has to be reached through Python.

        See :meth:`InprocQueue.channel`.
        """
        channels = [queue.channel(make) for queue in self._queues]
        found = [channel for channel in channels if channel is not None]
        return found if len(found) == len(channels) else None

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            if not 0 <= batch.destination < len(self._queues):
                last = len(self._queues) - 1
                raise ValueError(f"{self.url}: there is no destination {batch.destination}, only 0 to {last}")
            return self._queues[batch.destination].offer(batch, self._writable)

    def _release_resources(self) -> None:
        self._writable.set()
        self._writable.wake()
        if self._on_close is not None:
            self._on_close()


class _AnyReadable(EventReadiness):
    """Reports what an event and the readers of channels report, and what it is told itself."""

    def __init__(self, event: EventReadiness, readers: Sequence[ChannelReader]) -> None:
        super().__init__()
        self._members: tuple[EventReadiness | ChannelReader, ...] = (event, *readers)
        self._epoll = select.epoll()
        self._epoll.register(super().fileno(), select.EPOLLIN)
        for member in self._members:
            self._epoll.register(member.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        return self._epoll.fileno()


class InprocReceiver(PacketReceiver):
    """Takes packets from queues, from each in turn if there are several, and ends when all of them have ended.

    Parameters
    ----------
    queues
        Where the packets come from.
    url
        What messages call the receiver; by default it is made from the names of the queues.
    on_close
        Called once when the receiver is closed; must not block.

    Raises
    ------
    ValueError
        If there is no queue.
    """

    def __init__(
        self,
        *queues: InprocQueue,
        url: str | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        if not queues:
            raise ValueError("an in-process receiver needs at least one queue")
        self._queues = queues
        self._on_close = on_close
        self._event = EventReadiness()
        self._subscriptions: deque[Subscription] = deque()
        with ExitStack() as undo:
            for queue in queues:
                self._subscriptions.append(queue.subscribe(self._event))
                undo.callback(self._subscriptions[-1].cancel)
            super().__init__(url or _url(queues), _capabilities(queues))
            undo.pop_all()
        readers = [subscription.reader for subscription in self._subscriptions if subscription.reader is not None]
        self._readable = _AnyReadable(self._event, readers) if readers else self._event

    @property
    def queues(self) -> tuple[InprocQueue, ...]:
        """Where the packets come from."""
        return self._queues

    @property
    def readable(self) -> EventReadiness:
        return self._readable

    def take_over(self, make: Callable[[], Channel]) -> Channel | None:
        """For engines of native code, which then receive from the channel and leave this object to be closed.

        Returns
        -------
        Channel or None
            See :meth:`InprocQueue.channel`; ``None`` too if there are several queues. Nothing has changed then.
        """
        with self._using():
            channel = self._queues[0].channel(make, leaving=self._event) if len(self._queues) == 1 else None
            if channel is not None:
                for subscription in self._subscriptions:
                    subscription.cancel()
                self._subscriptions.clear()
            return channel

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            batch = self._take(limit)
            if not len(batch):
                # Looking again after clearing: what came in between set a readiness that was set already.
                self._event.clear()
                batch = self._take(limit)
                if len(batch):
                    self._event.set()
            return batch

    def drops(self) -> dict[str, int]:
        dropped = sum(subscription.drops() for subscription in tuple(self._subscriptions))
        return {"queue_full": dropped} if dropped else {}

    def _take(self, limit: int) -> PacketBatch:
        """Packets of the next queue that has some; empty if none has, :exc:`EndOfStream` if none ever will."""
        ended = 0
        for _ in self._queues:
            self._subscriptions.rotate(-1)
            try:
                batch = self._subscriptions[-1].take(limit)
            except EndOfStream:
                ended += 1
                continue
            if batch is not None:
                return batch
        if ended == len(self._queues):
            self._event.set()
            raise EndOfStream
        return PacketBatch.of([])

    def _release_resources(self) -> None:
        for subscription in self._subscriptions:
            subscription.cancel()
        self._readable.set()
        self._readable.wake()
        if self._on_close is not None:
            self._on_close()
