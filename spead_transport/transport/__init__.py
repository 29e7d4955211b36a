"""The contract that every transport keeps, and what helps to write one."""

from __future__ import annotations

from ..protocol.batch import BufferLike, Bytes, Offsets, PacketBatch, as_bytes
from .contract import CONTRACT_VERSION, Capabilities, PacketReceiver, PacketSender, Transport
from .options import TransportConfig, option
from .readiness import EventReadiness, FdReadiness, Readiness

__all__ = [
    "CONTRACT_VERSION",
    "BufferLike",
    "Bytes",
    "Capabilities",
    "EventReadiness",
    "FdReadiness",
    "Offsets",
    "PacketBatch",
    "PacketReceiver",
    "PacketSender",
    "Readiness",
    "Transport",
    "TransportConfig",
    "as_bytes",
    "option",
]
