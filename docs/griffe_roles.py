"""Docstrings are written as reStructuredText has it, for ``help()`` and for editors; the manual is Markdown.

This extension of mkdocstrings makes links of roles such as ``:class:`Heap` `` and code blocks of what follows ``::``.
"""

from __future__ import annotations

import re
from typing import Any, Final

import griffe

__all__ = ["Roles"]

_ROLE: Final = re.compile(
    r":(?:attr|class|exc|func|meth|mod|data):`(?:(?P<title>[^`<]+) <)?(?P<short>~?)(?P<target>[\w.]+)>?`"
)
_LITERAL: Final = re.compile(r"::$", re.MULTILINE)


class Roles(griffe.Extension):
    """Turns the roles of all docstrings of a package into cross-references."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        _convert_members(pkg)


def _convert_members(scope: griffe.Object) -> None:
    if scope.docstring is not None:
        scope.docstring.value = _convert(scope.docstring.value, scope)
    for member in scope.members.values():
        if isinstance(member, griffe.Object):
            _convert_members(member)


def _convert(text: str, scope: griffe.Object) -> str:
    text = _ROLE.sub(lambda match: _reference(match, scope), text)
    return _LITERAL.sub(":", text)


def _reference(match: re.Match[str], scope: griffe.Object) -> str:
    """A link if the manual has the target, and otherwise just the name."""
    target = match["target"]
    title = match["title"] or (target.rpartition(".")[2] if match["short"] else target)
    return f'<autoref identifier="{_resolve(target, scope)}" optional><code>{title}</code></autoref>'


def _resolve(target: str, scope: griffe.Object) -> str:
    first, dot, rest = target.partition(".")
    try:
        return scope.resolve(first) + dot + rest
    except griffe.NameResolutionError:
        return target
