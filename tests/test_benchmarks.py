"""The benchmarks do what they time, with everybody who takes part; how fast is not tested."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.__main__ import main
from benchmarks.cases import CASES, Case, Operate
from benchmarks.contenders import PEER, Contender, contenders
from benchmarks.measure import Comparison, Measurement, compare


@pytest.mark.parametrize("contender", contenders(), ids=lambda contender: str(contender.name))
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_case(case: Case, contender: Contender) -> None:
    with contender.selected() as library, case.prepare(library) as operate:
        operate(1)
        operate(20)


def test_contenders_take_turns() -> None:
    turns: list[str] = []

    @contextmanager
    def prepare(library: ModuleType) -> Iterator[Operate]:
        turns.append(library.__name__)
        yield lambda n: time.sleep(n * 1e-4)

    ours = next(contender for contender in contenders() if contender != PEER)
    comparison = compare(Case("waiting", prepare), [PEER, ours], rounds=2, seconds=0.001)
    assert turns == ["spead2", "spead_transport", "spead_transport", "spead2"]
    assert [len(measurement.rates) for measurement in comparison.measurements.values()] == [2, 2]


def test_ratio_is_that_of_the_same_round() -> None:
    measurements = {"peer": Measurement((1.0, 10.0, 2.0)), "ours": Measurement((2.0, 30.0, 2.0))}
    comparison = Comparison(CASES[0], measurements)
    assert comparison.ratio("ours") == 2.0
    assert comparison.ratio("peer") == 1.0


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.json"
    assert main(["--rounds=1", "--seconds=0.001", "--only=update, 1 item", f"--json={path}"]) == 0
    report = json.loads(path.read_text())
    assert set(report) == {"machine", "limits", "cases"}
    (case,) = report["cases"].values()
    assert set(case["contenders"]) == {contender.name for contender in contenders()}
    assert "get_heap and update, 1 item" in capsys.readouterr().out
