"""Names of the core whose home is a bundled plugin: looked up when used, so that no plugin is imported before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["lazy_names"]


def lazy_names(
    module: str, eager: list[str], homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """A ``__getattr__`` and a ``__dir__`` for `module`.

    Parameters
    ----------
    module
        Name of the module that re-exports the names.
    eager
        The names that it has anyway.
    homes
        The module where each of the other names is found.
    """

    def getattr_(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(import_module(home), name)

    def dir_() -> list[str]:
        return sorted({*eager, *homes})

    return getattr_, dir_
