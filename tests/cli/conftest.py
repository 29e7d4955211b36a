"""The wrapper of the tests of configuration is listed here."""

from __future__ import annotations

from ..config.conftest import drop

__all__ = ["drop"]
