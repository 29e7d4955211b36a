"""What tests of streaming programs need from pytest; it is there wherever the package is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from ..transport import Redirection

__all__ = ["spead_inproc"]

_RULES: Final = "udp->inproc,tcp->inproc"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("spead_inproc", "what the fixture spead_inproc redirects, and to where", default=_RULES)


@pytest.fixture
def spead_inproc(pytestconfig: pytest.Config) -> Iterator[Redirection]:
    """Every ``udp://`` and ``tcp://`` of the program under test, under classic names too, goes through memory.

    Ends meet as on a network: by port, or by group and port. Nothing is lost or slowed down to a rate, nothing needs
    a free port, and nothing is left for the next test. The ini option of the same name has the rules.
    """
    from ..transport import redirected

    with redirected(pytestconfig.getini("spead_inproc")) as redirection:
        yield redirection
