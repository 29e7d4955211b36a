"""Compare the engines that are installed with spead2, and both with the machine's limits."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import attrs
from rich.console import Console
from rich.table import Table

from .cases import CASES, LIMITS, Case
from .contenders import PEER, contenders, silenced
from .measure import Comparison, Measurement, compare, measure_limit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    rounds, seconds = (5, 0.05) if options.quick else (options.rounds, options.seconds)
    cases = [case for case in CASES if options.only in case.name]
    if not cases:
        parser.error(f"no case's name has {options.only!r} in it")
    console = Console(width=None if sys.stdout.isatty() else 120)
    with silenced(), console.status("") as status:
        limits = {}
        for name, (operate, nbytes) in LIMITS.items():
            status.update(name)
            limits[name] = (measure_limit(operate, rounds, seconds), nbytes)
        comparisons = []
        for case in cases:
            status.update(case.name)
            comparisons.append(compare(case, contenders(), rounds, seconds))
    console.print(_table(limits, comparisons))
    console.print(f"lowest, median and highest of {rounds} rounds; {_machine()}", soft_wrap=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(_report(limits, comparisons), indent=2) + "\n")
    console.print(f"written to {options.json}", soft_wrap=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 short rounds")
    parser.add_argument("--rounds", type=int, default=9, help="how often each contender's turn comes (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a turn lasts (%(default)s)")
    parser.add_argument("--only", default="", help="only cases whose name contains this text")
    parser.add_argument("--json", type=Path, default=Path("out/benchmarks.json"), help="(%(default)s)")
    return parser


def _table(limits: dict[str, tuple[Measurement, int]], comparisons: Sequence[Comparison]) -> Table:
    table = Table(title="Higher is better, except for times")
    for heading in ("case", "by"):
        table.add_column(heading, no_wrap=True)
    for heading in ("lowest", "median", "highest", f"speed / {PEER.name}"):
        table.add_column(heading, justify="right")
    for name, (measurement, nbytes) in limits.items():
        table.add_row(name, "this machine", *_show(measurement, nbytes), "")
    for comparison in comparisons:
        table.add_section()
        case = comparison.case
        for name, measurement in comparison.measurements.items():
            heading, ratio = (case.name, "") if name == PEER.name else ("", f"{comparison.ratio(name):.2f}")
            table.add_row(heading, name, *_show(measurement, case.nbytes), ratio)
    return table


def _show(measurement: Measurement, nbytes: int) -> list[str]:
    rates = (measurement.lowest, measurement.median, measurement.highest)
    if nbytes:
        return [f"{rate * nbytes / 1e9:.3f} GB/s" for rate in rates]
    return [f"{1e6 / rate:.2f} µs" for rate in rates]


def _machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("spead2", "spead-transport", "numpy"))
    cores = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    return f"{cores}, {platform.platform()}, python {platform.python_version()}, {packages}"


def _report(limits: dict[str, tuple[Measurement, int]], comparisons: Sequence[Comparison]) -> dict[str, object]:
    return {
        "machine": _machine(),
        "limits": {
            name: attrs.asdict(measurement) | {"nbytes": nbytes} for name, (measurement, nbytes) in limits.items()
        },
        "cases": {comparison.case.name: _report_case(comparison, comparison.case) for comparison in comparisons},
    }


def _report_case(comparison: Comparison, case: Case) -> dict[str, object]:
    return {
        "nbytes": case.nbytes,
        "contenders": {
            name: attrs.asdict(measurement) | {"median": measurement.median, "ratio": comparison.ratio(name)}
            for name, measurement in comparison.measurements.items()
        },
    }


if __name__ == "__main__":
    sys.exit(main())
