"""Compare the engines with spead2, from PyPI and built from its source, and all with the machine's limits."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, Self

import attrs
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from . import page
from .cases import CASES, CURVES, Case, Curve
from .contenders import CONTENDERS, Contender, Process, ProcessError
from .grid import curve_grid, row_grid
from .measure import compare, started
from .operation import LostError
from .results import Curve as CurveResult
from .results import Report, Row

__all__ = ["main"]

_QUICK: Final = (5, 1, 0.02)  #: rounds of cases and of curves, and seconds of a turn
_OUT: Final = Path("out/benchmarks")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        sys.stdout.write("\n".join([*(case.name for case in CASES), *(curve.name for curve in CURVES), ""]))
        return 0
    rounds, curve_rounds, seconds = _QUICK if options.quick else (options.rounds, options.rounds, options.seconds)
    cases = [case for case in CASES if _chosen(case.name, options.case)]
    curves = [curve for curve in CURVES if _chosen(curve.name, options.case)]
    if options.quick:
        curves = [attrs.evolve(curve, values=curve.values[::2]) for curve in curves]
    if not cases and not curves:
        parser.error(f"no case's name has {' or '.join(options.case)} in it; --list prints them")
    console = Console(width=None if sys.stdout.isatty() else 140)
    contenders = _available(console)
    try:
        with started(contenders) as processes, _Progress(contenders, processes, console) as run:
            run.expect(cases, curves, rounds, curve_rounds)
            rows = tuple(run.case(case, rounds, seconds) for case in cases)
            scaling = tuple(run.curve(curve, curve_rounds, seconds) for curve in curves)
    except (ProcessError, LostError) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return 1
    report = Report(
        machine=_machine(),
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        command=options.command or shlex.join(["python", "-m", "benchmarks", *arguments]),
        rounds=rounds,
        seconds=seconds,
        contenders={contender.name: contender.description for contender in contenders},
        rows=rows,
        curves=scaling,
    )
    _tell(report, console)
    page.write(report, options.output)
    console.print(f"written to {options.output}", soft_wrap=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few short rounds: less than a minute")
    parser.add_argument("--rounds", type=int, default=7, help="how often each contender's turn comes (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.1, help="how long a turn lasts (%(default)s)")
    parser.add_argument("--case", nargs="+", default=[""], help="only cases whose name has one of these texts in it")
    parser.add_argument("--list", action="store_true", help="print the names of all cases")
    parser.add_argument("--output", type=Path, default=_OUT, help="folder for results, charts and page (%(default)s)")
    parser.add_argument("--command", help="what the page says how it was made (this command)")
    return parser


def _chosen(name: str, texts: Sequence[str]) -> bool:
    return any(text in name for text in texts)


def _available(console: Console) -> list[Contender]:
    """Who can take part. Tells why the others do not."""
    reasons = {contender: contender.missing() for contender in CONTENDERS}
    for contender, reason in reasons.items():
        if reason:
            console.print(f"without {contender.name}: {reason}", highlight=False, soft_wrap=True)
    return [contender for contender, reason in reasons.items() if not reason]


def _tell(report: Report, console: Console) -> None:
    if report.rows:
        title = f"Lowest, median and highest of {report.rounds} rounds, and how many times as fast"
        console.print(row_grid(report.rows).table(title))
    for curve in report.curves:
        console.print(curve_grid(curve).table(f"{curve.name}, {curve.unit}"))
    console.print(", ".join(report.machine.values()), soft_wrap=True)


def _machine() -> dict[str, str]:
    packages = ("spead-transport", "spead2", "numpy")
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "Python": f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in packages)}",
        "load": f"load {os.getloadavg()[2]:.1f} over 15 minutes, the benchmark included",
    }


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()


class _Progress:
    """Measures, and shows how far it is."""

    def __init__(self, contenders: Sequence[Contender], processes: dict[str, Process], console: Console) -> None:
        self._contenders = contenders
        self._processes = processes
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def expect(self, cases: Sequence[Case], curves: Sequence[Curve], rounds: int, curve_rounds: int) -> None:
        """Say what will be measured, and in how many rounds."""
        points = (curve.case(value) for curve in curves for value in curve.values)
        turns = sum(len(self._able(case)) * (rounds + 1) for case in cases)
        turns += sum(len(self._able(point)) * (curve_rounds + 1) for point in points)
        self._progress.update(self._task, total=turns)

    def case(self, case: Case, rounds: int, seconds: float) -> Row:
        """Measure a case."""
        self._progress.update(self._task, description=case.name)
        return compare(case, self._able(case), rounds, seconds, lambda: self._progress.advance(self._task))

    def curve(self, curve: Curve, rounds: int, seconds: float) -> CurveResult:
        """Measure all cases of a curve."""
        points = tuple((value, self.case(curve.case(value), rounds, seconds)) for value in curve.values)
        return CurveResult(curve.name, curve.axis, points)

    def _able(self, case: Case) -> dict[str, Process]:
        return {c.name: self._processes[c.name] for c in self._contenders if c.can(case)}


if __name__ == "__main__":
    sys.exit(main())
