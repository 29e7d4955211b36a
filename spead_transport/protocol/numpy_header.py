"""The header of a NumPy file, as a descriptor carries it: the text of a dictionary.

It comes from the network, so it is read as a literal and never evaluated, and only types of plain data are accepted.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Final, Literal, TypeAlias

import attrs
import numpy as np

__all__ = ["NumpyHeader", "Order"]

#: Whether the last (``"C"``) or the first (``"F"``) dimension is contiguous.
Order: TypeAlias = Literal["C", "F"]

#: The longest header that is looked at, in characters; a structure of a thousand fields is shorter.
_LONGEST: Final = 1 << 16
#: How deep structures may be nested.
_DEEPEST: Final = 8
#: Booleans, numbers, strings, times and opaque bytes: no Python objects.
_PLAIN_TYPE: Final = re.compile(r"[<>|=]?(?:\?|[biufcSUV][0-9]+|[mM]8(?:\[[A-Za-z0-9]+\])?)")


@attrs.frozen
class NumpyHeader:
    """Type, order and shape of an array."""

    dtype: np.dtype[Any]
    order: Order
    shape: tuple[int, ...]

    def encode(self) -> bytes:
        """The text of the header."""
        fields = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": self.order == "F",
            "shape": self.shape,
        }
        return repr(fields).encode("ascii")

    @classmethod
    def decode(cls, text: bytes) -> NumpyHeader:
        """Understand the text of a header.

        Raises
        ------
        ValueError
            If it is anything but a dictionary with just the keys ``descr``, ``fortran_order`` and ``shape`` of
            which the first is a type of plain data, the second a boolean and the third a tuple of sizes.
        """
        if len(text) > _LONGEST:
            raise ValueError(f"a NumPy header of {len(text)} bytes is too long: at most {_LONGEST} are expected")
        fields = _literal(text)
        if not isinstance(fields, dict) or fields.keys() != {"descr", "fortran_order", "shape"}:
            raise ValueError("a NumPy header must have the keys 'descr', 'fortran_order' and 'shape' and no others")
        descr, fortran_order, shape = fields["descr"], fields["fortran_order"], fields["shape"]
        if not isinstance(fortran_order, bool):
            raise ValueError(f"fortran_order in a NumPy header must be True or False, not {fortran_order!r}")
        if not _is_shape(shape):
            raise ValueError("shape in a NumPy header must be a tuple of sizes")
        return cls(_parse_type(descr), "F" if fortran_order else "C", shape)


def _literal(text: bytes) -> object:
    try:
        return ast.literal_eval(text.decode("ascii").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"a NumPy header must be the text of a dictionary: {error}") from error


def _is_shape(shape: object) -> bool:
    return isinstance(shape, tuple) and all(type(size) is int and 0 <= size < 1 << 63 for size in shape)


def _parse_type(descr: object) -> np.dtype[Any]:
    _check_type(descr, 0)
    try:
        return np.lib.format.descr_to_dtype(descr)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"NumPy does not accept the type {descr!s:.200}: {error}") from error


def _check_type(descr: object, depth: int) -> None:
    """Make sure that `descr` is a name of plain data, or a list of ``(name, type)`` or ``(name, type, shape)``."""
    if isinstance(descr, str):
        if not _PLAIN_TYPE.fullmatch(descr):
            raise ValueError(f"{descr!r:.100} in a NumPy header is not a type of plain data")
        return
    if not isinstance(descr, list) or not descr or depth == _DEEPEST:
        raise ValueError("descr in a NumPy header must be the name of a type or a list of fields")
    for field in descr:
        if not (isinstance(field, tuple) and len(field) in (2, 3) and _is_name(field[0])):
            raise ValueError("each field in a NumPy header must be (name, type) or (name, type, shape)")
        _check_type(field[1], depth + 1)
        if len(field) == 3 and not _is_shape(field[2]):
            raise ValueError("the shape of a field in a NumPy header must be a tuple of sizes")


def _is_name(name: object) -> bool:
    """A string, or a title and a string."""
    return isinstance(name, str) or (
        isinstance(name, tuple) and len(name) == 2 and all(isinstance(part, str) for part in name)
    )
