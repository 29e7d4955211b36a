"""Engines: what moves packets and heaps, and how one is chosen."""

from __future__ import annotations

from .selection import engine_names, get_engine

__all__ = ["engine_names", "get_engine"]
