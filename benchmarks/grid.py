"""Results as text in rows and columns, for the terminal and for the manual."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from rich.table import Table

from .contenders import PEERS
from .results import Curve, Measurement, Row

__all__ = ["Grid", "curve_grid", "format_speed", "row_grid"]


@attrs.frozen
class Grid:
    """Cells with headings; the first `names` columns hold names, the others numbers."""

    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    names: int

    def table(self, title: str) -> Table:
        """For the terminal."""
        table = Table(title=title)
        for i, heading in enumerate(self.headings):
            table.add_column(heading, justify="left" if i < self.names else "right", no_wrap=i > 0)
        for line in self.lines:
            if self.names and line[0]:
                table.add_section()
            table.add_row(*line)
        return table

    def markdown(self) -> str:
        """For the manual."""
        rules = ["---" if i < self.names else "--:" for i in range(len(self.headings))]
        return "\n".join(f"| {' | '.join(line)} |" for line in (self.headings, rules, *self.lines))


def row_grid(rows: Sequence[Row]) -> Grid:
    """Each case with all who took part, and how many times as fast they were as each peer."""
    lines = []
    for row in rows:
        for i, (name, measurement) in enumerate(row.measurements.items()):
            speeds = ["" if name == peer else format_speed(row.speed(name, peer)) for peer in PEERS]
            lines.append(["" if i else row.name, name, row.unit, *_numbers(measurement), *speeds])
    headings = ["case", "by", "unit", "lowest", "median", "highest", *(f"/ {peer}" for peer in PEERS)]
    return Grid(headings, lines, names=3)


def curve_grid(curve: Curve) -> Grid:
    """The medians, with a line for each value of what varies."""
    lines = [[str(value), *(_median(row, name) for name in curve.names)] for value, row in curve.points]
    return Grid([curve.axis, *curve.names], lines, names=0)


def format_speed(speed: float | None) -> str:
    """How many times as fast; nothing if that is not known."""
    return "" if speed is None else f"{_three_digits(speed)} x"


def _format_value(value: float) -> str:
    """Three digits, whatever the size."""
    for factor, suffix in ((1e6, " M"), (1e3, " k")):
        if value >= 0.9995 * factor:
            return _three_digits(value / factor) + suffix
    return _three_digits(value)


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"


def _numbers(measurement: Measurement) -> list[str]:
    return [_format_value(value) for value in (measurement.lowest, measurement.median, measurement.highest)]


def _median(row: Row, name: str) -> str:
    return _format_value(row.measurements[name].median) if name in row.measurements else ""
