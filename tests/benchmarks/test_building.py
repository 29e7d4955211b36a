"""What the benchmark compiles, and what it says where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import compiled, source_build


def test_libraries_are_built_once(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    library = compiled.build("limits", folder)
    before = library.stat().st_mtime_ns
    assert compiled.build("limits", folder) == library
    assert library.stat().st_mtime_ns == before
    assert list(folder.iterdir()) == [library]


def test_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(compiled.NoCompilerError, match="no C compiler 'no-such-compiler': apt-get install gcc"):
        compiled.build("limits", tmp_path)


def test_with_a_compiler_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    with pytest.raises(compiled.NoCompilerError, match=r"false does not compile chunks\.c"):
        compiled.build("chunks", tmp_path)


def test_headers_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")
    assert source_build.missing() == ["libboost-dev"]
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert source_build.missing() == ["g++", "libboost-dev"]


def test_it_goes_on_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", "false")
    monkeypatch.setattr(source_build, "PYTHON", tmp_path / "python")
    assert source_build.main() == 0
    assert "apt-get install libboost-dev" in capsys.readouterr().err


def test_an_environment_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stamp that is younger than the requirements: nothing is installed."""
    (tmp_path / ".installed").touch()
    (tmp_path / "marker").touch()
    source_build.build(tmp_path)
    assert (tmp_path / "marker").exists()
