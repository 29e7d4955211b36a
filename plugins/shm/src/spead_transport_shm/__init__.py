"""SPEAD between processes of one machine, through shared memory: no system call, no copy and no loss per packet."""

from __future__ import annotations

from .config import Access, ShmConfig
from .receiver import ShmReceiver
from .sender import ShmSender
from .transport import ShmTransport

__all__ = ["Access", "ShmConfig", "ShmReceiver", "ShmSender", "ShmTransport"]
