"""SPEAD between processes of one machine, through shared memory: one copy, no system call per packet, no loss."""

from __future__ import annotations

from .config import Access, ShmConfig
from .receiver import ShmReceiver
from .sender import ShmSender
from .transport import ShmTransport

__all__ = ["Access", "ShmConfig", "ShmReceiver", "ShmSender", "ShmTransport"]
