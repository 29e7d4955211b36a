"""The contract that every transport keeps, and what helps to write one."""

from __future__ import annotations

from ..protocol.batch import BufferLike, Bytes, Offsets, PacketBatch, as_bytes
from .contract import CONTRACT_VERSION, Capabilities, PacketReceiver, PacketSender, Transport
from .options import TransportConfig, option, split_url
from .readiness import EventReadiness, FdReadiness, Readiness
from .registry import (
    PREFER_VARIABLE,
    InstalledTransport,
    get_transport_class,
    installed_transports,
    known_schemes,
    transport_from_url,
)

__all__ = [
    "CONTRACT_VERSION",
    "PREFER_VARIABLE",
    "BufferLike",
    "Bytes",
    "Capabilities",
    "EventReadiness",
    "FdReadiness",
    "InstalledTransport",
    "Offsets",
    "PacketBatch",
    "PacketReceiver",
    "PacketSender",
    "Readiness",
    "Transport",
    "TransportConfig",
    "as_bytes",
    "get_transport_class",
    "installed_transports",
    "known_schemes",
    "option",
    "split_url",
    "transport_from_url",
]
