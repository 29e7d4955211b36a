"""SPEAD over UDP: IPv4 and IPv6, hosts and multicast groups."""

from __future__ import annotations

from spead_transport.transport import Endpoint, EndpointRange, Endpoints

from .classic import classic_receiver
from .config import UdpConfig
from .receiver import UdpReceiver
from .sender import UdpSender
from .streams import AsyncUdpStream, UdpStream
from .transport import UdpTransport

__all__ = [
    "AsyncUdpStream",
    "Endpoint",
    "EndpointRange",
    "Endpoints",
    "UdpConfig",
    "UdpReceiver",
    "UdpSender",
    "UdpStream",
    "UdpTransport",
    "classic_receiver",
]
