"""Every installed transport keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spead_transport.testing import Check, TransportUnderTest, checks_for
from spead_transport.transport.registry import get_transport_class, installed_transports


def _subjects() -> Iterator[TransportUnderTest]:
    for installed in installed_transports():
        yield TransportUnderTest(get_transport_class(installed.scheme))


@pytest.mark.parametrize(
    ("subject", "check"),
    [
        pytest.param(subject, check, id=f"{subject.scheme}-{check}")
        for subject in _subjects()
        for check in checks_for(subject.capabilities)
    ],
)
def test_conformance(subject: TransportUnderTest, check: Check) -> None:
    check.run(subject)
