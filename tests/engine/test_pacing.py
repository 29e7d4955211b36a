"""The pacer on a simulated clock."""

from __future__ import annotations

import pytest

from spead_transport.engine.pacing import Pacer


class Timeline:
    """Sends bursts as the pacer allows, on a clock that only moves when somebody sleeps."""

    def __init__(self, pacer: Pacer, *, late: float = 0.0) -> None:
        self.pacer = pacer
        self.late = late
        self.now = 100.0
        self.times: list[float] = []
        pacer.begin(self.now)

    def send(self, nbytes: int, rate: float, count: int = 1) -> None:
        for _ in range(count):
            delay = self.pacer.delay(self.now)
            if delay > 0:
                self.now += delay + self.late
            self.times.append(self.now)
            self.pacer.sent(self.now, nbytes, rate)


def test_rate_is_kept_over_bursts() -> None:
    timeline = Timeline(Pacer(1.05))
    timeline.send(1000, rate=1e6, count=1001)
    assert timeline.times[-1] - timeline.times[0] == pytest.approx(1.0)


def test_no_rate_means_no_delay() -> None:
    timeline = Timeline(Pacer(1.05))
    timeline.send(10**9, rate=0.0, count=10)
    assert timeline.times == [100.0] * 10


def test_timers_that_are_always_late_do_not_lower_the_rate() -> None:
    timeline = Timeline(Pacer(1.05), late=100e-6)
    timeline.send(1000, rate=10e6, count=10001)
    assert timeline.times[-1] - timeline.times[0] == pytest.approx(1.0, rel=0.001)


def test_after_a_stall_the_stream_catches_up_at_the_burst_rate() -> None:
    timeline = Timeline(Pacer(1.25))
    timeline.send(1000, rate=1e6, count=2)
    timeline.now += 0.5  # the sender was kept from running
    start = timeline.now
    timeline.send(1000, rate=1e6, count=1000)
    # A quarter more than the rate until the half second is made up for, which takes two seconds.
    assert timeline.now - start == pytest.approx(0.8, rel=0.01)


def test_time_without_anything_to_send_is_not_owed() -> None:
    timeline = Timeline(Pacer(1.25))
    timeline.send(1000, rate=1e6)
    timeline.now += 10.0
    timeline.pacer.begin(timeline.now)
    start = timeline.now
    timeline.send(1000, rate=1e6, count=101)
    assert timeline.now - start == pytest.approx(0.1)


def test_each_heap_may_have_its_own_rate() -> None:
    timeline = Timeline(Pacer(1.05))
    timeline.send(1000, rate=1e6)
    timeline.send(1000, rate=1e5)
    timeline.send(1000, rate=1e6)
    assert timeline.times[1] - timeline.times[0] == pytest.approx(1e-3)
    assert timeline.times[2] - timeline.times[1] == pytest.approx(1e-2)
