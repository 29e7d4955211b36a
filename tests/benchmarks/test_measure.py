"""Contenders take turns, each in its own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import attrs
import pytest

from benchmarks.cases import CASES, Case
from benchmarks.contenders import CONTENDERS, Contender, Process, ProcessError
from benchmarks.measure import compare, rehearse, started
from benchmarks.operation import LostError, Sample
from benchmarks.worker import LIMIT

_ITEMS = next(case for case in CASES if case.name == "get_heap and update, 1 item")
_MEMCPY = next(case for case in CASES if case.limit is not None)


@attrs.define
class _Fake:
    """A process that takes exactly a millisecond each time, and loses heaps in the turns it is told."""

    name: str
    turns: list[str]
    losing: set[int] = attrs.field(factory=set)
    runs: int = 0

    def open(self, case: Case) -> None:
        self.turns.append(f"open {self.name}")

    def run(self, times: int) -> Sample:
        self.runs += 1
        if self.runs in self.losing:
            raise LostError("heaps were lost")
        self.turns.append(f"{self.name} {times}")
        return Sample(times, times * 1e-3, times * 1e-3)


def _play(*fakes: _Fake, rounds: int) -> dict[str, tuple[int, int]]:
    """How many results each one has, and how many turns were lost."""
    row = compare(_ITEMS, {fake.name: cast(Process, fake) for fake in fakes}, rounds, seconds=0.005)
    return {name: (len(m.values), m.lost) for name, m in row.measurements.items()}


def test_turns_go_forwards_and_backwards() -> None:
    turns: list[str] = []
    assert _play(_Fake("a", turns), _Fake("b", turns), rounds=2) == {"a": (2, 0), "b": (2, 0)}
    assert turns[-4:] == ["a 5", "b 5", "b 5", "a 5"]


def test_a_turn_in_which_heaps_are_lost_is_repeated() -> None:
    turns: list[str] = []
    assert _play(_Fake("a", turns, losing={3, 4}), rounds=1) == {"a": (1, 2)}
    assert turns == ["open a", "a 1", "a 5", "open a", "open a", "a 5"]


def test_who_always_loses_heaps_is_given_up() -> None:
    with pytest.raises(LostError, match="heaps were lost"):
        _play(_Fake("a", [], losing={3, 4, 5}), rounds=1)


def test_rehearsals_do_not_believe_what_is_short() -> None:
    tried: list[int] = []

    def run(times: int) -> Sample:
        tried.append(times)
        return Sample(times, times * 1e-6, 0.0)

    assert rehearse(run, 0.01) == 10_000
    assert tried == [1, 10, 100, 1000, 10_000]


def test_processes_measure() -> None:
    contenders = [contender for contender in CONTENDERS if contender.name in ("wheel", "python", LIMIT)]
    with started(contenders) as processes:
        assert set(processes) == {"wheel", "python", LIMIT}
        for name, process in processes.items():
            process.open(_MEMCPY if name == LIMIT else _ITEMS)
            assert process.run(3).times == 3


def test_errors_of_a_process_are_raised_here() -> None:
    with Contender(LIMIT, "", LIMIT).start() as process:
        with pytest.raises(ProcessError, match="limit: Traceback"):
            process.open(_ITEMS)
        process.open(_MEMCPY)  # it goes on


def test_the_end_of_a_process_is_noticed(tmp_path: Path) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\nexit 3\n")
    interpreter.chmod(0o755)
    with (
        Contender("broken", "", "spead2", python=interpreter).start() as process,
        pytest.raises(ProcessError, match="broken: the process ended with exit code 3"),
    ):
        process.open(_ITEMS)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    nowhere = tmp_path / "python"
    assert str(nowhere) in Contender("source", "", "spead2", python=nowhere).missing()
    assert "rust engine" in Contender("rust", "", "spead_transport", engine="rust").missing()
    assert not Contender("wheel", "", "spead2", python=Path(sys.executable)).missing()
