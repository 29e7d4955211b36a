"""How it is measured: in one process, contender after contender, several times over."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from .cases import Case, Operate
from .contenders import Contender

__all__ = ["Comparison", "Measurement", "compare", "measure_limit"]

_SHORTEST: Final = 0.002  #: seconds that a first attempt must take for its rate to be believed


@attrs.frozen
class Measurement:
    """How many times per second, in each round."""

    rates: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rates)

    @property
    def lowest(self) -> float:
        return min(self.rates)

    @property
    def highest(self) -> float:
        return max(self.rates)


@attrs.frozen
class Comparison:
    """What one case gave for each contender, by name; the first one is the peer."""

    case: Case
    measurements: dict[str, Measurement]

    def ratio(self, name: str) -> float:
        """How much faster than the peer: the median of the rounds' ratios."""
        peer = next(iter(self.measurements.values()))
        pairs = zip(self.measurements[name].rates, peer.rates, strict=True)
        return statistics.median(own / other for own, other in pairs)


def compare(case: Case, contenders: Sequence[Contender], rounds: int, seconds: float) -> Comparison:
    """Measure `case` for all contenders in turn, `rounds` times; each time for about that many seconds."""
    rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for i in range(rounds):
        # Forwards and backwards by turns: what the machine does besides should not always hit the same one.
        for contender in contenders if i % 2 == 0 else reversed(contenders):
            with contender.selected() as library, case.prepare(library) as operate:
                rates[contender.name].append(_rate(operate, seconds))
    return Comparison(case, {name: Measurement(tuple(values)) for name, values in rates.items()})


def measure_limit(operate: Operate, rounds: int, seconds: float) -> Measurement:
    """Measure something that does not depend on a library."""
    return Measurement(tuple(_rate(operate, seconds) for _ in range(rounds)))


def _rate(operate: Callable[[int], None], seconds: float) -> float:
    """How often per second `operate` does it. First attempts warm up, and tell how often it fits in the time."""
    n = 1
    while (elapsed := _elapsed(operate, n)) < _SHORTEST:
        n *= 4
    n = max(1, round(n * seconds / elapsed))
    return n / _elapsed(operate, n)


def _elapsed(operate: Callable[[int], None], n: int) -> float:
    start = time.perf_counter()
    operate(n)
    return time.perf_counter() - start
