"""What type checkers make of programs: right ones pass, and each mistake is found, by mypy and by pyright.

The programs are in ``cases``; they are never run. A line that ends in ``# error`` is a mistake.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_CASES: Final = Path(__file__).parent / "cases"
_FILES: Final = sorted(_CASES.glob("*.py"))
_MISTAKE: Final = re.compile(r"  # error$", re.MULTILINE)
_BIN: Final = Path(sys.executable).parent

#: Lines with errors, by name of the file; and what was found there.
_Errors = Mapping[str, Mapping[int, str]]


def _mypy() -> _Errors:
    command = [sys.executable, "-m", "mypy", "--strict", "--output=json", *map(str, _FILES)]
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=280)
    assert result.returncode in (0, 1), result.stderr
    found: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for line in result.stdout.splitlines():
        report = json.loads(line)
        if report["severity"] == "error":
            found[Path(report["file"]).name][report["line"]] = report["message"]
    return found


def _pyright() -> _Errors:
    # The folder has settings of its own: those of the whole project leave it out.
    command = [str(_BIN / "pyright"), "--outputjson", "--pythonpath", sys.executable, "--project", str(_CASES)]
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=280)
    assert result.returncode in (0, 1), result.stdout
    found: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for report in json.loads(result.stdout)["generalDiagnostics"]:
        if report["severity"] == "error":
            found[Path(report["file"]).name][report["range"]["start"]["line"] + 1] = report["message"]
    return found


@pytest.fixture(scope="module", params=[_mypy, _pyright], ids=["mypy", "pyright"])
def errors(request: pytest.FixtureRequest) -> _Errors:
    found: _Errors = request.param()
    return found


def test_there_are_right_lines_and_mistakes() -> None:
    text = "".join(file.read_text() for file in _FILES)
    assert text.count("assert_type(") > 50
    assert len(_MISTAKE.findall(text)) > 40


@pytest.mark.timeout(300)
@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_the_mistakes_are_found_and_nothing_else(file: Path, errors: _Errors) -> None:
    mistakes = {number for number, line in enumerate(file.read_text().splitlines(), 1) if line.endswith("  # error")}
    found = errors.get(file.name, {})
    assert not {number: message for number, message in found.items() if number not in mistakes}
    assert found.keys() == mistakes
