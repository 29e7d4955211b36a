"""Numbers as people write them: ``8 MiB``, ``10 Gbit/s``, ``250 ms``."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["parse_quantity"]

_PREFIXES: Final = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", 1)
}
_BYTES: Final = {f"{prefix}B": factor for prefix, factor in _PREFIXES.items()}
_BITS_PER_SECOND: Final = {f"{prefix}bit/s": factor / 8 for prefix, factor in _PREFIXES.items()}
_BYTES_PER_SECOND: Final = {f"{name}/s": factor for name, factor in _BYTES.items()}
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
#: Factor of each unit, to bytes, bytes per second or seconds.
_UNITS: Final = {"": 1.0} | _BYTES | _BYTES_PER_SECOND | _BITS_PER_SECOND | _SECONDS
_QUANTITY: Final = re.compile(r"\s*([-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\d\s]*)\s*")


def parse_quantity(text: str) -> float:
    """A number with an optional unit, in bytes, bytes per second or seconds.

    Raises
    ------
    ValueError
        If `text` is not a number, or the unit is unknown.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a number such as 65536 or 8MiB, not {text!r}")
    number, unit = match.groups()
    if unit not in _UNITS:
        raise ValueError(f"unknown unit {unit!r} in {text!r} (known: B, KiB, MiB, kB, MB, bit/s, Mbit/s, ms, s …)")
    return float(number) * _UNITS[unit]
