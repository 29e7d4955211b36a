"""What becomes of each name of spead2. Run as a program, it writes the page of the manual that says so."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import attrs

__all__ = ["PAGE", "Row", "page", "read_table"]

_ROOT: Final = Path(__file__).parents[2]
PAGE: Final = _ROOT / "docs" / "reference" / "spead2-names.md"
_SECTIONS: Final = ("spead2", "spead2.numba", "spead2.send", "spead2.send.asyncio", "spead2.recv",
                    "spead2.recv.asyncio", "spead2.recv.numba", "spead2.recv.stream_stat_indices")  # fmt: skip
_INTRODUCTION: Final = """\
# Names of spead2

Each public name of spead2 4.5.1, with its parameters, and what becomes of it in a program that imports
`spead_transport` instead. How to do that, and what else is different, is in
[Migrate from spead2](../how-to/migrate-from-spead2.md).

This page is made from a table. A test compares that with spead2's own type stubs, and tries everything that it says
to work.
"""


@attrs.frozen
class Row:
    """A name of spead2, as the table has it: ``send.HeapReference(heap, cnt)``."""

    name: str
    fate: Literal["works", "with numba", "differs", "not offered"]
    #: What there is here, without parameters; empty for nothing.
    here: str
    why: str = ""

    @property
    def path(self) -> str:
        """The name without its parameters."""
        return self.name.partition("(")[0]

    @property
    def section(self) -> str:
        """The module that has it."""
        module = ".".join(part for part in self.path.split(".")[:-1] if part.islower())
        return f"spead2.{module}" if module else "spead2"

    def __str__(self) -> str:
        remark = {"works": "works", "with numba": "works, with numba installed"}.get(
            self.fate, f"{self.fate}: {self.why}"
        )
        return f"| `{self.name}` | {f'`{self.here}`' if self.here else '—'} | {remark} |"


def read_table() -> list[Row]:
    """All rows."""
    table = tomllib.loads(Path(__file__).with_name("names.toml").read_text())
    return [
        *(Row(name, "works", name.partition("(")[0]) for name in table["works"]),
        *(Row(name, "with numba", name.partition("(")[0]) for name in table["with_numba"]),
        *(Row(row["name"], "differs", row["here"], row["why"]) for row in table["differs"]),
        *(Row(row["name"], "not offered", "", row["why"]) for row in table["not_offered"]),
    ]


def page() -> str:
    """The page of the manual."""
    return _INTRODUCTION + "".join(_sections(read_table()))


def _sections(rows: list[Row]) -> Iterator[str]:
    for section in _SECTIONS:
        of_section = sorted((row for row in rows if row.section == section), key=lambda row: row.path.lower())
        yield f"\n## {section}\n\n| spead2 | here | |\n| --- | --- | --- |\n"
        yield from (f"{row}\n" for row in of_section)


if __name__ == "__main__":
    PAGE.write_text(page())
