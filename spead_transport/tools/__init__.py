"""Programs that send, receive and measure streams, with the arguments of the tools of earlier packages.

Each is a command of ``spead-transport`` and a program of its own: ``spead-transport-send``, ``spead-transport-recv``
and ``spead-transport-bench``.
"""

from __future__ import annotations

from .bench import bench
from .recv import recv
from .send import send

__all__ = ["bench", "recv", "send"]
