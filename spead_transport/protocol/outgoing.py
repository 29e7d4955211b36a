"""Heaps to send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np

from .batch import Bytes
from .constants import CTRL_STREAM_START, CTRL_STREAM_STOP, DESCRIPTOR_ID, LAST_RESERVED_ID, STREAM_CTRL_ID
from .flavour import Flavour
from .layout import HeapLayout
from .packets import encode_heap

__all__ = ["Heap", "PacketGenerator", "SendableDescriptor", "SendableItem"]

#: The bit of an item pointer that says that it holds the value.
_IMMEDIATE: Final = 1 << 63


class SendableItem(Protocol):
    """What a heap needs to know of an item; :class:`~spead_transport.Item` is one."""

    @property
    def id(self) -> int: ...

    def allow_immediate(self) -> bool:
        """Whether the value may be put in the item pointer if it is small enough."""
        ...

    def to_buffer(self) -> Bytes:
        """The encoded value: one-dimensional, contiguous, and where possible the memory of the value itself."""
        ...


class SendableDescriptor(Protocol):
    """What a heap needs to know of a descriptor; :class:`~spead_transport.Descriptor` is one."""

    def encode(self, flavour: Flavour) -> Bytes:
        """The packet that describes the item: one-dimensional, contiguous."""
        ...


class Heap:
    """A heap to send: items, descriptors and stream control, in the order in which they are added.

    Items are referenced, not copied: what an array holds when the heap is *sent* is what goes out. So a heap can be
    kept and sent again with new values in the same arrays. The arrays live as long as the heap.

    Parameters
    ----------
    flavour
        Decides the width of addresses and of immediate values.
    """

    __slots__ = (
        "__weakref__",
        "_flavour",
        "_layout",
        "empty_items",
        "late_values",
        "payload",
        "payload_size",
        "prepared",
        "repeat_pointers",
        "words",
    )

    def __init__(self, flavour: Flavour = Flavour()) -> None:  # noqa: B008 - immutable
        self._flavour = flavour
        self._layout: HeapLayout | None = None
        #: Whether each packet carries all item pointers, so that a receiver can use any of them alone.
        self.repeat_pointers: bool = False
        # What follows is for engines, which may also add to it, but then set `prepared` to None.
        #: Item pointers, but for what comes from the next two.
        self.words: list[int] = []
        #: Immediate values to be read when the heap is sent: the index in `words` and the big-endian bytes of each.
        self.late_values: list[tuple[int, Bytes]] = []
        #: Indices in `words` of items without bytes, which are behind all others.
        self.empty_items: list[int] = []
        #: The blocks of the payload, none of them empty.
        self.payload: list[Bytes] = []
        #: Of all blocks together, in bytes.
        self.payload_size: int = 0
        #: What an engine made of the heap, to use again when it is sent again. ``None`` when something was added.
        self.prepared: object = None

    @property
    def flavour(self) -> Flavour:
        return self._flavour

    def add_item(self, item: SendableItem) -> None:
        """Add an item. Its value is referenced if it is an array that can go out as it is, else copied.

        Raises
        ------
        ValueError
            If the item's id is reserved or too large for the flavour, it has no value, or the value does not fit
            its format.
        """
        item_id = item.id
        flavour = self._flavour
        if not LAST_RESERVED_ID < item_id <= flavour.max_id:
            raise ValueError(
                f"Item ID out of range: {item_id:#x} must be from {LAST_RESERVED_ID + 1:#x} "
                f"to {flavour.max_id:#x} in flavour SPEAD-64-{flavour.heap_address_bits}"
            )
        value = item.to_buffer()
        if 0 < len(value) <= flavour.immediate_bytes and item.allow_immediate():
            self._add_immediate(item_id, value)
        else:
            self._add_addressed(item_id, value)

    def add_descriptor(self, descriptor: SendableDescriptor) -> None:
        """Add the description of an item, for receivers that do not know it.

        Raises
        ------
        ValueError
            If the description does not fit the flavour.
        """
        self._add_addressed(DESCRIPTOR_ID, descriptor.encode(self._flavour))

    def add_start(self) -> None:
        """Say that the stream starts here."""
        self._add_control(CTRL_STREAM_START)

    def add_end(self) -> None:
        """Say that the stream ends here. Most receivers discard the rest of the heap: send it in one of its own."""
        self._add_control(CTRL_STREAM_STOP)

    def layout(self) -> HeapLayout:
        """The heap as the packetiser wants it, with immediate values as they are now."""
        layout = self._layout
        # A heap only grows: if it has as many pointers as the layout it is the same.
        if layout is None or len(layout.pointers) != len(self.words):
            pointers = np.array(self.words, np.uint64)
            if self.empty_items:
                pointers[self.empty_items] += np.uint64(self.payload_size)
            layout = self._layout = HeapLayout(pointers, tuple(self.payload), self.payload_size)
        if not self.late_values:
            return layout
        pointers = layout.pointers.copy()
        for index, value in self.late_values:
            pointers[index] = self.words[index] | int.from_bytes(value.data, "big")
        return HeapLayout(pointers, layout.payload, layout.payload_size)

    def _add_control(self, value: int) -> None:
        self._add_word(_IMMEDIATE | STREAM_CTRL_ID << self._flavour.heap_address_bits | value)

    def _add_immediate(self, item_id: int, value: Bytes) -> None:
        word = _IMMEDIATE | item_id << self._flavour.heap_address_bits
        owner: object = value.base
        if type(owner) is bytes:  # cannot change
            word |= int.from_bytes(value.data, "big")
        else:
            self.late_values.append((len(self.words), value))
        self._add_word(word)

    def _add_addressed(self, item_id: int, value: Bytes) -> None:
        size = len(value)
        word = item_id << self._flavour.heap_address_bits
        if size == 0:
            # Behind everything else, where no other item starts, so that its pointer may arrive in any order.
            self.empty_items.append(len(self.words))
        else:
            start = self.payload_size
            if start + size > self._flavour.address_mask:
                raise ValueError(
                    f"a heap of more than {self._flavour.address_mask} bytes is too large for flavour "
                    f"SPEAD-64-{self._flavour.heap_address_bits}"
                )
            word |= start
            self.payload.append(value)
            self.payload_size = start + size
        self._add_word(word)

    def _add_word(self, word: int) -> None:
        self.words.append(word)
        self.prepared = None


class PacketGenerator:
    """Iterator over the packets of a heap, as ``bytes``.

    Parameters
    ----------
    heap
        The heap.
    cnt
        Its number; for one too large for the flavour, the lower bits count.
    max_packet_size
        Largest size of a packet, in bytes, rounded down to a multiple of 8.

    Raises
    ------
    ValueError
        If the packet size is too small, or the heap too large for its flavour, or `cnt` is negative.
    """

    def __init__(self, heap: Heap, cnt: int, max_packet_size: int) -> None:
        if cnt < 0:
            raise ValueError(f"cnt must not be negative, as {cnt} is")
        flavour = heap.flavour
        batch = encode_heap(heap.layout(), flavour, cnt & flavour.address_mask, max_packet_size, heap.repeat_pointers)
        self._packets = batch.packets()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._packets).tobytes()
