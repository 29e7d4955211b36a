"""``faults+udp://…``: losses, delays and other faults on any transport, the same ones on every run."""

from __future__ import annotations

from .config import FaultsConfig, Side, Windows
from .endpoints import FaultyReceiver, FaultySender
from .log import Fault, FaultLog
from .script import Ranges, Rule, Script
from .transport import FaultsTransport

__all__ = [
    "Fault",
    "FaultLog",
    "FaultsConfig",
    "FaultsTransport",
    "FaultyReceiver",
    "FaultySender",
    "Ranges",
    "Rule",
    "Script",
    "Side",
    "Windows",
]
