"""The classic stream over UDP for asyncio, under its classic name."""

from __future__ import annotations

from .streams import AsyncUdpStream as UdpStream

__all__ = ["UdpStream"]
