"""Saying where a bad value was."""

from __future__ import annotations

__all__ = ["located"]


def located(error: ValueError, place: str) -> ValueError:
    """The same error, whose message says the place, too. Errors of encodings keep their class."""
    if isinstance(error, UnicodeEncodeError):
        return UnicodeEncodeError(error.encoding, error.object, error.start, error.end, f"{error.reason} ({place})")
    if isinstance(error, UnicodeDecodeError):
        return UnicodeDecodeError(error.encoding, error.object, error.start, error.end, f"{error.reason} ({place})")
    return ValueError(f"{place}: {error}")
