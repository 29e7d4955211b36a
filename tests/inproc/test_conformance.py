"""Queues keep the contract with every option that leaves nothing lost."""

from __future__ import annotations

from spead_transport_inproc import InprocTransport

from spead_transport.testing import TransportConformance


class TestOnePacket(TransportConformance):
    transport = InprocTransport
    options = "max_packets=1"


class TestTwoLimits(TransportConformance):
    transport = InprocTransport
    options = "max_packets=7&max_bytes=2MiB"


class TestFanout(TransportConformance):
    transport = InprocTransport
    options = "mode=fanout&max_bytes=1200kB"
