"""Endpoints around endpoints, between which packets meet their fates."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

import attrs

from spead_transport.errors import BrokenTransportError, ClosedError, EndOfStream, TransportError
from spead_transport.transport import Capabilities, Clock, PacketBatch, PacketReceiver, PacketSender, system_clock
from spead_transport.transport.clock import Alarm

from .config import FaultsConfig
from .fates import Prophecy
from .line import Line
from .log import FaultLog
from .readiness import AroundReadiness

__all__ = ["FaultyReceiver", "FaultySender"]

#: Seconds after which a packet that was due, and that the inner sender had no room for, is offered again.
_RETRY: Final = 0.005
#: Seconds after which a closed sender gives up, if the inner one takes nothing.
_LINGER: Final = 5.0
#: Packets that move in one step.
_STEP: Final = 1024
#: Batches without any packet to hand out, after which a receiver lets others have a turn.
_ROUNDS: Final = 64
_NOTHING: Final = PacketBatch.of([])


def _capabilities(inner: Capabilities, config: FaultsConfig, *, active: bool) -> Capabilities:
    return attrs.evolve(
        inner,
        lossy=inner.lossy or (active and config.loses),
        ordered=inner.ordered and not (active and config.reorders),
        native=False,
    )


class _OneAlarm:
    """The next moment at which an endpoint has something to do."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._alarm: Alarm | None = None

    def set(self, when: float, callback: Callable[[], None]) -> None:
        """Call at this time, and at no other."""
        if self._alarm is None or self._alarm.when != when:
            self.clear()
            self._alarm = self._clock.call_at(when, callback)

    def clear(self) -> None:
        """Do not call. (An alarm refers to its endpoint: nothing is kept that is not needed.)"""
        if self._alarm is not None:
            self._clock.cancel(self._alarm)
            self._alarm = None


class FaultySender(PacketSender):
    """Sends through another sender what survives. Packets that are on their way when it is closed still arrive.

    Parameters
    ----------
    inner
        The sender within, which belongs to this one from now on.
    config
        What is to go wrong.
    log
        Where faults are noted.
    clock
        Whose time delays, bandwidth and outages go by.
    url
        What messages call the sender; by default it is made from the inner one's.
    """

    def __init__(
        self,
        inner: PacketSender,
        config: FaultsConfig,
        *,
        log: FaultLog | None = None,
        clock: Clock = system_clock,
        url: str | None = None,
    ) -> None:
        active = config.concerns("send")
        super().__init__(url or f"faults+{inner.url}", _capabilities(inner.capabilities, config, active=active))
        self._inner = inner
        self._clock = clock
        self.log: FaultLog = FaultLog() if log is None else log
        now = clock.now()
        self._lines = [Line(config, "send", index, self.log, now) for index in range(inner.num_destinations)]
        self._writable = AroundReadiness(inner.writable)
        self._writable.set()
        #: Held by whoever moves packets: the caller, or the clock.
        self._moving = threading.Lock()
        self._alarm = _OneAlarm(clock)
        self._failure: TransportError | None = None
        #: When a closed sender gives up what does not move on, and how many packets were left when that was set.
        self._give_up_at: float | None = None
        self._left = 0

    @property
    def writable(self) -> AroundReadiness:
        return self._writable

    @property
    def num_destinations(self) -> int:
        return self._inner.num_destinations

    def try_send(self, batch: PacketBatch) -> int:
        with self._using(), self._moving:
            if not 0 <= batch.destination < len(self._lines):
                last = len(self._lines) - 1
                raise ValueError(f"{self.url}: there is no destination {batch.destination}, only 0 to {last}")
            if self._failure is not None:
                raise self._failure
            now = self._clock.now()
            blocked = not self._deliver(now)
            taken = 0
            try:
                if not blocked:
                    taken, blocked = self._accept(self._lines[batch.destination], batch, now)
            finally:
                self._settle(blocked, full=taken < len(batch))
            return taken

    def _accept(self, line: Line, batch: PacketBatch, now: float) -> tuple[int, bool]:
        """How many packets of `batch` were taken, and whether the inner sender takes no more."""
        prophecy = line.foresee(batch)
        taken = 0
        blocked = False
        while taken < len(batch) and not blocked:
            clear = line.clear_run(prophecy, taken, len(batch), now)
            if clear:
                stop, error = self._pass(line, batch, prophecy, taken, taken + clear)
                if error is not None and not stop:
                    raise error  # else it comes again, when the packet that it is about is the first
                blocked = stop < taken + clear
                taken = stop
                continue
            count = line.room(min(_STEP, line.struck_run(prophecy, taken, len(batch))))
            if not count:
                break
            line.push(batch, prophecy, taken, taken + count, now)
            taken += count
            blocked = not self._deliver(now)
        return taken, blocked

    def _pass(
        self, line: Line, batch: PacketBatch, prophecy: Prophecy, first: int, last: int
    ) -> tuple[int, TransportError | None]:
        """Send packets on that pass the line at once; where that ended, and the error at which it did, if any."""
        kept = line.kept(prophecy, first, last)
        rest = batch[first:last] if len(kept) == last - first else batch.take(kept)
        sent = 0
        error = None
        while len(rest):
            try:
                count = self._inner.try_send(rest)
            except TransportError as caught:
                error = caught
                break
            if not count:
                break
            sent += count
            rest = rest[count:]
        stop = last if sent == len(kept) else int(kept[sent])
        line.passed(batch, prophecy, first, stop)
        return stop, error

    def _deliver(self, now: float) -> bool:
        """Hand what is due to the inner sender; False if it has no room."""
        for line in self._lines:
            while self._failure is None and len(due := line.peek(now, _STEP)):
                try:
                    count = self._inner.try_send(due)
                except (BrokenTransportError, ClosedError) as error:
                    self._failure = error
                except TransportError:
                    line.lose(1, "refused")
                else:
                    line.pop(count)
                    if not count:
                        return False
        return True

    def _settle(self, blocked: bool, *, full: bool) -> None:
        """Say what to wait for."""
        self._writable.watch(blocked and not self._closed)
        if self._closed or not (blocked or full):
            self._writable.set()
        else:
            self._writable.clear()
        dues = [due for line in self._lines if (due := line.next_due()) is not None]
        if self._failure is not None or not dues:
            self._alarm.clear()
        else:
            self._alarm.set(self._clock.now() + _RETRY if blocked else min(dues), self._on_alarm)

    def _on_alarm(self) -> None:
        with self._moving:
            self._alarm.clear()
            now = self._clock.now()
            blocked = not self._deliver(now)
            self._settle(blocked, full=False)
            if self._closed:
                self._finish(now)

    def _release_resources(self) -> None:
        with self._moving:
            now = self._clock.now()
            for line in self._lines:
                line.finish(now)
            self._settle(not self._deliver(now), full=False)
            self._finish(now)
        self._writable.wake()

    def _finish(self, now: float) -> None:
        """With the sender closed: close the inner one when nothing is on its way any more, or does not get there."""
        if self._inner.closed:
            return
        overdue = any((due := line.next_due()) is not None and due <= now for line in self._lines)
        left = sum(line.size for line in self._lines)
        if not overdue or left < self._left:
            self._give_up_at = None
        elif self._give_up_at is None:
            self._give_up_at = now + _LINGER
        self._left = left
        lost = self._failure is not None or (self._give_up_at is not None and now >= self._give_up_at)
        if lost or all(line.idle for line in self._lines):
            for line in self._lines:
                line.abandon()
            self._alarm.clear()
            self._inner.close()


class FaultyReceiver(PacketReceiver):
    """Hands out what survives of another receiver's packets.

    Parameters
    ----------
    inner
        The receiver within, which belongs to this one from now on.
    config, log, clock, url
        As for :class:`FaultySender`.
    """

    def __init__(
        self,
        inner: PacketReceiver,
        config: FaultsConfig,
        *,
        log: FaultLog | None = None,
        clock: Clock = system_clock,
        url: str | None = None,
    ) -> None:
        active = config.concerns("receive")
        super().__init__(url or f"faults+{inner.url}", _capabilities(inner.capabilities, config, active=active))
        self._inner = inner
        self._clock = clock
        self.log: FaultLog = FaultLog() if log is None else log
        self._line = Line(config, "receive", 0, self.log, clock.now())
        self._readable = AroundReadiness(inner.readable)
        self._readable.watch(True)
        self._alarm = _OneAlarm(clock)
        self._end: Exception | None = None

    @property
    def readable(self) -> AroundReadiness:
        return self._readable

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            try:
                for _ in range(_ROUNDS):
                    now = self._clock.now()
                    due = self._line.peek(now, limit)
                    if len(due):
                        self._line.pop(len(due))
                        return due
                    batch = self._take_in(limit, now)
                    if batch is None:
                        break
                    if len(batch):
                        return batch
                if self._end is not None and self._line.idle:
                    raise self._end
                return _NOTHING
            finally:
                self._settle()

    def release(self) -> None:
        if not self.closed:
            self._inner.release()

    def drops(self) -> dict[str, int]:
        # The copy of the line's is made in one step: packets may be on their way in another thread.
        return dict(Counter(self._inner.drops()) + Counter(dict(self._line.lost)))

    def _take_in(self, limit: int, now: float) -> PacketBatch | None:
        """Take packets from the inner receiver into the line; ``None`` if there are none, or they must wait.

        Packets to which nothing happens are returned at once, without those that are lost.
        """
        count = self._line.room(limit)
        if not count or self._end is not None:
            return None
        try:
            batch = self._inner.try_recv(count)
        except (EndOfStream, BrokenTransportError) as error:
            self._end = error
            self._line.finish(now)
            return _NOTHING
        if not len(batch):
            return None
        prophecy = self._line.foresee(batch)
        if self._line.clear_run(prophecy, 0, len(batch), now) == len(batch):
            self._line.passed(batch, prophecy, 0, len(batch))
            return batch.take(self._line.kept(prophecy, 0, len(batch))) if prophecy.fates else batch
        self._line.push(batch, prophecy, 0, len(batch), now)
        self._inner.release()
        return _NOTHING

    def _settle(self) -> None:
        """Say what to wait for."""
        if self._closed:
            return
        self._readable.watch(self._end is None and self._line.room(1) > 0)
        self._readable.clear()
        due = self._line.next_due()
        if due is None and self._end is None:
            self._alarm.clear()
        elif due is None or due <= self._clock.now():
            self._alarm.clear()
            self._readable.set()
        else:
            self._alarm.set(due, self._readable.set)

    def _release_resources(self) -> None:
        self._alarm.clear()
        self._readable.watch(False)
        self._readable.set()
        self._inner.close()
        self._readable.wake()
