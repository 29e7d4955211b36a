"""Keeping a sender to its rate. Reads no clock: the time is an argument."""

from __future__ import annotations

from typing import Final

__all__ = ["Pacer"]

#: A sender that wakes up late by so many seconds is not behind: that is how precise the system's timers are.
_TIMER_SLACK: Final = 250e-6


class Pacer:
    """Says when the next burst may go.

    Two clocks run: one at the wanted rate, which says where the stream should be by now, and one at the burst rate,
    which keeps a stream that fell behind from making up for it all at once. Time without anything to send is not
    owed.

    Parameters
    ----------
    burst_rate_ratio
        How much faster than its rate a stream may go to catch up.
    """

    def __init__(self, burst_rate_ratio: float) -> None:
        self._ratio = burst_rate_ratio
        self._due = 0.0
        self._burst_due = 0.0

    def begin(self, now: float) -> None:
        """Something is to be sent again after there was nothing."""
        self._due = max(self._due, now)
        self._burst_due = max(self._burst_due, now)

    def delay(self, now: float) -> float:
        """Seconds to wait before the next burst; 0 or less to send it now."""
        return max(self._due, self._burst_due) - now

    def sent(self, now: float, nbytes: int, rate: float) -> None:
        """`nbytes` bytes went out at `now`, at a wanted rate of `rate` bytes per second (0 is unlimited)."""
        if rate > 0:
            self._due += nbytes / rate
            self._burst_due = max(self._burst_due, now - _TIMER_SLACK) + nbytes / (rate * self._ratio)
