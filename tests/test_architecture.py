"""Layers point one way, and bundled plugins are what a third party could write."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[1]
_CORE: Final = "spead_transport"
#: Each layer may import those before it. What is not named here is the top.
_LAYERS: Final = ("errors", "protocol", "transport", "engine", "settings")
_PLUGIN_FOLDERS: Final = sorted([*_ROOT.glob("plugins/*/src/*/"), *_ROOT.glob("docs/examples/*/src/*/")])


def _imports(file: Path, package: str) -> Iterator[tuple[int, str, str]]:
    """The line, module and name of each import in a file of `package`; the name is empty for ``import module``.

    Imports for type checkers only do not count.
    """
    tree = ast.parse(file.read_text(), str(file))
    typing_only = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, module, alias.name


def _files(folder: Path, package: str) -> Iterator[tuple[Path, str]]:
    """The Python files below the folder of `package`, each with the package it is in."""
    for file in sorted(folder.rglob("*.py")):
        yield file, ".".join([package, *file.parent.relative_to(folder).parts])


def _layer(module: str) -> int:
    part = module.split(".")[1] if "." in module else ""
    return _LAYERS.index(part) if part in _LAYERS else len(_LAYERS)


@pytest.mark.parametrize("layer", _LAYERS)
def test_layers_point_one_way(layer: str) -> None:
    folder = _ROOT / _CORE / layer
    files = _files(folder, f"{_CORE}.{layer}") if folder.is_dir() else [(folder.with_suffix(".py"), _CORE)]
    upwards = []
    for file, package in files:
        for line, module, name in _imports(file, package):
            imported = f"{module}.{name}" if module == _CORE else module
            if imported.startswith(f"{_CORE}.") and _layer(imported) > _LAYERS.index(layer):
                upwards.append(f"{file.relative_to(_ROOT)}:{line} imports {imported}")
    assert not upwards


def test_a_wrong_direction_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("from ..engine import get_engine\nimport spead_transport.send\nfrom ... import recv\n")
    found = list(_imports(file, "spead_transport.protocol.inner"))
    assert [(module, name) for _, module, name in found] == [
        ("spead_transport.protocol.engine", "get_engine"),
        ("spead_transport.send", ""),
        ("spead_transport", "recv"),
    ]
    assert _layer("spead_transport.send") > _layer("spead_transport.engine") > _layer("spead_transport.errors")


def test_plugins_are_found() -> None:
    assert {"spead_transport_inproc", "spead_transport_udp", "spead_transport_unixgram"} <= {
        folder.name for folder in _PLUGIN_FOLDERS
    }


@pytest.mark.parametrize("folder", _PLUGIN_FOLDERS, ids=lambda folder: str(folder.name))
def test_plugins_use_public_names_only(folder: Path) -> None:
    private = []
    for file, package in _files(folder, folder.name):
        for line, module, name in _imports(file, package):
            if module.split(".")[0] == _CORE and not _is_public(module, name):
                private.append(f"{file.relative_to(_ROOT)}:{line} imports {module} {name}")
    assert not private


def _is_public(module: str, name: str) -> bool:
    if any(part.startswith("_") for part in module.split(".")):
        return False
    return not name or name in importlib.import_module(module).__all__


def test_plugins_are_imported_when_used() -> None:
    code = f"import sys, {_CORE}; print([name for name in sys.modules if name.startswith('{_CORE}_')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "[]\n"
