"""What the manual shows works: each page's Python is run, and prints what the page says."""

from __future__ import annotations

import contextlib
import io
import os
import re
import types
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Final
from unittest import mock

import attrs
import pytest

_ROOT: Final = Path(__file__).parents[2]
_PAGES: Final = [
    _ROOT / "README.md",
    *sorted(page for page in (_ROOT / "docs").rglob("*.md") if "examples" not in page.parts),
]
_FENCE: Final = re.compile(r"^```(python|output)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class _Example:
    """A block of code, and what it prints, if the page says so in a block of output that follows."""

    line: int
    code: str
    output: str | None


def _examples(text: str) -> Iterator[_Example]:
    fences = list(_FENCE.finditer(text))
    for fence, following in zip_longest(fences, fences[1:]):
        if fence[1] == "python":
            output = following[2] if following is not None and following[1] == "output" else None
            yield _Example(text.count("\n", 0, fence.start(2)), fence[2], output)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page are one program, in their order. It may write files and set environment variables."""
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ):
        _run(page)


def _run(page: Path) -> None:
    module = types.ModuleType("__main__")
    for example in _examples(page.read_text()):
        # The line breaks in front let a traceback name the line of the page.
        code = compile("\n" * example.line + example.code, str(page), "exec", dont_inherit=True)
        with contextlib.redirect_stdout(io.StringIO()) as stdout:
            exec(code, module.__dict__)
        if example.output is not None:
            assert stdout.getvalue() == example.output, f"{page.name}, line {example.line + 1}"


def test_examples_are_found() -> None:
    text = "# Page\n\n```python\nprint(1)\n```\n\nThat prints\n\n```output\n1\n```\n\n```python\nx = 2\n```\n"
    assert list(_examples(text)) == [_Example(3, "print(1)\n", "1\n"), _Example(13, "x = 2\n", None)]


def test_the_tutorial_has_examples() -> None:
    """Guards against fences that are written in a way that is not found."""
    for page in (_ROOT / "README.md", _ROOT / "docs" / "tutorial.md"):
        assert list(_examples(page.read_text())), page
