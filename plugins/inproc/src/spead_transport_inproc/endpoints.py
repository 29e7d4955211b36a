"""The two ends of in-process queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final, TypeVar

import attrs

from spead_transport.errors import EndOfStream
from spead_transport.transport import (
    Capabilities,
    EventReadiness,
    FdSetReadiness,
    PacketBatch,
    PacketReceiver,
    PacketSender,
)

from .channel import Channel, ChannelReader
from .queue import InprocQueue, Subscription

__all__ = ["CAPABILITIES", "InprocReceiver", "InprocSender"]

_ReaderT = TypeVar("_ReaderT", bound=ChannelReader)

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

    def channels(self, make: Callable[[bool], Channel]) -> list[Channel] | None:
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
        self._readable = FdSetReadiness()
        self._subscriptions: deque[Subscription] = deque()
        with ExitStack() as undo:
            for queue in queues:
                self._subscriptions.append(queue.subscribe(self._readable))
                undo.callback(self._subscriptions[-1].cancel)
            super().__init__(url or _url(queues), _capabilities(queues))
            undo.pop_all()

    @property
    def queues(self) -> tuple[InprocQueue, ...]:
        """Where the packets come from."""
        return self._queues

    @property
    def readable(self) -> FdSetReadiness:
        return self._readable

    def hand_over(self, make: Callable[[bool], Channel], kind: type[_ReaderT]) -> list[_ReaderT] | None:
        """For engines of native code, which then receive in place of this object and leave it to be closed.

        Parameters
        ----------
        make
            See :meth:`InprocQueue.channel`.
        kind
            What the channels' readers must be.

        Returns
        -------
        list or None
            The reader of each queue's channel; ``None`` if one of them has none of this kind: this object goes on.
        """
        with self._using():
            for queue in self._queues:
                queue.channel(make)
            readers = [subscription.reader for subscription in self._subscriptions]
            found = [reader for reader in readers if isinstance(reader, kind)]
            if len(found) < len(readers):
                return None
            for subscription in self._subscriptions:
                subscription.cancel()
            self._subscriptions.clear()
            return found

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            batch = self._take(limit)
            if not len(batch):
                # Looking again after clearing: what came in between set a readiness that was set already.
                self._readable.clear()
                batch = self._take(limit)
                if len(batch):
                    self._readable.set()
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
            self._readable.set()
            raise EndOfStream
        return PacketBatch.of([])

    def _release_resources(self) -> None:
        for subscription in self._subscriptions:
            subscription.cancel()
        self._readable.set()
        self._readable.wake()
        if self._on_close is not None:
            self._on_close()
