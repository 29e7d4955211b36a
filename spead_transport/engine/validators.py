"""Checks shared by the streams' configuration classes.

A negative number where a size is needed is a :exc:`TypeError`, zero a :exc:`ValueError`: programs written for the
packages that came before rely on that.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import attrs

__all__ = [
    "flag",
    "flag_value",
    "integer",
    "non_negative",
    "non_negative_rate",
    "non_negative_time",
    "positive",
    "positive_int",
    "unsigned",
]


def integer(value: object, name: str) -> int:
    """`value` as an integer; else :exc:`TypeError`."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None


def unsigned(value: object, name: str) -> int:
    """`value` as an integer that is not negative; else :exc:`TypeError`."""
    number = integer(value, name)
    if number < 0:
        raise TypeError(f"{name} must not be negative, it is {number}")
    return number


def non_negative(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    unsigned(value, attribute.name)


def positive_int(value: object, name: str) -> int:
    """`value` as an integer of at least 1; else :exc:`TypeError`, or :exc:`ValueError` for 0."""
    number = unsigned(value, name)
    if number == 0:
        raise ValueError(f"{name} must be at least 1, not 0")
    return number


def positive(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    positive_int(value, attribute.name)


def non_negative_rate(_: object, attribute: attrs.Attribute[float], value: Any) -> None:
    _non_negative_number(attribute.name, value, "bytes per second")


def non_negative_time(_: object, attribute: attrs.Attribute[float], value: Any) -> None:
    _non_negative_number(attribute.name, value, "seconds")


def _non_negative_number(name: str, value: Any, unit: str) -> None:
    if not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if math.isnan(value) or math.isinf(value) or value < 0:
        raise ValueError(f"{name} must be a finite number of {unit}, 0 or more, not {value}")


def flag_value(value: object, name: str) -> bool:
    """`value` as a boolean; else :exc:`TypeError`."""
    if not isinstance(value, bool | int):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def flag(_: object, attribute: attrs.Attribute[bool], value: object) -> None:
    flag_value(value, attribute.name)
