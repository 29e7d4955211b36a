"""Every installed transport keeps the contract, if it can be tried on any machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spead_transport.testing import Check, TransportUnderTest, checks_for
from spead_transport.transport.registry import get_transport_class, installed_transports


def _subjects() -> Iterator[TransportUnderTest]:
    for installed in installed_transports():
        subject = TransportUnderTest(get_transport_class(installed.scheme))
        try:
            subject.receiver_url()
        except NotImplementedError:
            continue
        yield subject


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
