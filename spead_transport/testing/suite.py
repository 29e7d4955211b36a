"""All checks together."""

from __future__ import annotations

from typing import Final

from ..transport import Capabilities
from .check import Check
from .endpoint_checks import ENDPOINT_CHECKS
from .packet_checks import PACKET_CHECKS
from .stream_checks import STREAM_CHECKS

__all__ = ["checks_for"]

_ALL: Final = (ENDPOINT_CHECKS, PACKET_CHECKS, STREAM_CHECKS)


def checks_for(capabilities: Capabilities) -> list[Check]:
    """The checks that a transport with these capabilities must pass."""
    return [check for checks in _ALL for check in checks.applying_to(capabilities)]
