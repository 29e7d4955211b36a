"""From results to what is told of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.__main__ import main
from benchmarks.grid import curve_grid, format_speed, row_grid
from benchmarks.page import FOLDER, RESULTS, page, render, write
from benchmarks.results import Curve, Measurement, Report, Row, load


def _row(name: str, higher_is_better: bool = True, **values: tuple[float, ...]) -> Row:
    measurements = {contender: Measurement(rounds) for contender, rounds in values.items()}
    return Row(name, "GB/s" if higher_is_better else "µs", higher_is_better, measurements)


def _report() -> Report:
    rows = (
        _row("carry", wheel=(1.0, 2.0, 4.0), native=(10.0, 30.0, 80.0), limit=(100.0, 200.0, 400.0)),
        _row("wait", higher_is_better=False, wheel=(70.0, 72.0, 80.0), native=(7.0, 8.0, 6.0)),
    )
    curve = Curve("more", "of them", ((1, _row("more: 1", wheel=(1.5,))), (4, _row("more: 4", native=(2500.0,)))))
    contenders = {"wheel": "spead2", "native": "ours", "limit": "C"}
    return Report({"processor": "fast"}, "today", "make bench", 3, 0.1, contenders, rows, (curve,))


def test_speed_is_that_of_the_same_round() -> None:
    carry, wait = _report().rows
    assert carry.speed("native", "wheel") == 15
    assert carry.speed("native", "source") is None
    assert wait.speed("native", "wheel") == pytest.approx(10)  # a shorter time is a higher speed


def test_results_are_kept(tmp_path: Path) -> None:
    report = _report()
    report.save(tmp_path / RESULTS)
    assert load(tmp_path / RESULTS) == report


def test_page_and_charts(tmp_path: Path) -> None:
    write(_report(), tmp_path)
    text = (tmp_path / "index.md").read_text()
    assert "| carry | wheel | GB/s | 1 | 2 | 4 |  |  | 0.01 x |" in text
    assert "|  | native | µs | 6 | 7 | 8 | 10 x |  |  |" in text
    assert "| 4 |  | 2.5 k |" in text
    charts = {name: (tmp_path / name).read_bytes() for name in ("cases.svg", "scaling.svg")}
    assert all(name in charts["cases.svg"].decode() for name in ("carry", "wait", "native"))
    assert "of them" in charts["scaling.svg"].decode()
    render(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in charts} == charts


def test_lost_turns_are_told() -> None:
    row = Row("x", "GB/s", True, {"wheel": Measurement((1.0,), lost=2)})
    report = Report({}, "", "", 1, 1.0, {"wheel": ""}, (row,), ())
    assert "heaps were lost on the way: 2." in page(report)
    assert "lost on the way" not in page(_report())


def test_tables_for_the_terminal() -> None:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(row_grid(_report().rows).table("Cases"))
        console.print(curve_grid(_report().curves[0]).table("More"))
    assert all(text in capture.get() for text in ("carry", "15 x", "2.5 k"))


@pytest.mark.parametrize(
    ("speed", "text"), [(None, ""), (0.00123456, "0.00123 x"), (1.0, "1 x"), (99.94, "99.9 x"), (1234.5, "1234 x")]
)
def test_speeds_are_short(speed: float | None, text: str) -> None:
    assert format_speed(speed) == text


def test_the_manual_tells_what_was_measured() -> None:
    assert (FOLDER / "index.md").read_text() == page(load(FOLDER / RESULTS)), "python -m benchmarks.page writes it"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--rounds=1", "--seconds=0.001", "--case", "update, 1 item", f"--output={tmp_path}"]
    assert main(arguments) == 0
    (row,) = load(tmp_path / RESULTS).rows
    assert {"wheel", "python"} <= set(row.measurements)
    assert "python -m benchmarks --rounds=1" in json.loads((tmp_path / RESULTS).read_text())["command"]
    assert "get_heap and update, 1 item" in capsys.readouterr().out


def test_cases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "UDP, 1 MiB heaps, 1472 B packets\n" in capsys.readouterr().out


def test_a_case_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--case", "nonsense"])
    assert "no case's name has nonsense in it; --list prints them" in capsys.readouterr().err
