"""What a sending stream counts."""

from __future__ import annotations

import threading

import attrs

__all__ = ["SenderStatistics", "Tally"]


@attrs.frozen(kw_only=True)
class SenderStatistics:
    """What became of the heaps that a stream was given.

    Each heap is sent, failed, refused, or waiting.
    """

    heaps_sent: int = 0
    #: SPEAD headers included; of failed heaps, what is known to have gone out.
    bytes_sent: int = 0
    #: Heaps that an error, a time limit or :meth:`close` kept from being sent as a whole.
    heaps_failed: int = 0
    #: Heaps that were not taken because ``max_heaps`` heaps were waiting.
    heaps_refused: int = 0
    heaps_waiting: int = 0
    #: The most that were in the engine's hands at a time, those that it refused included.
    peak_waiting: int = 0


class Tally:
    """Keeps the count. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent = self._bytes = self._failed = self._refused = self._waiting = self._peak = 0

    def begin(self, num_heaps: int) -> None:
        """Heaps are handed to the engine."""
        with self._lock:
            waiting = self._waiting = self._waiting + num_heaps
            if waiting > self._peak:
                self._peak = waiting

    def end(self, num_heaps: int, nbytes: int, error: BaseException | None) -> None:
        """The engine is done with them."""
        with self._lock:
            self._waiting -= num_heaps
            self._bytes += nbytes
            if error is None:
                self._sent += num_heaps
            elif isinstance(error, BlockingIOError):
                self._refused += num_heaps
            else:
                self._failed += num_heaps

    def statistics(self) -> SenderStatistics:
        """A snapshot."""
        with self._lock:
            return SenderStatistics(
                heaps_sent=self._sent,
                bytes_sent=self._bytes,
                heaps_failed=self._failed,
                heaps_refused=self._refused,
                heaps_waiting=self._waiting,
                peak_waiting=self._peak,
            )
