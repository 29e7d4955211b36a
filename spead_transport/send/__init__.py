"""Sending streams.

:func:`open_sender` opens a stream over any transport. The other classes with ``Stream`` in their names do so over one
particular transport and have the names and arguments of earlier packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names
from ..engine.send_config import GroupMode, HeapReference, HeapReferenceList, RateMethod, StreamConfig
from ..engine.stats import SenderStatistics
from ..protocol.generator import HeapGenerator, ItemGroup
from ..protocol.outgoing import Heap, PacketGenerator
from . import asyncio
from .bytes_stream import BytesStream
from .ibverbs import UdpIbvConfig, UdpIbvStream
from .opening import open_sender
from .stream import Stream, SyncStream

if TYPE_CHECKING:
    from spead_transport_inproc import InprocStream
    from spead_transport_tcp import TcpStream
    from spead_transport_udp import UdpStream

__all__ = [
    "BytesStream",
    "GroupMode",
    "Heap",
    "HeapGenerator",
    "HeapReference",
    "HeapReferenceList",
    "InprocStream",
    "ItemGroup",
    "PacketGenerator",
    "RateMethod",
    "SenderStatistics",
    "Stream",
    "StreamConfig",
    "SyncStream",
    "TcpStream",
    "UdpIbvConfig",
    "UdpIbvStream",
    "UdpStream",
    "asyncio",
    "open_sender",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        __all__,
        {
            "InprocStream": "spead_transport_inproc",
            "TcpStream": "spead_transport_tcp",
            "UdpStream": "spead_transport_udp",
        },
    )
