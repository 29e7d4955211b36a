"""Whether a package has a name that its user may have got to know in another one, and can be called the same way."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final

from .stubs import Call, Name

__all__ = ["find", "problems"]

_MISSING: Final = object()
#: Instances of classes that give their attributes to instances only.
_EXAMPLES: Final[dict[str, Callable[[Any], object]]] = {
    "MemoryPool": lambda package: package.MemoryPool(1, 2, 0, 0),
    "recv.Chunk": lambda package: package.recv.Chunk(),
    "recv.RawItem": lambda package: _received_item(package),
    "recv.StreamStats": lambda package: package.recv.Stream(package.ThreadPool()).stats,
    "send.Heap": lambda package: package.send.Heap(package.Flavour()),
}


def find(package: str, path: str) -> object:
    """What `path` names in a package, whose modules need not have been imported.

    Raises
    ------
    AttributeError
        If there is nothing of that name.
    """
    found: object = importlib.import_module(package)
    walked: list[str] = []
    for part in path.split("."):
        following = getattr(found, part, _MISSING)
        if following is _MISSING and inspect.ismodule(found):
            following = _submodule(found, part)
        if following is _MISSING and ".".join(walked) in _EXAMPLES:
            example: object = _EXAMPLES[".".join(walked)](importlib.import_module(package))
            following = getattr(example, part, _MISSING)
        if following is _MISSING:
            raise AttributeError(f"{package} has no {path}: {part} is missing")
        found = following
        walked.append(part)
    return found


def _received_item(package: Any) -> object:
    """An item as it is received."""
    pool = package.ThreadPool()
    sender = package.send.BytesStream(pool)
    group = package.send.ItemGroup()
    group.add_item(0x1000, "x", "a number", (), format=[("u", 8)], value=1)
    sender.send_heap(group.get_heap())
    receiver = package.recv.Stream(pool)
    receiver.add_buffer_reader(sender.getvalue())
    return receiver.get().get_items()[0]


def _submodule(module: Any, name: str) -> object:
    try:
        return importlib.import_module(f"{module.__name__}.{name}")
    except ModuleNotFoundError:
        return _MISSING


def problems(package: str, name: Name) -> Iterator[str]:
    """What does not work of a name in a package."""
    try:
        found = find(package, name.path)
    except AttributeError as error:
        yield str(error)
        return
    if name.calls and not callable(found):
        yield f"{name.path} cannot be called"
        return
    for call in name.calls:
        if not _accepts(found, call):
            yield f"{name.path} cannot be called with {call}"


def _accepts(found: Any, call: Call) -> bool:
    """Whether all arguments can be given, by place and by name, perhaps in different forms."""
    signatures = list(_signatures(found))
    by_name = set(call.named) == {*call.positional, *call.keyword_only}
    return any(_by_place(signature, call) for signature in signatures) and (
        not by_name or any(_by_name(signature, call) for signature in signatures)
    )


def _signatures(found: Any) -> Iterator[inspect.Signature]:
    """Each form in which something can be called, without what is given by itself: the instance, numba's context."""
    function = found.__init__ if inspect.isclass(found) else found
    overloads = typing.get_overloads(function) if inspect.isfunction(function) else []
    for form in overloads or [found]:
        signature = inspect.signature(form)
        names = signature.parameters
        yield signature.replace(parameters=[names[name] for name in names if name not in ("self", "typing_context")])


def _by_place(signature: inspect.Signature, call: Call) -> bool:
    wanted = zip(signature.parameters, call.positional, strict=False)
    if any(ours != theirs and not theirs.startswith("_") for ours, theirs in wanted):
        return False
    return _binds(signature, *call.positional, **dict.fromkeys(call.keyword_only))


def _by_name(signature: inspect.Signature, call: Call) -> bool:
    return _binds(signature, **dict.fromkeys(call.named))


def _binds(signature: inspect.Signature, *arguments: object, **named: object) -> bool:
    try:
        signature.bind(*arguments, **named)
    except TypeError:
        return False
    return True
