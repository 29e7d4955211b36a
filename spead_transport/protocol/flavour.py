"""The flavour of a stream: widths of its addresses, and deviations to be compatible with."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import attrs

from .constants import BUG_COMPAT_PYSPEAD_0_5_2, VERSION

__all__ = ["Flavour"]


def _one_of(*allowed: int) -> Any:
    def check(_: object, attribute: attrs.Attribute[int], value: int) -> None:
        if value not in allowed:
            expected = " or ".join(map(str, allowed))
            raise ValueError(f"{attribute.name} must be {expected}, not {value}")

    return check


@attrs.frozen
class Flavour:
    """SPEAD-64-XX (specification section 2): how item pointers are divided.

    Parameters
    ----------
    version
        Protocol version; only 4 exists.
    item_pointer_bits
        Width of an item pointer, in bits; only 64 is supported.
    heap_address_bits
        Width XX of a heap address or immediate value, in bits: a multiple of 8 from 8 to 56. The remaining
        ``63 - XX`` bits of a pointer hold the item id.
    bug_compat
        ``BUG_COMPAT_*`` flags, or-ed together.

    Raises
    ------
    ValueError
        If a width, the version or a flag is not one of the above.
    """

    version: int = attrs.field(default=VERSION, validator=_one_of(VERSION))
    item_pointer_bits: int = attrs.field(default=64, validator=_one_of(64))
    heap_address_bits: int = attrs.field(default=40, validator=_one_of(*range(8, 64, 8)))
    bug_compat: int = attrs.field(default=0, validator=_one_of(*range(BUG_COMPAT_PYSPEAD_0_5_2 + 1)))

    @cached_property
    def address_mask(self) -> int:
        """The largest heap address, immediate value and heap cnt."""
        return (1 << self.heap_address_bits) - 1

    @cached_property
    def max_id(self) -> int:
        """The largest item id."""
        return (1 << (63 - self.heap_address_bits)) - 1

    @cached_property
    def immediate_bytes(self) -> int:
        """The largest size of a value that fits in its item pointer, in bytes."""
        return self.heap_address_bits // 8
