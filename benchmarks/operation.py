"""What is timed, and what is known afterwards."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable

import attrs

__all__ = ["LostError", "Operation", "Sample", "Unit"]


class LostError(RuntimeError):
    """Heaps did not arrive, so that there is nothing to time."""


@attrs.frozen
class Operation:
    """Something that can be done many times.

    Parameters
    ----------
    run
        Does it that many times. Only its calls are timed.
    cpu
        Seconds that the processors spent so far on what matters; by default on anything.
    step
        It can be done so many times, or a multiple of that.
    """

    run: Callable[[int], None]
    cpu: Callable[[], float] = time.process_time
    step: int = 1

    def measure(self, times: int) -> Sample:
        """Do it at least so many times and see how long it takes.

        Raises
        ------
        LostError
            If heaps were lost on the way.
        """
        times = -(-times // self.step) * self.step
        cpu, start = self.cpu(), time.perf_counter()
        self.run(times)
        return Sample(times, time.perf_counter() - start, self.cpu() - cpu)


@attrs.frozen
class Sample:
    """How long something took."""

    times: int
    seconds: float
    cpu: float


class Unit(enum.Enum):
    """How results are told."""

    THROUGHPUT = "GB/s"
    RATE = "heaps/s"
    DURATION = "µs"
    CPU = "CPU s/GB"

    @property
    def higher_is_better(self) -> bool:
        return self in (Unit.THROUGHPUT, Unit.RATE)

    def result(self, sample: Sample, nbytes: int) -> float:
        """What a sample comes to, if each time is about `nbytes` bytes."""
        match self:
            case Unit.THROUGHPUT:
                return sample.times * nbytes / sample.seconds / 1e9
            case Unit.RATE:
                return sample.times / sample.seconds
            case Unit.DURATION:
                return sample.seconds / sample.times * 1e6
            case Unit.CPU:
                return sample.cpu / (sample.times * nbytes / 1e9)
