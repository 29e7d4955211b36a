"""The classic stream over in-process queues for asyncio, under its classic name."""

from __future__ import annotations

from .streams import AsyncInprocStream as InprocStream

__all__ = ["InprocStream"]
