"""How commands print."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

import click

__all__ = ["print_columns", "print_json"]


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_columns(rows: Sequence[Sequence[str]], indent: int) -> None:
    """Rows of as many cells each, aligned; the last cell of a row is wrapped."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    columns = shutil.get_terminal_size((100, 24)).columns
    for row in rows:
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)]
        start = " " * indent + "".join(f"{cell}  " for cell in cells)
        click.echo(click.wrap_text(row[-1], columns, initial_indent=start, subsequent_indent=" " * len(start)))
