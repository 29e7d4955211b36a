"""What the measurement of rates makes of what it saw."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.rate import Clocked, judge, measure
from spead_transport.transport import PacketBatch


def test_a_rate_is_what_went_before_the_last_burst() -> None:
    keeping = judge(2000.0, np.array([0.0, 0.5, 1.0]), np.array([1000, 1000, 1000]))
    assert keeping.rate == pytest.approx(2000.0)
    assert keeping.error == pytest.approx(0.0)
    assert keeping.largest == 1000


def test_what_goes_without_a_gap_is_one_burst() -> None:
    times = np.array([0.0, 1e-7, 2e-7, 0.5, 1.0])
    keeping = judge(2000.0, times, np.array([500, 600, 700, 800, 900]))
    assert keeping.largest == 1800
    assert keeping.error == pytest.approx(0.3)


def test_the_time_of_each_batch_is_noted() -> None:
    with Clocked() as sender:
        assert sender.try_send(PacketBatch.of([b"ab", b"cde"])) == 2
        assert sender.sizes == [5]
        assert len(sender.times) == 1


@pytest.mark.parametrize("style", ["sync", "asyncio"])
def test_streams_are_measured(style: str, engine: str) -> None:
    keeping = measure(0.0, 0.02, engine, style)
    assert keeping.rate > 0
