"""The stub of the compiled module says what the module has."""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

fastpath = pytest.importorskip("spead_transport_fastpath")
_native = fastpath._native
#: Parameters of each function, by its name; ``None`` for what is not a function.
_Members: TypeAlias = dict[str, list[str] | None]


def _in_stub() -> _Members:
    tree = ast.parse(Path(fastpath.__file__).with_name("_native.pyi").read_text())
    return dict(_stub_members(tree, ""))


def _stub_members(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, list[str] | None]]:
    for member in node.body:
        if isinstance(member, ast.ClassDef):
            yield prefix + member.name, None
            yield from _stub_members(member, f"{prefix}{member.name}.")
        elif isinstance(member, ast.FunctionDef):
            is_property = any(isinstance(d, ast.Name) and d.id == "property" for d in member.decorator_list)
            yield prefix + member.name, None if is_property else _parameters(member)


def _parameters(function: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]


def _in_module() -> _Members:
    return dict(_module_members(_native, ""))


def _module_members(owner: object, prefix: str) -> Iterator[tuple[str, list[str] | None]]:
    for name, member in vars(owner).items():
        function = getattr(member, "__func__", member)  # static methods
        if hasattr(function, "__nb_signature__"):
            (signature, *_) = function.__nb_signature__[0]
            (definition,) = ast.parse(_plain(signature) + ": ...").body
            assert isinstance(definition, ast.FunctionDef)
            yield prefix + name, _parameters(definition)
        elif inspect.isclass(member):
            yield prefix + name, None
            if member is not _native.Heap:
                yield from _module_members(member, f"{prefix}{name}.")
        elif isinstance(member, property):
            yield prefix + name, None
        elif isinstance(member, types.WrapperDescriptorType) and name in (
            "__iter__",
            "__next__",
        ):  # slots of the type
            yield prefix + name, ["self"]


def _plain(signature: str) -> str:
    """The signature without what is no Python in it: backslashes stand for default values."""
    return signature.replace("\\", "...")


def test_the_stub_is_up_to_date() -> None:
    assert _in_module() == _in_stub()
