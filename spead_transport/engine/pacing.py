"""Keeping a sender to its rate. Reads no clock: the time is an argument."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Pacer", "burst_limit"]

#: Seconds after which a stream that sent nothing had nothing to send. A program that sends heap after heap with
#: blocking calls has nothing to send between two of them, but means to keep the rate.
_PAUSE: Final = 10e-3
#: Seconds over which rates are kept. No burst stands for more, and a sender that wakes up late by no more than that
#: is not behind: so late do threads wake up on a machine that has other things to do.
_LONGEST_BURST: Final = 5e-3


def burst_limit(burst_size: int, rate: float) -> int:
    """How many bytes may go at once at `rate` bytes per second, at least 1, if `burst_size` is the most."""
    return max(1, min(burst_size, int(rate * _LONGEST_BURST)))


class Pacer:
    """Says when the next packets may go.

    Two clocks run: one at the wanted rate, which says where the stream should be by now, and one at the burst rate,
    which keeps a stream that fell behind from making up for it all at once. Time without anything to send is not
    owed. A stream may be ahead of its clocks by a burst, so that many small heaps take one wait.

    In any time, no more goes out than the burst rate allows in that and another 5 milliseconds, and one burst.

    Parameters
    ----------
    burst_rate_ratio
        How much faster than its rate a stream may go to catch up.
    burst_size
        How many bytes may go at once; less at low rates (:func:`burst_limit`). What is more than that by itself goes
        alone.
    """

    def __init__(self, burst_rate_ratio: float, burst_size: int = 0) -> None:
        self._ratio = burst_rate_ratio
        self._burst_size = burst_size
        self._due = 0.0
        self._burst_due = 0.0
        self._last_sent = -math.inf
        #: Bytes that went since the clocks were last waited for.
        self._burst = 0

    def begin(self, now: float) -> None:
        """Something is to be sent again after there was nothing."""
        if now - self._last_sent > _PAUSE:
            self._due = max(self._due, now)
            self._burst_due = max(self._burst_due, now)

    def delay(self, now: float, nbytes: int, rate: float) -> float:
        """Seconds to wait before `nbytes` more bytes may go at `rate`; 0 or less to send them now."""
        if self._burst + nbytes <= burst_limit(self._burst_size, rate):
            return 0.0
        return max(self._due, self._burst_due) - now

    def sent(self, now: float, nbytes: int, rate: float) -> None:
        """`nbytes` bytes went out at `now`, at a wanted rate of `rate` bytes per second (0 is unlimited)."""
        self._last_sent = now
        if rate > 0:
            if self._burst + nbytes > burst_limit(self._burst_size, rate):
                self._burst = 0  # they were waited for
            self._burst += nbytes
            self._due += nbytes / rate
            self._burst_due = max(self._burst_due, now - _LONGEST_BURST) + nbytes / (rate * self._ratio)
