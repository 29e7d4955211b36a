"""Numbers with units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport.transport.units import parse_quantity, parse_whole


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("65536", "bytes", 65536),
        ("8MiB", "bytes", 8 * 1024**2),
        (" 8 MiB ", "bytes", 8 * 1024**2),
        ("1kB", "bytes", 1000),
        ("2TiB", "bytes", 2 * 1024**4),
        ("1e3", "bytes", 1000),
        ("1_000_000", "", 1e6),
        ("10Gbit/s", "bytes/s", 1.25e9),
        ("3 KiB/s", "bytes/s", 3072),
        ("250ms", "seconds", 0.25),
        ("3µs", "seconds", 3e-6),
        ("1.5min", "seconds", 90),
        (".5s", "seconds", 0.5),
        ("5.", "seconds", 5),
        ("-5", "", -5),
        ("12", "packets", 12),
    ],
)
def test_numbers_with_units(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == value


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("", "bytes", "expected a number such as 65536 or 8MiB, not ''"),
        ("much", "seconds", "expected a number such as 0.25 or 250ms, not 'much'"),
        ("nan", "", "expected a number, not 'nan'"),
        ("inf", "", "expected a number, not 'inf'"),
        ("1_", "", "expected a number, not '1_'"),
        ("1__0", "", "expected a number"),
        ("0x10", "", "unknown unit 'x10'"),
        ("1 2", "", "expected a number"),
        ("8s", "bytes", r"unknown unit 's' in '8s' \(known: B, kB, MB, GB, TB, KiB"),
        ("8MiB", "seconds", "unknown unit 'MiB'"),
        ("8MB", "bytes/s", "unknown unit 'MB'"),
        ("8KB", "bytes", "unknown unit 'KB'"),
        ("8kB", "packets", r"unknown unit 'kB' in '8kB' \(expected none\)"),
        ("1e400", "bytes", "too large"),
    ],
)
def test_what_is_no_such_number(text: str, unit: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_quantity(text, unit)


def test_number_that_would_take_for_ever_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown unit"):
        parse_whole("1e999999999")


@given(st.integers(-(10**30), 10**30))
def test_whole_numbers_are_exact(number: int) -> None:
    assert parse_whole(str(number)) == number
    assert parse_whole(f"{number} KiB", "bytes") == number * 1024


@pytest.mark.parametrize("text", ["0.5", "1e-3", "0.3kB", "1 ms"])
def test_whole_numbers_are_whole(text: str) -> None:
    unit = "seconds" if text.endswith("s") else "bytes"
    if text == "0.3kB":
        assert parse_whole(text, unit) == 300
        return
    with pytest.raises(ValueError, match=f"expected a whole number of {unit}, not '{text}'"):
        parse_whole(text, unit)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_any_float_survives_as_text(number: float) -> None:
    assert parse_quantity(repr(number)) == number
