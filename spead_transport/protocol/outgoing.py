"""Heaps to send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from .batch import Bytes
from .constants import CTRL_STREAM_START, CTRL_STREAM_STOP, DESCRIPTOR_ID, LAST_RESERVED_ID, STREAM_CTRL_ID
from .flavour import Flavour
from .layout import HeapLayout
from .packets import encode_heap

__all__ = ["Heap", "PacketGenerator", "SendableDescriptor", "SendableItem"]


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
        "_address_bits",
        "_empty",
        "_flavour",
        "_immediate_bytes",
        "_immediates",
        "_layout",
        "_max_id",
        "_payload",
        "_payload_size",
        "_pointers",
        "prepared",
        "repeat_pointers",
    )

    def __init__(self, flavour: Flavour = Flavour()) -> None:  # noqa: B008 - immutable
        self._flavour = flavour
        self._address_bits = flavour.heap_address_bits
        self._max_id = flavour.max_id
        self._immediate_bytes = flavour.immediate_bytes
        #: Whether each packet carries all item pointers, so that a receiver can use any of them alone.
        self.repeat_pointers: bool = False
        self._pointers: list[int] = []
        #: Indices in `_pointers` of values to be read when the heap is sent, and where they are.
        self._immediates: list[tuple[int, int, Bytes]] = []
        #: Indices in `_pointers` of items without bytes.
        self._empty: list[int] = []
        self._payload: list[Bytes] = []
        self._payload_size = 0
        self._layout: HeapLayout | None = None
        #: What an engine made of the layout, if it is :attr:`constant`, to use again when the heap is sent again.
        #: ``None`` when something was added.
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
        if not LAST_RESERVED_ID < item_id <= self._max_id:
            raise ValueError(
                f"Item ID out of range: {item_id:#x} must be from {LAST_RESERVED_ID + 1:#x} "
                f"to {self._max_id:#x} in flavour SPEAD-64-{self._address_bits}"
            )
        self._add(item_id, item.to_buffer(), item.allow_immediate())

    def add_descriptor(self, descriptor: SendableDescriptor) -> None:
        """Add the description of an item, for receivers that do not know it.

        Raises
        ------
        ValueError
            If the description does not fit the flavour.
        """
        self._add(DESCRIPTOR_ID, descriptor.encode(self._flavour), False)

    def add_start(self) -> None:
        """Say that the stream starts here."""
        self._add_control(CTRL_STREAM_START)

    def add_end(self) -> None:
        """Say that the stream ends here. Most receivers discard the rest of the heap: send it in one of its own."""
        self._add_control(CTRL_STREAM_STOP)

    @property
    def constant(self) -> bool:
        """Whether :meth:`layout` stays the same until something is added: it has no immediate values to be read."""
        return not self._immediates

    def layout(self) -> HeapLayout:
        """The heap as the packetiser wants it, with immediate values as they are now."""
        if self._layout is None:
            pointers = np.array(self._pointers, np.uint64)
            if self._empty:
                pointers[self._empty] += np.uint64(self._payload_size)
            self._layout = HeapLayout(pointers, tuple(self._payload), self._payload_size)
        if not self._immediates:
            return self._layout
        pointers = self._layout.pointers.copy()
        for index, word, value in self._immediates:
            pointers[index] = word | int.from_bytes(value.data, "big")
        return HeapLayout(pointers, self._layout.payload, self._payload_size)

    def _add_control(self, value: int) -> None:
        self._pointers.append(1 << 63 | STREAM_CTRL_ID << self._address_bits | value)
        self._layout = self.prepared = None

    def _add(self, item_id: int, value: Bytes, allow_immediate: bool) -> None:
        size = len(value)
        word = item_id << self._address_bits
        if size == 0:
            # Behind everything else, where no other item starts, so that its pointer may arrive in any order.
            self._empty.append(len(self._pointers))
        elif allow_immediate and size <= self._immediate_bytes:
            word |= 1 << 63
            self._immediates.append((len(self._pointers), word, value))
        else:
            self._check_size(size)
            word |= self._payload_size
            self._payload.append(value)
            self._payload_size += size
        self._pointers.append(word)
        self._layout = self.prepared = None

    def _check_size(self, size: int) -> None:
        largest = self._flavour.address_mask
        if self._payload_size + size > largest:
            raise ValueError(
                f"a heap of more than {largest} bytes is too large for flavour SPEAD-64-{self._address_bits}"
            )


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
