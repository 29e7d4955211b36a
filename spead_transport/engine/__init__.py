"""Engines: what moves packets and heaps, and how one is chosen."""

from __future__ import annotations

from ..protocol.shortcuts import Shortcuts, provide_shortcuts
from .selection import engine_names, get_engine

__all__ = ["engine_names", "get_engine"]


def _shortcuts() -> Shortcuts | None:
    return get_engine().shortcuts()


provide_shortcuts(_shortcuts)
