"""The command ``spead-transport``: look at transports, check configurations, begin a transport of one's own."""

from __future__ import annotations

from .main import main

__all__ = ["main"]
