"""The classic stream over TCP for asyncio, under its classic name."""

from __future__ import annotations

from .streams import AsyncTcpStream as TcpStream

__all__ = ["TcpStream"]
