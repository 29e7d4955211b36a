"""SPEAD over TCP: packets back to back on a connection, none of which is lost."""

from __future__ import annotations

from .classic import classic_receiver
from .config import TcpConfig
from .receiver import TcpReceiver
from .sender import TcpSender
from .streams import AsyncTcpStream, TcpStream
from .transport import TcpTransport

__all__ = [
    "AsyncTcpStream",
    "TcpConfig",
    "TcpReceiver",
    "TcpSender",
    "TcpStream",
    "TcpTransport",
    "classic_receiver",
]
