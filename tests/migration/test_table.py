"""The table of spead2's names is complete and true."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path
from typing import Final

import pytest
import spead2

from .introspection import find, problems
from .stubs import Call, Name, read_stubs
from .table import PAGE, Row, page, read_table

_STUBS: Final = read_stubs(Path(spead2.__file__).parent)
_ROWS: Final = read_table()


def test_each_name_and_parameter_of_the_stubs_has_one_row() -> None:
    assert sorted(row.name for row in _ROWS if row.path in _STUBS) == sorted(map(str, _STUBS.values()))


def test_what_the_stubs_forgot_exists_in_spead2() -> None:
    for row in _ROWS:
        if row.path not in _STUBS:
            find("spead2", row.path)


@pytest.mark.parametrize("row", [row for row in _ROWS if row.fate == "works"], ids=lambda row: row.path)
def test_what_is_said_to_work_does(row: Row) -> None:
    assert not list(problems("spead_transport", _STUBS.get(row.path, Name(row.path))))


def test_constants_have_the_same_values() -> None:
    values = {row.path: find("spead_transport", row.path) for row in _ROWS if row.fate == "works"}
    constants = {
        path: value for path, value in values.items() if path.rpartition(".")[2].isupper() and isinstance(value, int)
    }
    assert len(constants) > 30
    assert constants == {path: find("spead2", path) for path in constants}


@pytest.mark.parametrize("row", [row for row in _ROWS if row.fate == "with numba"], ids=lambda row: row.path)
def test_what_needs_numba_is_there_with_it(row: Row) -> None:
    if importlib.util.find_spec("numba") is not None:
        assert not list(problems("spead_transport", _STUBS[row.path]))
    module, _, name = row.path.rpartition(".")
    file = importlib.util.find_spec(f"spead_transport.{module}")
    assert file is not None
    assert file.origin is not None
    assert name in ast.unparse(ast.parse(Path(file.origin).read_text()))


@pytest.mark.parametrize("row", [row for row in _ROWS if row.fate == "differs"], ids=lambda row: row.path)
def test_what_differs_is_explained_and_called_alike(row: Row) -> None:
    assert row.why
    calls = _STUBS[row.path].calls
    assert not list(problems("spead_transport", Name(row.here, calls)))


def test_what_is_not_offered_is_explained() -> None:
    assert all(row.why for row in _ROWS if row.fate == "not offered")


def test_the_manual_shows_the_table() -> None:
    assert PAGE.read_text() == page(), "the page is out of date: run `make names`"
    assert page().count("\n| `") == len(_ROWS)


# ------------------------------------------------------------------------------------------- the checks themselves


def test_stubs_are_read(tmp_path: Path) -> None:
    package = tmp_path / "peer"
    package.mkdir()
    (package / "__init__.pyi").write_text(
        "import peer.other\nX: int\n_hidden: int\n"
        "class A(peer.other._Base):\n"
        "    y: int\n"
        "    @overload\n    def __init__(self, a: int) -> None: ...\n"
        "    @overload\n    def __init__(self, b: int, *, c: int = ...) -> None: ...\n"
        "    @property\n    def p(self) -> int: ...\n"
        "    def _private(self) -> None: ...\n"
    )
    (package / "other.pyi").write_text("class _Base:\n    def base(self, _n: int, m: int) -> None: ...\n")
    assert [str(name) for name in read_stubs(package).values()] == ["X", "A(a, b, c)", "A.base(m)", "A.y", "A.p"]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        (Name("send.NoSuchThing"), "has no send.NoSuchThing: NoSuchThing is missing"),
        (Name("send.Heap.no_such_thing"), "no_such_thing is missing"),
        (Name("NULL_ID", (Call(),)), "cannot be called"),
        (Name("ThreadPool.stop", (Call(("when",)),)), "cannot be called with"),
        (Name("ThreadPool", (Call(("affinity", "threads")),)), "cannot be called with"),
        (Name("send.HeapReference", (Call(("heap", "cnt")),)), "cannot be called with"),
    ],
)
def test_what_does_not_work_is_noticed(name: Name, complaint: str) -> None:
    assert complaint in next(problems("spead_transport", name))
