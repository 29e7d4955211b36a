"""What came out, to be kept, shown and drawn."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import attrs
import cattrs

__all__ = ["Curve", "Measurement", "Report", "Row", "load"]


@attrs.frozen
class Measurement:
    """What a contender reached in each round.

    Parameters
    ----------
    values
        These, in the case's unit.
    lost
        How many turns were repeated because heaps were lost on the way.
    """

    values: tuple[float, ...]
    lost: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def lowest(self) -> float:
        return min(self.values)

    @property
    def highest(self) -> float:
        return max(self.values)


@attrs.frozen
class Row:
    """What a case came to for each contender, by name."""

    name: str
    unit: str
    higher_is_better: bool
    measurements: dict[str, Measurement]

    def speed(self, name: str, other: str) -> float | None:
        """How much faster than another: the median of the rounds' ratios; none if one of them did not take part."""
        if name not in self.measurements or other not in self.measurements:
            return None
        pairs = zip(self.measurements[name].values, self.measurements[other].values, strict=True)
        ratios = [own / its for own, its in pairs]
        return statistics.median(ratios if self.higher_is_better else [1 / ratio for ratio in ratios])


@attrs.frozen
class Curve:
    """Cases that differ in one number: for each of its values a row."""

    name: str
    axis: str
    points: tuple[tuple[int, Row], ...]

    @property
    def unit(self) -> str:
        return self.points[0][1].unit

    @property
    def names(self) -> list[str]:
        """Who took part at any point."""
        return list(dict.fromkeys(name for _, row in self.points for name in row.measurements))


@attrs.frozen
class Report:
    """Everything that was measured in one run.

    Parameters
    ----------
    machine, date, command
        Where, when and how.
    rounds, seconds
        How many turns each contender had, and how long one took.
    contenders
        What is behind their names.
    rows, curves
        The results.
    """

    machine: dict[str, str]
    date: str
    command: str
    rounds: int
    seconds: float
    contenders: dict[str, str]
    rows: tuple[Row, ...]
    curves: tuple[Curve, ...]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        plain: dict[str, Any] = _converter.unstructure(self)
        path.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> Report:
    """Read what :meth:`Report.save` wrote."""
    return _converter.structure(json.loads(path.read_text()), Report)


_converter = cattrs.Converter()
# Five digits are more than a measurement is worth, and make a file that can be read.
_converter.register_unstructure_hook(float, lambda value: float(f"{value:.5g}"))
