"""Numbers as people write them: ``8 MiB``, ``10 Gbit/s``, ``250 ms``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

__all__ = ["format_quantity", "parse_quantity", "parse_whole"]

_PREFIXES: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    f"{letter}i": 1024**power for power, letter in enumerate("KMGT", 1)
}
_BYTES: Final = {f"{prefix}B": Fraction(factor) for prefix, factor in _PREFIXES.items()}
_RATES: Final = {f"{name}/s": factor for name, factor in _BYTES.items()} | {
    f"{prefix}bit/s": Fraction(factor, 8) for prefix, factor in _PREFIXES.items()
}
_SECONDS: Final = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "min": Fraction(60),
    "h": Fraction(3600),
}
#: For each unit that a number can be wanted in, what it can be given in and the factor.
_KNOWN: Final[Mapping[str, Mapping[str, Fraction]]] = {"bytes": _BYTES, "bytes/s": _RATES, "seconds": _SECONDS}
_EXAMPLES: Final = {"bytes": "65536 or 8MiB", "bytes/s": "1e9 or 10Gbit/s", "seconds": "0.25 or 250ms"}

#: The units that numbers are written in, the largest first.
_WRITTEN: Final = {
    "bytes": ("TiB", "GiB", "MiB", "KiB"),
    "bytes/s": ("Tbit/s", "Gbit/s", "Mbit/s", "kbit/s"),
    "seconds": ("s", "ms", "us", "ns"),
}

_DIGITS: Final = r"\d+(?:_\d+)*"
# The exponent is short: a number with a billion digits would be computed to the last one.
_QUANTITY: Final = re.compile(
    rf"\s*([-+]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][-+]?\d{{1,3}})?)\s*([^\W\d_][^\s]*)?\s*"
)


def parse_quantity(text: str, unit: str = "") -> float:
    """A number, given with a unit or without.

    Parameters
    ----------
    text
        The number. If no unit is given it is in `unit` already.
    unit
        What the result is in: ``"bytes"``, ``"bytes/s"`` or ``"seconds"``; for anything else the text is a mere
        number.

    Raises
    ------
    ValueError
        If `text` is not a number or too large, or its unit is unknown or one of something else.
    """
    try:
        return float(_parse(text, unit))
    except OverflowError:
        raise ValueError(f"{text!r} is too large") from None


def parse_whole(text: str, unit: str = "") -> int:
    """The same for whole numbers, exact.

    Raises
    ------
    ValueError
        As for :func:`parse_quantity`, or if the number is not whole.
    """
    value = _parse(text, unit)
    if value.denominator != 1:
        raise ValueError(f"expected a whole number{f' of {unit}' if unit else ''}, not {text!r}")
    return value.numerator


def _parse(text: str, unit: str) -> Fraction:
    known = _KNOWN.get(unit, {})
    match = _QUANTITY.fullmatch(text)
    if match is None:
        example = _EXAMPLES.get(unit)
        raise ValueError(f"expected a number{f' such as {example}' if example else ''}, not {text!r}")
    number, given = match.groups()
    if given is None:
        return Fraction(number)
    if given not in known:
        expected = f"known: {', '.join(known)}" if known else "expected none"
        raise ValueError(f"unknown unit {given!r} in {text!r} ({expected})")
    return Fraction(number) * known[given]


def format_quantity(value: float, unit: str) -> str:
    """A number as people write it, from which :func:`parse_quantity` makes exactly the same.

    Parameters
    ----------
    value
        The number.
    unit
        What it counts: sizes become ``8 MiB``, rates ``10 Gbit/s``, times ``250 ms``, if that is no longer.
    """
    plain = str(value)
    candidates = [
        f"{number} {name}"
        for name in _WRITTEN.get(unit, ())
        if (scaled := Fraction(plain) / _KNOWN[unit][name]).denominator == 1 and (number := str(scaled.numerator))
    ]
    exact = [text for text in candidates if len(text.split()[0]) <= 4]
    return exact[0] if value and exact else plain
