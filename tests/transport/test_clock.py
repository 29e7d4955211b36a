from __future__ import annotations

import threading

import pytest

from spead_transport.transport import ManualClock, system_clock


def test_alarms_go_off_in_order_each_at_its_time() -> None:
    clock = ManualClock()
    seen: list[tuple[str, float]] = []
    for when, name in ((2.0, "later"), (1.0, "first"), (1.0, "second"), (9.0, "never")):
        clock.call_at(when, lambda name=name: seen.append((name, clock.now())))  # type: ignore[misc]
    clock.advance(5)
    assert seen == [("first", 1.0), ("second", 1.0), ("later", 2.0)]
    assert clock.now() == 5.0


def test_alarms_can_set_others() -> None:
    clock = ManualClock()
    times: list[float] = []

    def tick() -> None:
        times.append(clock.now())
        clock.call_at(clock.now() + 1, tick)

    clock.call_at(0, tick)
    clock.advance(3)
    assert times == [0, 1, 2, 3]


def test_cancelled_alarms_do_not_go_off() -> None:
    clock = ManualClock()
    seen: list[str] = []
    alarm = clock.call_at(1, lambda: seen.append("cancelled"))
    clock.call_at(1, lambda: seen.append("kept"))
    clock.cancel(alarm)
    clock.cancel(alarm)
    clock.advance(2)
    clock.cancel(alarm)
    assert seen == ["kept"]


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock().advance(-1)


def test_the_systems_clock_calls() -> None:
    called = threading.Event()
    before = system_clock.now()
    system_clock.call_at(before + 0.001, called.set)
    assert called.wait(20)
    assert system_clock.now() >= before + 0.001


def test_an_earlier_alarm_does_not_wait_for_a_later_one() -> None:
    """Nor does anything stay behind when the later one is cancelled: see the check for leaks."""
    called = threading.Event()
    later = system_clock.call_at(system_clock.now() + 1e6, called.set)
    system_clock.call_at(system_clock.now(), called.set)
    assert called.wait(20)
    system_clock.cancel(later)


def test_a_call_that_fails_does_not_stop_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("on purpose")

    called = threading.Event()
    now = system_clock.now()
    system_clock.call_at(now, fail)
    system_clock.call_at(now, called.set)
    assert called.wait(20)
    assert "on purpose" in caplog.text
