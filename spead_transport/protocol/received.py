"""Heaps as they arrive, and the raw items in them.

An engine makes a heap of what it put together; nothing is looked at until somebody asks.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from .batch import Bytes
from .constants import CTRL_STREAM_START, CTRL_STREAM_STOP, DESCRIPTOR_ID, STREAM_CTRL_ID
from .flavour import Flavour
from .layout import Pointers
from .places import AddressedItem, ImmediateItem, find_items
from .raw_descriptor import RawDescriptor, decode_descriptor

__all__ = ["Heap", "IncompleteHeap", "RawItem"]

_log = logging.getLogger("spead_transport")
_NO_BYTES: Bytes = np.zeros(0, np.uint8)


class RawItem(np.ndarray[Any, np.dtype[np.uint8]]):
    """The bytes of an item that arrived: an array, and so anything that takes a buffer takes it.

    The bytes of an item in the payload are the heap's own memory, and writeable. Those of an immediate item are its
    value as a big-endian number of the flavour's address width.
    """

    #: Item id.
    id: int = 0
    #: Whether the value was in the item pointer.
    is_immediate: bool = False
    #: The value that was in the item pointer; 0 if the item is not immediate.
    immediate_value: int = 0

    if TYPE_CHECKING:  # NumPy's types say so from Python 3.12 on only

        def __buffer__(self, flags: int, /) -> memoryview: ...

    def __array_finalize__(self, obj: object, /) -> None:
        if isinstance(obj, RawItem):  # slices and copies are still bytes of the same item
            self.__dict__.update(obj.__dict__)

    @classmethod
    def _addressed(cls, item_id: int, data: Bytes) -> RawItem:
        item = data.view(cls)
        item.id = item_id
        return item

    @classmethod
    def _immediate(cls, item_id: int, value: int, flavour: Flavour) -> RawItem:
        item = np.frombuffer(bytearray(value.to_bytes(flavour.immediate_bytes, "big")), np.uint8).view(cls)
        item.id = item_id
        item.is_immediate = True
        item.immediate_value = value
        return item


@attrs.define(eq=False)
class _ReceivedHeap:
    """What complete and incomplete heaps have in common."""

    #: The heap's number.
    cnt: int
    #: The flavour in which it arrived.
    flavour: Flavour
    #: The item pointers in the order in which they arrived, without the four that every packet has.
    pointers: Pointers

    def is_start_of_stream(self) -> bool:
        """Whether a stream control item says that the stream starts with this heap; see :meth:`locate_items`."""
        return self._has_control(CTRL_STREAM_START)

    def is_end_of_stream(self) -> bool:
        """Whether a stream control item says that the stream ends with this heap; see :meth:`locate_items`."""
        return self._has_control(CTRL_STREAM_STOP)

    def _has_control(self, value: int) -> bool:
        return (1 << 63 | STREAM_CTRL_ID << self.flavour.heap_address_bits | value) in self.pointers.tolist()

    def locate_items(self) -> tuple[list[AddressedItem], list[ImmediateItem]]:
        """Where the items are, descriptors included; see :func:`~spead_transport.protocol.places.find_items`.

        Raises
        ------
        ValueError
            If an item pointer points beyond the payload.
        """
        raise NotImplementedError


@attrs.define(eq=False)
class Heap(_ReceivedHeap):
    """A heap that arrived whole.

    Parameters
    ----------
    cnt
        The heap's number.
    flavour
        The flavour in which it arrived.
    pointers
        The item pointers in the order in which they arrived, without the four that every packet has.
    payload
        The payload, writeable; the heap's items are views of it.
    """

    payload: Bytes

    def locate_items(self) -> tuple[list[AddressedItem], list[ImmediateItem]]:
        return find_items(self.pointers, self.flavour.heap_address_bits, len(self.payload))

    def get_items(self) -> list[RawItem]:
        """All items, without descriptors: those in the payload by address, then the immediate ones by value.

        Items of the same address or value keep the order in which they arrived.

        Raises
        ------
        ValueError
            If an item pointer points beyond the payload.
        """
        flavour, payload = self.flavour, self.payload
        addressed, immediate = self.locate_items()
        items = [
            RawItem._addressed(item_id, payload[start:end])
            for item_id, start, end in addressed
            if item_id != DESCRIPTOR_ID
        ]
        return items + _immediate_items(immediate, flavour)

    def _has_control(self, value: int) -> bool:
        return super()._has_control(value) or any(
            item_id == STREAM_CTRL_ID and start < end and int.from_bytes(self.payload[start:end].data, "big") == value
            for item_id, start, end in self.locate_items()[0]
        )

    def get_descriptors(self) -> list[RawDescriptor]:
        """The descriptors in the heap. Those that cannot be decoded are logged and left out.

        Raises
        ------
        ValueError
            If an item pointer points beyond the payload.
        """
        addressed, _ = self.locate_items()
        found: list[RawDescriptor] = []
        for item_id, start, end in addressed:
            if item_id == DESCRIPTOR_ID:
                try:
                    found.append(decode_descriptor(self.payload[start:end], self.flavour.bug_compat))
                except ValueError as error:
                    _log.warning("ignored a descriptor in heap %d: %s", self.cnt, error)
        return found


@attrs.define(eq=False)
class IncompleteHeap(_ReceivedHeap):
    """A heap of which parts are missing.

    Parameters
    ----------
    cnt
        The heap's number.
    flavour
        The flavour in which it arrived.
    pointers
        The item pointers in the order in which they arrived, without the four that every packet has.
    heap_length
        Size of the payload that the sender announced, in bytes; -1 if it did not.
    received_length
        How much of it arrived, in bytes.
    payload_ranges
        Which parts arrived, as sorted disjoint ``(start, end)``; empty unless the stream was asked to keep them.
    """

    heap_length: int
    received_length: int
    payload_ranges: list[tuple[int, int]]

    def locate_items(self) -> tuple[list[AddressedItem], list[ImmediateItem]]:
        """The immediate items only: others cannot be trusted to be there."""
        pointers = self.pointers[self.pointers >= np.uint64(1 << 63)]
        return find_items(pointers, self.flavour.heap_address_bits, 0)

    def get_items(self) -> list[RawItem]:
        """The immediate items, by value; others cannot be trusted to be there."""
        _, immediate = self.locate_items()
        return _immediate_items(immediate, self.flavour)


def _immediate_items(immediate: list[tuple[int, int]], flavour: Flavour) -> list[RawItem]:
    return [RawItem._immediate(item_id, value, flavour) for item_id, value in immediate if item_id != DESCRIPTOR_ID]
