"""Doing something later, for transports that delay packets or keep to a pace; and time that tests make pass."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

import attrs

__all__ = ["Alarm", "Clock", "ManualClock", "system_clock"]

_log = logging.getLogger("spead_transport")


@attrs.define(order=True)
class Alarm:
    """A call that is due at a time."""

    when: float
    serial: int
    callback: Callable[[], None] = attrs.field(order=False)


class Clock(ABC):
    """Tells the time, and calls at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._alarms: list[Alarm] = []
        self._serial = itertools.count()

    @abstractmethod
    def now(self) -> float:
        """Seconds since some moment; never goes back."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        """Call `callback` once, from any thread, when :meth:`now` has reached `when`. It must not block.

        Returns
        -------
        Alarm
            For :meth:`cancel`.
        """
        alarm = Alarm(when, next(self._serial), callback)
        with self._changed:
            heapq.heappush(self._alarms, alarm)
            self._changed.notify()
        return alarm

    def cancel(self, alarm: Alarm) -> None:
        """Do not call any more; nothing happens if that was done already."""
        with self._changed:
            if alarm in self._alarms:
                self._alarms.remove(alarm)
                heapq.heapify(self._alarms)
                self._changed.notify()

    def _pop_due(self) -> Alarm | None:
        """With the lock held: the next alarm, if its time has come."""
        due = self._alarms and self._alarms[0].when <= self.now()
        return heapq.heappop(self._alarms) if due else None


class ManualClock(Clock):
    """A clock for tests, which stands still until it is told to :meth:`advance`."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass: alarms go off one after the other, each at its own time, in the calling thread.

        Raises
        ------
        ValueError
            If `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back, as by {seconds} seconds")
        end = self._now + seconds
        while True:
            with self._changed:
                if not self._alarms or self._alarms[0].when > end:
                    break
                alarm = heapq.heappop(self._alarms)
                self._now = max(self._now, alarm.when)
            alarm.callback()
        self._now = end


class _SystemClock(Clock):
    """The system's monotonic clock. A thread makes the calls; it lives while there are any to make."""

    def __init__(self) -> None:
        super().__init__()
        self._running = False

    def now(self) -> float:
        return time.monotonic()

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        alarm = super().call_at(when, callback)
        with self._changed:
            if self._alarms and not self._running:
                self._running = True
                threading.Thread(target=self._run, name="spead_transport clock", daemon=True).start()
        return alarm

    def _run(self) -> None:
        while True:
            with self._changed:
                alarm = self._pop_due()
                if alarm is None:
                    if not self._alarms:
                        self._running = False
                        return
                    self._changed.wait(min(self._alarms[0].when - self.now(), threading.TIMEOUT_MAX))
                    continue
            try:
                alarm.callback()
            except Exception:
                _log.exception("a call that was due failed: %r", alarm.callback)


#: The one that everybody uses.
system_clock: Final[Clock] = _SystemClock()
