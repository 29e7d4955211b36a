"""Does a transport keep the contract? And what tests of streaming programs need.

The conformance suite is a class to inherit::

    class TestMine(TransportConformance):
        transport = MyTransport

Behind it are checks that work with any test framework, or with none: each carries the sentence of the contract that
it is about, and fails with it. :class:`Link` connects streams over any transport; :class:`Resources` finds what a
test leaves behind. Nothing here needs pytest, whose fixtures are in :mod:`spead_transport.testing.pytest_plugin`.
"""

from __future__ import annotations

from .check import Check, ConformanceError
from .conformance import TransportConformance
from .leaks import Resources
from .links import AsyncStreamPair, Link, StreamPair
from .subject import TransportUnderTest
from .suite import checks_for

__all__ = [
    "AsyncStreamPair",
    "Check",
    "ConformanceError",
    "Link",
    "Resources",
    "StreamPair",
    "TransportConformance",
    "TransportUnderTest",
    "checks_for",
]
