"""The benchmarks do what they time, with everybody who takes part; how fast is not tested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
import spead2
import spead2.recv.asyncio
import spead2.send.asyncio

import spead_transport
from benchmarks.cases import CASES, CURVES, Case, find
from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.library import Library
from benchmarks.operation import Operation, Sample, Unit
from benchmarks.worker import LIMIT
from spead_transport.engine.selection import ENVIRONMENT_VARIABLE

_MODULES = {module.__name__: module for module in (spead2, spead_transport)}
#: The same library as the wheel, only built otherwise.
_HERE = [contender for contender in CONTENDERS if contender.name != "source"]


def _prepared(case: Case, contender: Contender) -> AbstractContextManager[Operation]:
    if contender.module == LIMIT:
        assert case.limit is not None
        return case.limit()
    return case.prepare(Library(_MODULES[contender.module], contender.worker))


def _pairs(cases: list[Case]) -> Iterator[object]:
    for case in cases:
        for contender in _HERE:
            if contender.can(case):
                yield pytest.param(case, contender, id=f"{case.name}-{contender.name}")


def _at_both_ends() -> list[Case]:
    return [curve.case(value) for curve in CURVES for value in (curve.values[0], curve.values[-1])]


@pytest.mark.parametrize(("case", "contender"), [*_pairs([*CASES, *_at_both_ends()])])
def test_case(case: Case, contender: Contender, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := contender.missing():
        pytest.skip(reason)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, contender.engine)
    with _prepared(case, contender) as operation:
        for times in (1, 3):
            sample = operation.measure(times)
            assert sample.times >= times
            assert sample.times % operation.step == 0
            assert case.unit.result(sample, case.nbytes) >= 0


def test_cases_are_found_by_name() -> None:
    assert find(CASES[0].name) is CASES[0]
    for curve in CURVES:
        for value in curve.values:
            name = curve.case(value).name
            assert find(name).name == name


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for case in CASES] + [curve.name for curve in CURVES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("unit", "result"), [(Unit.THROUGHPUT, 2.0), (Unit.RATE, 2000.0), (Unit.DURATION, 500.0), (Unit.CPU, 0.25)]
)
def test_units(unit: Unit, result: float) -> None:
    assert unit.result(Sample(times=1000, seconds=0.5, cpu=0.25), nbytes=1_000_000) == pytest.approx(result)
    assert unit.higher_is_better == (unit in (Unit.THROUGHPUT, Unit.RATE))
