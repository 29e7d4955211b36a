"""The command ``spead-transport``: look at transports, check configurations, begin a transport, try streams."""

from __future__ import annotations

from .main import main

__all__ = ["main"]
