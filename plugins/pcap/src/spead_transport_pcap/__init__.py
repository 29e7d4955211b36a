"""``pcap:///path`` and ``record+udp://…``: streams from packet captures, and into them."""

from __future__ import annotations

from .config import PcapConfig, RecordConfig
from .receiver import PcapReceiver
from .recording import Recorder, RecordingReceiver, RecordingSender
from .sender import PcapSender
from .transport import PcapTransport, RecordTransport

__all__ = [
    "PcapConfig",
    "PcapReceiver",
    "PcapSender",
    "PcapTransport",
    "RecordConfig",
    "RecordTransport",
    "Recorder",
    "RecordingReceiver",
    "RecordingSender",
]
