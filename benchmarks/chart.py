"""Results as charts, in SVG: how much faster than a peer in each case, and how all scale."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .grid import format_speed
from .results import Curve, Report, Row

__all__ = ["draw_curves", "draw_rows"]

_COLOURS: Final = {
    "wheel": "#b0b0b0",
    "source": "#707070",
    "native": "#d62728",
    "native, worker": "#ff9896",
    "python": "#1f77b4",
    "limit": "#2ca02c",
}
_ROW_HEIGHT: Final = 0.16  #: inches of a bar
_COLUMNS: Final = 2


def draw_rows(report: Report, path: Path) -> None:
    """Speeds relative to the first contender, on a logarithmic axis; a group of bars for each case."""
    base = next(iter(report.contenders))
    names = list(report.contenders)
    rows = [row for row in report.rows if base in row.measurements]
    height = _ROW_HEIGHT * sum(len(row.measurements) + 1.5 for row in rows) + 1
    with _styled():
        figure = Figure(figsize=(8, height), layout="constrained")
        axes = figure.add_subplot()
        middles = _draw_bars(axes, rows, names, base)
        axes.set_yticks(middles, [row.name for row in rows])
        axes.set_xscale("log")
        axes.set_xlabel(f"times as fast as {report.contenders[base]}")
        axes.axvline(1, color="black", linewidth=0.8)
        axes.margins(y=0.01)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        _add_legend(figure)
        _save(figure, path)


def _draw_bars(axes: Axes, rows: Sequence[Row], names: Sequence[str], base: str) -> list[float]:
    """Returns where the middle of each group is."""
    middles, y = [], 0.0
    for row in rows:
        present = [name for name in names if name in row.measurements]
        middles.append(y + (len(present) - 1) / 2)
        for name in present:
            speed = row.speed(name, base) or 1.0
            axes.barh(y, speed - 1, left=1, height=0.9, color=_COLOURS[name], label=name)
            side = "left" if speed >= 1 else "right"
            axes.text(speed, y, f" {format_speed(speed)} ", va="center", ha=side, fontsize=6)
            y += 1
        y += 1.5
    return middles


def draw_curves(report: Report, path: Path) -> None:
    """A chart for each curve, both axes logarithmic."""
    lines = -(-len(report.curves) // _COLUMNS)
    with _styled():
        figure = Figure(figsize=(8, 2.6 * lines + 0.4), layout="constrained")
        for i, curve in enumerate(report.curves):
            _draw_curve(figure.add_subplot(lines, _COLUMNS, i + 1), curve)
        _add_legend(figure)
        _save(figure, path)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    for name in curve.names:
        points = [(value, row.measurements[name]) for value, row in curve.points if name in row.measurements]
        values = [value for value, _ in points]
        axes.plot(values, [m.median for _, m in points], "o-", color=_COLOURS[name], label=name, markersize=3)
        axes.fill_between(
            values, [m.lowest for _, m in points], [m.highest for _, m in points], color=_COLOURS[name], alpha=0.2
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks([value for value, _ in curve.points], [_short(value) for value, _ in curve.points])
    axes.set_yscale("log")
    axes.set_title(curve.name, fontsize=8)
    axes.set_xlabel(curve.axis)
    axes.set_ylabel(curve.unit)
    axes.grid(True, linewidth=0.3)


def _add_legend(figure: Figure) -> None:
    """One for all axes, in the order of the colours."""
    shown: dict[str, Artist] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    names = [name for name in _COLOURS if name in shown]
    figure.legend([shown[name] for name in names], names, loc="outside upper center", ncols=len(names))


def _styled() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": "benchmarks",  # the same results give the same file
            "font.size": 8,
            "font.family": "sans-serif",
        }
    )


def _short(value: int) -> str:
    return f"{value // 1024} Ki" if value >= 1024 and value % 1024 == 0 else str(value)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
