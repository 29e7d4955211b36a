"""Queues keep the contract with every option that leaves nothing lost."""

from __future__ import annotations

import pytest
from spead_transport_inproc import InprocTransport

from spead_transport.testing import Check, TransportUnderTest, checks_for


class WithOptions(TransportUnderTest):
    def __init__(self, options: str) -> None:
        super().__init__(InprocTransport)
        self._options = options

    def receiver_url(self) -> str:
        return f"{super().receiver_url()}?{self._options}"


@pytest.mark.parametrize("options", ["max_packets=1", "max_packets=7&max_bytes=2MiB", "mode=fanout&max_bytes=1200kB"])
@pytest.mark.parametrize("check", checks_for(InprocTransport.capabilities), ids=str)
def test_conformance(check: Check, options: str) -> None:
    check.run(WithOptions(options))
