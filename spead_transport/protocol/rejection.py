"""Why a packet that arrived is not used. Both engines count under these names."""

from __future__ import annotations

import enum

__all__ = ["PacketError", "Rejection"]


class Rejection(enum.IntEnum):
    """Reasons, in the order in which they are looked for; 0 stands for "none".

    The counter's name in the stream's statistics is ``rejected_`` and the lower-case name.
    """

    NONE = 0
    #: Shorter than a SPEAD header, or than the item pointers that its header announces.
    TRUNCATED = 1
    #: Does not start with the magic number 0x53.
    MAGIC = 2
    #: A protocol version other than 4.
    VERSION = 3
    #: Item pointers that are not 64 bits wide, or a heap address of less than 8 or more than 56 bits.
    FLAVOUR = 4
    #: No heap cnt, payload offset or payload length (specification section 4).
    MISSING_ITEM = 5
    #: The payload length is not that of the bytes that follow the header.
    SIZE_MISMATCH = 6
    #: The payload reaches beyond the heap length.
    OUT_OF_BOUNDS = 7
    #: The heap, or what arrived of it, is larger than ``max_heap_size``.
    TOO_LARGE = 8
    #: No heap length, and ``allow_unsized_heaps`` is false.
    UNSIZED = 9
    #: Another flavour than the heap's first packet.
    FLAVOUR_CHANGED = 10
    #: Another heap length than an earlier packet of the heap, or less than has arrived already.
    LENGTH_CHANGED = 11
    #: Not the next bytes of its heap, and ``allow_out_of_order`` is false.
    OUT_OF_ORDER = 12
    #: All or part of its payload has arrived already.
    DUPLICATE = 13
    #: The memory allocator has no memory for the heap.
    NO_MEMORY = 14
    #: Arrived after the stop item, or after the stream was stopped.
    STOPPED = 15

    @property
    def stat_name(self) -> str:
        """Name of the counter."""
        return f"rejected_{self.name.lower()}"


class PacketError(ValueError):
    """A packet that is not valid SPEAD."""

    def __init__(self, reason: Rejection) -> None:
        super().__init__(f"not a valid SPEAD packet: {reason.name.lower().replace('_', ' ')}")
        self.reason = reason
