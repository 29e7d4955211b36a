"""The options of ``shm://``."""

from __future__ import annotations

import enum
from typing import Final

import attrs

from spead_transport.transport import TransportConfig, option

__all__ = ["LARGEST_RING", "SMALLEST_RING", "Access", "ShmConfig"]

#: In bytes. The smallest one takes a packet of a mebibyte; the largest, no packet whose size needs more than 32 bits.
SMALLEST_RING: Final = 1 << 21
LARGEST_RING: Final = 1 << 32
#: The longest address of a Unix socket is 108 bytes (unix(7)), of which some go to our prefix.
_LONGEST_NAME: Final = 80


class Access(enum.Enum):
    """Who may be at the other end. The superuser always may."""

    #: Processes of the same user.
    USER = "user"
    #: Processes of the same group, too.
    GROUP = "group"
    ANYONE = "anyone"


def _as_name(name: str) -> str:
    if "\0" in name or len(name.encode()) > _LONGEST_NAME:
        raise ValueError(f"expected a name of {_LONGEST_NAME} bytes at most and without NUL, not {name!r}")
    return name


@attrs.frozen(kw_only=True)
class ShmConfig(TransportConfig):
    """Options of transport through shared memory. Those that concern one direction have no effect on the other."""

    name: str = option(
        "",
        "any name that sender and receiver agree on; it is free again as soon as the receiver is gone",
        address=True,
        converter=_as_name,
    )
    size: int = option(
        16 << 20,
        "sending: size of the memory that packets wait in until the receiver has read them",
        unit="bytes",
        validator=[attrs.validators.ge(SMALLEST_RING), attrs.validators.le(LARGEST_RING)],
    )
    access: Access = option(
        Access.USER,
        "who may be at the other end: processes of the same user, of the same group, or anyone's",
    )
    senders: int = option(
        1,
        "receiving: the stream ends when at least so many senders have come and all who came have finished; with 0 "
        "it never ends",
        unit="senders",
        validator=attrs.validators.ge(0),
    )
