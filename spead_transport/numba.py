"""Help for callbacks that are compiled by numba, which must be installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types  # pyright: ignore[reportMissingModuleSource]
from numba.extending import intrinsic  # pyright: ignore[reportMissingModuleSource]

__all__ = ["intp_to_voidptr"]


def _intp_to_voidptr(typing_context: Any, src: Any) -> Any:
    """For compiled code: turn an integer (``intp`` or ``uintp``) into a pointer, as ``numba.carray`` wants it.

    Records cannot have pointers among their fields, and have integers in their place.
    """
    if src not in (types.intp, types.uintp):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(src), generate  # type: ignore[operator]  # pyright: ignore[reportCallIssue]


intp_to_voidptr: Callable[[int], Any] = intrinsic(_intp_to_voidptr)
