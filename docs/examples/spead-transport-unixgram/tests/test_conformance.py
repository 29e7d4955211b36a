from __future__ import annotations

import pytest
from spead_transport_unixgram import UnixgramTransport

from spead_transport.testing import Check, TransportUnderTest, checks_for

SUBJECT = TransportUnderTest(UnixgramTransport)


@pytest.mark.parametrize("check", checks_for(SUBJECT.capabilities), ids=str)
def test_conformance(check: Check) -> None:
    check.run(SUBJECT)
