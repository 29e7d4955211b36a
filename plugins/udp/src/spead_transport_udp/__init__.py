"""SPEAD over UDP: IPv4 and IPv6, hosts and multicast groups."""

from __future__ import annotations

from .config import UdpConfig
from .endpoints import Endpoint, EndpointRange, Endpoints
from .receiver import UdpReceiver
from .sender import UdpSender
from .transport import UdpTransport

__all__ = [
    "Endpoint",
    "EndpointRange",
    "Endpoints",
    "UdpConfig",
    "UdpReceiver",
    "UdpSender",
    "UdpTransport",
]
