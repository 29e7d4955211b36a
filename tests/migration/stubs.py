"""The public names of a package, with their parameters, as its stubs tell them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import attrs

__all__ = ["Call", "Name", "read_stubs"]

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen
class Call:
    """One form in which something can be called."""

    #: A name with a leading underscore stands for an argument that is given by place only.
    positional: tuple[str, ...] = ()
    keyword_only: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """What can be given by name."""
        return tuple(name for name in (*self.positional, *self.keyword_only) if not name.startswith("_"))


@attrs.frozen
class Name:
    """A name, from the package's top: ``send.StreamConfig.rate``."""

    path: str
    #: Its forms, if it can be called; a class is called to make an instance.
    calls: tuple[Call, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters of all forms, each once."""
        return tuple(dict.fromkeys(name for call in self.calls for name in call.named))

    def __str__(self) -> str:
        return f"{self.path}({', '.join(self.parameters)})" if self.calls else self.path


def read_stubs(package: Path) -> dict[str, Name]:
    """The names in a package's stubs, in their order there.

    What a public class inherits from a private one is its own.
    """
    modules = {_module(file, package): ast.parse(file.read_text()) for file in sorted(package.rglob("*.pyi"))}
    classes = {
        f"{module}.{node.name}".lstrip("."): node
        for module, tree in modules.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    names = [name for module, tree in modules.items() for name in _Reader(package.name, classes).read(module, tree)]
    return {name.path: name for name in names}


def _module(file: Path, package: Path) -> str:
    parts = file.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@attrs.frozen
class _Reader:
    package: str
    classes: dict[str, ast.ClassDef]

    def read(self, module: str, tree: ast.Module) -> Iterator[Name]:
        prefix = f"{module}." if module else ""
        for name, nodes in _definitions(tree.body).items():
            yield from self._name(prefix + name, module, nodes)

    def _name(self, path: str, module: str, nodes: list[ast.stmt]) -> Iterator[Name]:
        first = nodes[0]
        if isinstance(first, ast.ClassDef):
            members = self._members(first, module)
            yield Name(path, _calls(members.pop("__init__", [])))
            for name, member in members.items():
                yield from self._name(f"{path}.{name}", module, member)
        else:
            yield Name(path, () if _is_property(first) else _calls(nodes))

    def _members(self, node: ast.ClassDef, module: str) -> dict[str, list[ast.stmt]]:
        """What a class defines, and what it inherits from private classes."""
        members: dict[str, list[ast.stmt]] = {}
        for base in node.bases:
            path = ast.unparse(base).removeprefix(f"{self.package}.")
            for candidate in (path, f"{module}.{path}"):
                if path.rpartition(".")[2].startswith("_") and candidate in self.classes:
                    home = candidate.rpartition(".")[0]
                    members |= self._members(self.classes[candidate], home)
        return members | _definitions(node.body, special=("__init__",))


def _definitions(body: Sequence[ast.stmt], special: tuple[str, ...] = ()) -> dict[str, list[ast.stmt]]:
    """The public names that statements define, with all definitions of each: overloads have several."""
    found: dict[str, list[ast.stmt]] = {}
    for node in body:
        name = _defined(node)
        if name and (not name.startswith("_") or name in special or name == "__version__"):
            found.setdefault(name, []).append(node)
    return found


def _defined(node: ast.stmt) -> str:
    if isinstance(node, ast.ClassDef | _Function):
        return node.name
    target = node.target if isinstance(node, ast.AnnAssign) else None
    if isinstance(node, ast.Assign):
        target = node.targets[0] if isinstance(node.targets[0], ast.Name) else None
    return target.id if isinstance(target, ast.Name) else ""


_UNCALLED: Final = ("property", "setter")


def _is_property(node: ast.stmt) -> bool:
    return isinstance(node, _Function) and any(
        ast.unparse(decorator).rpartition(".")[2] in _UNCALLED for decorator in node.decorator_list
    )


def _calls(nodes: Sequence[ast.stmt]) -> tuple[Call, ...]:
    return tuple(_call(node) for node in nodes if isinstance(node, _Function))


def _call(node: _Function) -> Call:
    arguments = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    keyword_only = [argument.arg for argument in node.args.kwonlyargs]
    positional = [name for name in arguments if name not in ("self", "cls")]
    return Call(tuple(positional), tuple(keyword_only))
