"""A transport that was begun by the command is complete: it installs, type-checks and passes its tests elsewhere."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spead_transport.cli import main

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "requirements" / "constraints.txt"


def new(*arguments: str | Path) -> Result:
    return CliRunner(catch_exceptions=False).invoke(main, ["new-transport", *map(str, arguments)])


def in_project(folder: Path, *command: str | Path) -> str:
    """What a command prints in a project; it has to succeed."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        list(map(str, command)), cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=400
    )
    assert result.returncode == 0, f"{command}:\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new transport in an environment of its own, beside this very package."""
    folder = tmp_path_factory.mktemp("project") / "star-link"
    assert new("star-link", "--directory", folder).exit_code == 0
    venv.create(folder / ".venv", with_pip=True)
    pip: list[str | Path] = [folder / ".venv/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    in_project(folder, *pip, "-c", CONSTRAINTS, "-e", ROOT, "-e", ".[dev]")
    return folder


@pytest.mark.timeout(600)
def test_it_is_found_by_its_scheme(project: Path) -> None:
    output = in_project(project, project / ".venv/bin/spead-transport", "transports", "star-link")
    assert output.startswith("star-link  (spead-transport-star-link 0.1.0, ")


@pytest.mark.timeout(600)
def test_its_tests_pass(project: Path) -> None:
    output = in_project(project, project / ".venv/bin/python", "-m", "pytest", "-q")
    assert "passed" in output
    assert "conformance" in in_project(project, project / ".venv/bin/python", "-m", "pytest", "-q", "--collect-only")


@pytest.mark.timeout(600)
def test_its_types_are_right(project: Path) -> None:
    assert "no issues" in in_project(project, project / ".venv/bin/mypy", "--strict")
    python = project / ".venv/bin/python"
    assert "0 errors" in in_project(project, project / ".venv/bin/pyright", "--pythonpath", python)


def test_names_are_derived_from_the_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = new("x-2")
    assert result.exit_code == 0
    assert "cd spead-transport-x-2" in result.output
    code = Path("spead-transport-x-2/src/spead_transport_x_2/__init__.py").read_text()
    assert "class X2Transport(Transport[X2Config]):" in code
    for file in Path("spead-transport-x-2").rglob("*"):
        if file.is_file():
            assert "$" not in file.read_text().replace("${{", "")


@pytest.mark.parametrize("name", ["", "Star", "2x", "x_y", "x--y", "x-", "a b", "../x", "class"])
def test_names_that_are_no_schemes_are_refused(tmp_path: Path, name: str) -> None:
    result = new("--directory", tmp_path / "project", "--", name)
    assert result.exit_code == 2
    assert "NAME" in result.stderr
    assert not (tmp_path / "project").exists()


def test_a_scheme_that_is_taken_is_refused(tmp_path: Path) -> None:
    result = new("udp", "--directory", tmp_path / "project")
    assert result.exit_code == 2
    assert "has the scheme 'udp' already" in result.stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    result = new("mine", "--directory", tmp_path)
    assert result.exit_code == 1
    assert "is not empty" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
