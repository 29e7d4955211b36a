"""SPEAD within one process: queues in memory instead of a network.

Made for tests and for programs of several threads: no ports, no races, and no losses unless asked for.
"""

from __future__ import annotations

from .endpoints import InprocReceiver, InprocSender
from .queue import InprocQueue, InprocStatistics
from .streams import AsyncInprocStream, InprocStream
from .transport import InprocConfig, InprocTransport

__all__ = [
    "AsyncInprocStream",
    "InprocConfig",
    "InprocQueue",
    "InprocReceiver",
    "InprocSender",
    "InprocStatistics",
    "InprocStream",
    "InprocTransport",
]
