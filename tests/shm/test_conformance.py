"""Shared memory keeps the contract with every option."""

from __future__ import annotations

from spead_transport_shm import ShmTransport

from spead_transport.testing import TransportConformance


class TestSmallRing(TransportConformance):
    transport = ShmTransport
    options = "size=2MiB"


class TestOddRing(TransportConformance):
    transport = ShmTransport
    options = "access=anyone&size=3000001"
