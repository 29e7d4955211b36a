from __future__ import annotations

from spead_transport_unixgram import UnixgramTransport

from spead_transport.testing import TransportConformance


class TestUnixgram(TransportConformance):
    transport = UnixgramTransport
