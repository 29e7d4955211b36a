"""The pacer on a simulated clock."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport.engine.pacing import Pacer, burst_limit


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
            delay = self.pacer.delay(self.now, nbytes, rate)
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


def test_threads_that_wake_up_late_do_not_lower_the_rate() -> None:
    """As on a machine that is busy: later than a burst takes, each time."""
    timeline = Timeline(Pacer(1.05, 65536), late=4.5e-3)
    timeline.send(65536, rate=125e6, count=2000)
    elapsed = timeline.times[-1] - timeline.times[0]
    assert 1999 * 65536 / elapsed == pytest.approx(125e6, rel=0.01)


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


def test_a_program_that_sends_heap_after_heap_keeps_the_rate() -> None:
    """Its stream has nothing to send between two heaps, and is late for the next one because of that."""
    timeline = Timeline(Pacer(1.05))
    for _ in range(1000):
        timeline.pacer.begin(timeline.now)
        timeline.send(1000, rate=1e6)
        timeline.now += 0.2e-3
    elapsed = timeline.now - timeline.times[0]
    assert elapsed == pytest.approx(1.0, rel=0.002)


@pytest.mark.parametrize("rate", [125e3, 1.25e6, 125e6, 1.25e9])
def test_a_rate_is_kept_to_one_percent_within_a_second(rate: float) -> None:
    """Whatever the size of the heaps, with a timer that is late and a program that pauses."""
    packet = 1472
    burst = max(packet, burst_limit(65536, rate) // packet * packet)
    timeline = Timeline(Pacer(1.05), late=80e-6)
    while timeline.now < 101.0:
        timeline.send(burst, rate)
        timeline.now += 20e-6
    elapsed = timeline.times[-1] - timeline.times[0]
    assert burst * (len(timeline.times) - 1) / elapsed == pytest.approx(rate, rel=0.002)
    assert burst <= max(packet, 0.005 * rate)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1e-5, 1e-3, 0.1]), st.integers(1, 65536)), min_size=2, max_size=200),
    st.floats(1.0, 2.0),
    st.sampled_from([0, 1000, 65536]),
)
def test_bursts_are_bounded(steps: list[tuple[float, int]], ratio: float, burst_size: int) -> None:
    """However late a sender is, no more goes in any time than the burst rate allows in that and 5 milliseconds."""
    rate = 1e7
    timeline = Timeline(Pacer(ratio, burst_size))
    for late, nbytes in steps:
        timeline.now += late
        timeline.send(nbytes, rate)
    total = np.cumsum([nbytes for _, nbytes in steps])
    times = np.array(timeline.times)
    for first in range(len(steps) - 1):
        between = total[first + 1 :] - total[first]
        allowed = rate * ratio * (times[first + 1 :] - times[first] + 5e-3) + 65536
        assert (between <= allowed + 1e-3).all()


def test_bursts_stand_for_little_time() -> None:
    assert burst_limit(65536, 1e9) == 65536
    assert burst_limit(65536, 125e3) == 625
    assert burst_limit(1, 1e9) == 1
    assert burst_limit(65536, 1e-3) == 1


def test_small_heaps_go_in_bursts() -> None:
    """A thread that wakes up late for each of them could not keep the rate."""
    timeline = Timeline(Pacer(1.05, 65536), late=0.8e-3)
    timeline.send(1000, rate=6.25e6, count=6250)
    elapsed = timeline.times[-1] - timeline.times[0]
    assert 6249 * 1000 / elapsed == pytest.approx(6.25e6, rel=0.01)
    bursts = np.unique(timeline.times, return_counts=True)[1]
    assert bursts.max() == 31  # what 5 ms stand for


def test_a_burst_begins_anew_after_each_wait() -> None:
    timeline = Timeline(Pacer(1.05, 3000))
    timeline.send(1000, rate=1e6, count=9)
    assert np.unique(timeline.times, return_counts=True)[1].tolist() == [3, 3, 3]
    timeline.now += 10.0
    timeline.pacer.begin(timeline.now)
    timeline.send(1000, rate=1e6, count=4)
    assert timeline.times[-4:-1] == [timeline.times[-4]] * 3
