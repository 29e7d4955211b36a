"""How it is measured: contender after contender, several times over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import attrs

from .cases import Case
from .contenders import Contender, Process
from .operation import LostError, Sample
from .results import Measurement, Row

__all__ = ["Turns", "compare", "rehearse", "started"]

_CLOSE: Final = 0.6  #: of a turn's time: so near must a rehearsal come to it
_MOST_GROWTH: Final = 10  #: from one rehearsal to the next: a short one may be wrong
_ATTEMPTS: Final = 3  #: at a turn in which heaps are lost


@contextmanager
def started(contenders: Sequence[Contender]) -> Iterator[dict[str, Process]]:
    """Their processes, by name."""
    with ExitStack() as stack:
        yield {contender.name: stack.enter_context(contender.start()) for contender in contenders}


def compare(
    case: Case,
    processes: dict[str, Process],
    rounds: int,
    seconds: float,
    advance: Callable[[], None] = lambda: None,
) -> Row:
    """Measure a case in all processes by turns, so many times, each time for about that many seconds.

    `advance` is called after each turn, and once per process before them.
    """
    players = {name: Turns(process, case, seconds) for name, process in processes.items()}
    for player in players.values():
        player.prepare()
        advance()
    for i in range(rounds):
        # Forwards and backwards by turns: what the machine does besides should not always hit the same one.
        for player in players.values() if i % 2 == 0 else reversed(players.values()):
            player.play()
            advance()
    measurements = {name: player.measurement for name, player in players.items()}
    return Row(case.name, case.unit.value, case.unit.higher_is_better, measurements)


@attrs.define
class Turns:
    """A process's turns at a case."""

    process: Process
    case: Case
    seconds: float
    _times: int = attrs.field(default=1, init=False)
    _values: list[float] = attrs.field(factory=list, init=False)
    _lost: int = attrs.field(default=0, init=False)

    def prepare(self) -> None:
        """Make the case ready, warm up, and find out how often it fits in a turn's time."""
        self.process.open(self.case)
        self._times = rehearse(self.process.run, self.seconds)

    def play(self) -> None:
        """Take a turn.

        Raises
        ------
        LostError
            If heaps were lost in each of several attempts.
        """
        for attempt in range(_ATTEMPTS):
            try:
                sample = self.process.run(self._times)
            except LostError:
                if attempt == _ATTEMPTS - 1:
                    raise
                self._lost += 1
                self.process.open(self.case)
            else:
                self._values.append(self.case.unit.result(sample, self.case.nbytes))
                return

    @property
    def measurement(self) -> Measurement:
        return Measurement(tuple(self._values), self._lost)


def rehearse(run: Callable[[int], Sample], seconds: float) -> int:
    """How often something can be done in about that time. It is done more and more often to find out."""
    sample = run(1)
    while sample.seconds < _CLOSE * seconds:
        sample = run(max(sample.times + 1, round(sample.times * min(_MOST_GROWTH, seconds / sample.seconds))))
    return sample.times
