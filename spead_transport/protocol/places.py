"""Where the items of a heap lie (specification section 3: absolute addressing)."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, TypeAlias

from .constants import NULL_ID, PAYLOAD_LENGTH_ID
from .layout import Pointers

__all__ = ["AddressedItem", "ImmediateItem", "find_items"]

#: Item id, and where the item starts and ends in the payload, in bytes.
AddressedItem: TypeAlias = tuple[int, int, int]
#: Item id and value.
ImmediateItem: TypeAlias = tuple[int, int]


def find_items(
    pointers: Pointers, heap_address_bits: int, payload_size: int
) -> tuple[list[AddressedItem], list[ImmediateItem]]:
    """Find the items of a heap from its item pointers.

    An item ends where the next address starts, or at the end of the payload; of several pointers with one address,
    all but the last belong to empty items. Pointers that occur twice count once. NULL pointers only end the item
    before them. Pointers with the ids of the four that every packet has are ignored.

    Parameters
    ----------
    pointers
        Item pointers in the order in which they arrived.
    heap_address_bits
        Width of a heap address.
    payload_size
        In bytes.

    Returns
    -------
    addressed
        Items that lie in the payload, by address, and by order of arrival where the address is the same.
    immediate
        Items whose value is in the pointer, by value, and by order of arrival where the value is the same.

    Raises
    ------
    ValueError
        If an item starts beyond the end of the payload.
    """
    mask = (1 << heap_address_bits) - 1
    ordered = sorted(dict.fromkeys(pointers.tolist()), key=(_IMMEDIATE | mask).__and__)
    split = bisect_left(ordered, _IMMEDIATE)
    immediate = [
        (item_id, word & mask)
        for word in ordered[split:]
        if (item_id := (word ^ _IMMEDIATE) >> heap_address_bits) > PAYLOAD_LENGTH_ID
    ]
    addressed: list[AddressedItem] = []
    end = payload_size
    for word in reversed(ordered[:split]):
        item_id = word >> heap_address_bits
        start = word & mask
        if start > payload_size:
            raise ValueError(f"item {item_id:#x} starts at byte {start} of a heap of {payload_size} bytes")
        if item_id > PAYLOAD_LENGTH_ID:
            addressed.append((item_id, start, end))
        elif item_id != NULL_ID:
            continue
        end = start
    addressed.reverse()
    return addressed, immediate


#: The bit of an item pointer that says that it holds the value.
_IMMEDIATE: Final = 1 << 63
