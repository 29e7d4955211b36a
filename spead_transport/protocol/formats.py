"""What an element of an item is made of: fields, each with a code and a width in bits (specification section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any, Final

import attrs
import numpy as np

from .bitpack import integer_type

__all__ = ["ElementFormat", "Field"]

#: Widths for which a NumPy type has exactly the bytes that go on the wire, by code.
_NATIVE_WIDTHS: Final = {"u": (8, 16, 32, 64), "i": (8, 16, 32, 64), "f": (32, 64), "c": (8,), "b": (8,), "0": ()}
_CODES: Final = {
    "u": "unsigned",
    "i": "signed",
    "f": "floating point of 32 or 64 bits",
    "b": "boolean",
    "c": "character of 8 bits",
    "0": "address of another item",
}


@attrs.frozen
class Field:
    """One field of an element."""

    #: One of ``u i f b c 0``.
    code: str
    #: Width, in bits.
    bits: int
    #: Where the field starts in its element, in bits.
    first: int

    @property
    def native(self) -> bool:
        """Whether a NumPy type has exactly the bytes that go on the wire."""
        return self.bits in _NATIVE_WIDTHS[self.code]

    @property
    def limits(self) -> tuple[int, int] | None:
        """The smallest and the largest value; ``None`` if it is no integer."""
        if self.code == "i":
            return -1 << (self.bits - 1), (1 << (self.bits - 1)) - 1
        return (0, (1 << self.bits) - 1) if self.code in "u0" else None

    def holds(self, value: int) -> bool:
        """Whether the field is an integer that can have this value."""
        if self.code == "i":
            return (value if value >= 0 else ~value).bit_length() < self.bits
        return self.code in "u0" and value >= 0 and value.bit_length() <= self.bits

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, in the machine's byte order; ``object`` for integers of more than 64 bits."""
        if self.code == "f":
            return np.dtype(f"f{self.bits // 8}")
        if self.code == "c":
            return np.dtype("S1")
        if self.code == "b":
            return np.dtype(np.bool_)
        return integer_type(self.bits, self.code == "i")


@attrs.frozen
class ElementFormat:
    """The fields of an element, one after the other without gaps."""

    fields: tuple[Field, ...]

    @classmethod
    def parse(cls, format: Iterable[tuple[str, int]]) -> ElementFormat:
        """Check a list of codes and widths.

        Raises
        ------
        ValueError
            If the list is empty, a code is unknown, or it cannot have that width.
        """
        fields: list[Field] = []
        first = 0
        for code, width in format:
            bits = index(width)
            allowed = {"f": (32, 64), "c": (8,)}.get(code)
            if code not in _CODES or bits < 1 or (allowed is not None and bits not in allowed):
                known = ", ".join(f"{key!r} ({meaning})" for key, meaning in _CODES.items())
                raise ValueError(
                    f"illegal format ({code!r}, {bits}): expected a positive number of bits and one of {known}"
                )
            fields.append(Field(code, bits, first))
            first += bits
        if not fields:
            raise ValueError("empty format: an element needs at least one field")
        return cls(tuple(fields))

    @property
    def bits(self) -> int:
        """Size of an element, in bits."""
        return sum(field.bits for field in self.fields)

    @property
    def value_dtype(self) -> np.dtype[Any]:
        """Type of the values, in the machine's byte order; several fields are named ``f0``, ``f1`` and so on."""
        return self._combine([field.dtype for field in self.fields])

    @property
    def wire_dtype(self) -> np.dtype[Any] | None:
        """The big-endian type that has exactly the bytes that go on the wire, if there is one."""
        if not all(field.native for field in self.fields):
            return None
        return self._combine([field.dtype.newbyteorder(">") for field in self.fields])

    def _combine(self, dtypes: list[np.dtype[Any]]) -> np.dtype[Any]:
        if len(dtypes) == 1:
            return dtypes[0]
        return np.dtype([(f"f{number}", dtype) for number, dtype in enumerate(dtypes)])
