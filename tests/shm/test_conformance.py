"""Shared memory keeps the contract with every option."""

from __future__ import annotations

import pytest
from spead_transport_shm import ShmTransport

from spead_transport.testing import Check, TransportUnderTest, checks_for


class WithOptions(TransportUnderTest):
    def __init__(self, options: str) -> None:
        super().__init__(ShmTransport)
        self._options = options

    def receiver_url(self) -> str:
        return f"{super().receiver_url()}?{self._options}"


@pytest.mark.parametrize("options", ["size=2MiB", "access=anyone&size=3000001"])
@pytest.mark.parametrize("check", checks_for(ShmTransport.capabilities), ids=str)
def test_conformance(check: Check, options: str) -> None:
    check.run(WithOptions(options))
