"""The contract that every transport keeps, and what helps to write one."""

from __future__ import annotations

from ..protocol.batch import BufferLike, Bytes, Offsets, PacketBatch, as_bytes
from .byte_streams import PacketFramer, PacketWriter
from .chain import WrapperTransport, transport_from_url
from .clock import Clock, ManualClock, system_clock
from .contract import CONTRACT_VERSION, Capabilities, PacketReceiver, PacketSender, Transport
from .endpoints import Endpoint, EndpointRange, Endpoints, as_ip_address
from .options import TransportConfig, option, split_url
from .readiness import EventReadiness, FdReadiness, FdSetReadiness, Readiness
from .redirect import REDIRECT_VARIABLE, Redirection, open_receiver, open_sender, open_sender_async, redirected
from .registry import (
    PREFER_VARIABLE,
    InstalledTransport,
    get_transport_class,
    installed_transports,
    known_schemes,
)

__all__ = [
    "CONTRACT_VERSION",
    "PREFER_VARIABLE",
    "REDIRECT_VARIABLE",
    "BufferLike",
    "Bytes",
    "Capabilities",
    "Clock",
    "Endpoint",
    "EndpointRange",
    "Endpoints",
    "EventReadiness",
    "FdReadiness",
    "FdSetReadiness",
    "InstalledTransport",
    "ManualClock",
    "Offsets",
    "PacketBatch",
    "PacketFramer",
    "PacketReceiver",
    "PacketSender",
    "PacketWriter",
    "Readiness",
    "Redirection",
    "Transport",
    "TransportConfig",
    "WrapperTransport",
    "as_bytes",
    "as_ip_address",
    "get_transport_class",
    "installed_transports",
    "known_schemes",
    "open_receiver",
    "open_sender",
    "open_sender_async",
    "option",
    "redirected",
    "split_url",
    "system_clock",
    "transport_from_url",
]
