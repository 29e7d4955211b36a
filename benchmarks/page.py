"""Results as a page of the manual. ``python -m benchmarks.page`` writes it anew from what was measured."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .chart import draw_curves, draw_rows
from .grid import Grid, curve_grid, row_grid
from .results import Report, Row, load

__all__ = ["FOLDER", "RESULTS", "page", "render", "write"]

FOLDER: Final = Path(__file__).parents[1] / "docs" / "benchmarks"
RESULTS: Final = "results.json"
_INTRODUCTION: Final = """\
# Benchmarks

How fast heaps travel, next to [spead2](https://spead2.readthedocs.io) and to what the machine can do.
`{command}` measures everybody in one run, and writes this page. Contenders take turns, each in a process of its
own: {rounds} rounds of about {seconds:g} s. The last columns say how many times as fast something is, whatever its
unit: the medians of the rounds' ratios.

spead2 is measured at its best: memory from a pool, a large ring, small heaps in batches, no logging. Over UDP there
are never more heaps under way than the socket's buffer holds, so that all that count did arrive. The limit is, for
heaps in memory, a `memcpy` of their payload; over UDP, a C program that moves the same datagrams with `UDP_SEGMENT`
and `UDP_GRO`, and copies each payload once; over TCP, one that moves the same bytes."""


def write(report: Report, folder: Path = FOLDER) -> None:
    """Write the results, the charts and the page."""
    folder.mkdir(parents=True, exist_ok=True)
    report.save(folder / RESULTS)
    render(folder)


def render(folder: Path = FOLDER) -> None:
    """Write the charts and the page anew."""
    report = load(folder / RESULTS)
    if report.rows:
        draw_rows(report, folder / "cases.svg")
    if report.curves:
        draw_curves(report, folder / "scaling.svg")
    (folder / "index.md").write_text(page(report))


def page(report: Report) -> str:
    """The page, in Markdown."""
    return "\n\n".join(_sections(report)) + "\n"


def _sections(report: Report) -> Iterator[str]:
    yield _INTRODUCTION.format(command=report.command, rounds=report.rounds, seconds=report.seconds)
    yield Grid(["contender", "what it is"], [*report.contenders.items()], names=2).markdown()
    yield Grid(["measured", "on"], [("date", report.date), *report.machine.items()], names=2).markdown()
    if report.rows:
        yield "## Cases\n\n![Speed of all contenders in each case](cases.svg)"
        yield row_grid(report.rows).markdown()
    if report.curves:
        yield "## How it scales\n\n![Speed against numbers and sizes](scaling.svg)"
        for curve in report.curves:
            yield f"### {curve.name}, {curve.unit}"
            yield curve_grid(curve).markdown()
    if lost := sum(measurement.lost for row in _all_rows(report) for measurement in row.measurements.values()):
        yield f"Turns that were repeated because heaps were lost on the way: {lost}."


def _all_rows(report: Report) -> Iterator[Row]:
    yield from report.rows
    for curve in report.curves:
        yield from (row for _, row in curve.points)


if __name__ == "__main__":
    render()
    sys.exit()
