"""Turning what users give as a value into an array of the type that is sent, without changing the value."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Casting", "Limits", "convert"]

#: ``"checked"``: a value that does not fit is an error; ``"unsafe"``: it is cut to fit, as C would.
Casting: TypeAlias = Literal["checked", "unsafe"]

#: Smallest and largest integer for each of some fields; ``None`` for a field that is no integer.
Limits: TypeAlias = tuple[tuple[int, int] | None, ...]

_Array: TypeAlias = npt.NDArray[Any]

# NumPy's letters for kinds of types
_INTEGERS: Final = "uiO"
_TEXT: Final = "SU"
_TIMES: Final = "mM"


def convert(value: object, dtype: np.dtype[Any], casting: Casting, limits: Limits = ()) -> _Array:
    """`value` as an array of `dtype`.

    Parameters
    ----------
    value
        An array, or anything that NumPy makes one of.
    dtype
        The type wanted. ``object`` stands for Python integers.
    casting
        What to do about values that do not fit: integers out of range, fractions where integers are wanted, finite
        numbers that become infinite, strings that are too long. Numbers rounded to a floating-point type do fit.
    limits
        For `dtype`, or for each of its fields, the smallest and largest integer that fits, if that says more than
        the type does. May be empty.

    Raises
    ------
    ValueError
        If the value does not fit, or is of a kind that cannot be converted.
    """
    given = isinstance(value, np.ndarray | np.generic)
    array = np.asarray(value) if given or dtype.names is None else np.array(value, dtype=_of_objects(dtype))
    if not given and dtype.kind in _INTEGERS and array.dtype.kind == "f":
        array = np.array(value, dtype=object)  # NumPy rounds large integers if there are others it has no type for
    try:
        return _convert(array, dtype, casting, limits)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"a value of type {array.dtype} cannot be sent as {dtype}: {error}") from error


def _convert(array: _Array, dtype: np.dtype[Any], casting: Casting, limits: Limits) -> _Array:
    if array.dtype == dtype and dtype.kind != "O" and not any(limits):
        return array
    if dtype.names is not None:
        return _convert_fields(array, dtype, casting, limits)
    if dtype.subdtype is not None:
        return _convert(array, dtype.subdtype[0], casting, ())
    if array.size == 0:
        return array.astype(dtype)
    if array.dtype.kind == "O" and not (casting == "checked" and dtype.kind in _INTEGERS):
        array = _infer(array)
    if casting == "unsafe":
        return _cut(array, dtype)
    if array.dtype.kind in "buifO" and dtype.kind in _INTEGERS:
        return _to_integers(array, dtype, limits[0] if limits else None)
    if array.dtype.kind in "buifcO" and dtype.kind in "bfc":
        return _to_numbers(array, dtype)
    if array.dtype.kind in _TEXT and dtype.kind in _TEXT:
        return _unchanged(array, array.astype(dtype))
    if array.dtype.kind in _TIMES and array.dtype.kind == dtype.kind:
        return _unchanged(array, array.astype(dtype))
    raise TypeError("there is no conversion between such types")


def _convert_fields(array: _Array, dtype: np.dtype[Any], casting: Casting, limits: Limits) -> _Array:
    """Convert each field of a structure by itself."""
    names, given = dtype.names or (), array.dtype.names or ()
    if len(given) != len(names):
        raise TypeError(f"expected a structure of {len(names)} fields")
    out = np.zeros(array.shape, dtype)
    for number, (name, source) in enumerate(zip(names, given, strict=True)):
        out[name] = _convert(array[source], dtype[name], casting, limits[number : number + 1])
    return out


def _of_objects(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The structure of the same shape that takes any Python object in its fields."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((_of_objects(base), shape))
    if dtype.names is None:
        return np.dtype(object)
    return np.dtype([(name, _of_objects(dtype[name])) for name in dtype.names])


def _infer(array: _Array) -> _Array:
    """Objects as the type that NumPy thinks they have; if all are integers and NumPy has no type, as they are."""
    inferred = np.array(array.tolist())
    if inferred.shape != array.shape:
        raise TypeError("the elements are sequences")
    if inferred.dtype.kind == "O" and not all(isinstance(element, int) for element in array.flat):
        raise TypeError("the elements are neither numbers nor strings")
    return inferred


def _cut(array: _Array, dtype: np.dtype[Any]) -> _Array:
    """Convert whatever it does to the values."""
    if array.dtype.kind == "c" and dtype.kind != "c":
        array = np.real(array)
    if dtype.kind == "O":
        return _objects([int(number) for number in array.flat], array.shape)
    if array.dtype.kind == "O" and dtype.kind in _INTEGERS:  # integers of more than 64 bits
        array = (array & 0xFFFF_FFFF_FFFF_FFFF).astype(np.uint64)
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def _to_integers(array: _Array, dtype: np.dtype[Any], limits: tuple[int, int] | None) -> _Array:
    """Numbers as integers, if they are and are in range."""
    if array.dtype.kind == "O":
        array = _objects([_to_integer(element) for element in array.flat], array.shape)
    elif array.dtype.kind == "f":
        fractions = np.trunc(array) != array  # also if it is not a number
        if fractions.any():
            raise ValueError(f"{_first(array[fractions])} is not an integer")
    if limits is None and dtype.kind != "O":
        limits = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if limits is not None and not _always_within(array.dtype, *limits):
        _check_range(array, *limits)
    return _objects([int(number) for number in array.flat], array.shape) if dtype.kind == "O" else array.astype(dtype)


def _to_integer(element: object) -> int:
    if isinstance(element, int | np.integer | np.bool_):
        return int(element)
    if not isinstance(element, float | np.floating):
        raise TypeError(f"{element!r} is not a number")
    if not element.is_integer():
        raise ValueError(f"{element} is not an integer")
    return int(element)


def _objects(numbers: list[int], shape: tuple[int, ...]) -> _Array:
    array = np.empty(len(numbers), object)
    array[:] = numbers
    return array.reshape(shape)


def _check_range(array: _Array, low: int, high: int) -> None:
    for extreme in (array.min(), array.max()):
        number = extreme.item() if isinstance(extreme, np.generic) else extreme  # compares without rounding
        if not low <= number <= high:
            raise ValueError(f"{number} is out of range: from {low} to {high}")


def _always_within(dtype: np.dtype[Any], low: int, high: int) -> bool:
    """Whether all values of a type are from `low` to `high`."""
    if dtype.kind == "b":
        return high >= 1
    return dtype.kind in "ui" and low <= np.iinfo(dtype).min and np.iinfo(dtype).max <= high


def _to_numbers(array: _Array, dtype: np.dtype[Any]) -> _Array:
    """Numbers as booleans, floating-point or complex numbers."""
    if array.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError("a complex number has two parts")
    if array.dtype.kind == "O":  # integers of more than 64 bits
        array = array.astype(np.float64)
    if dtype.kind == "b":
        return _unchanged(array, array.astype(dtype))
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if not np.can_cast(array.dtype, dtype, "safe"):
        lost = np.isfinite(array) & ~np.isfinite(converted)
        if lost.any():
            raise ValueError(f"{_first(array[lost])} is out of range")
    return converted


def _unchanged(array: _Array, converted: _Array) -> _Array:
    """`converted`, if it still has the values of `array`."""
    changed = (converted.astype(array.dtype) != array) & (array == array)  # what is not a number or time has no equal
    if changed.any():
        raise ValueError(f"{_first(array[changed])} is changed by it")
    return converted


def _first(array: _Array) -> str:
    first = array.flat[0]
    return repr(first.item() if isinstance(first, np.generic) else first)
