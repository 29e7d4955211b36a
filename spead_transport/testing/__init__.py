"""Does a transport keep the contract? Checks that work with any test framework, or with none.

Each check carries the sentence of the contract that it is about, and fails with it. With pytest::

    SUBJECT = TransportUnderTest(MyTransport)

    @pytest.mark.parametrize("check", checks_for(SUBJECT.capabilities), ids=str)
    def test_conformance(check):
        check.run(SUBJECT)
"""

from __future__ import annotations

from .check import Check, ConformanceError
from .subject import TransportUnderTest
from .suite import checks_for

__all__ = ["Check", "ConformanceError", "TransportUnderTest", "checks_for"]
