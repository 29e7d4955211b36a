"""Heaps made from an item group: what changed, and descriptors as often as receivers need them."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import attrs

from . import item_group
from .flavour import Flavour
from .item import Item
from .outgoing import Heap

__all__ = ["HeapGenerator", "ItemGroup", "Which"]

#: ``"stale"``: what changed since it was last sent; ``"all"``; ``"none"``.
Which: TypeAlias = Literal["stale", "all", "none"]

_WORDS: Final = get_args(Which)


@attrs.define(eq=False)
class _Sent:
    """What was sent of an item."""

    item: Item
    #: Version of the value; 0 if none was sent.
    version: int = 0
    #: Number of the heap with the descriptor; ``None`` if none was sent.
    described_in: int | None = None


class HeapGenerator:
    """Makes heaps from an item group and keeps account of what it has put in them.

    Parameters
    ----------
    item_group
        Where the items are.
    descriptor_frequency
        Descriptors are repeated in every so many heaps, for receivers that start late; ``None`` for never.
    flavour
        Of the heaps.

    Raises
    ------
    ValueError
        If `descriptor_frequency` is less than 1.
    """

    def __init__(
        self,
        item_group: item_group.ItemGroup,
        descriptor_frequency: int | None = None,
        flavour: Flavour = Flavour(),  # noqa: B008 - immutable
    ) -> None:
        if descriptor_frequency is not None and descriptor_frequency < 1:
            raise ValueError(f"descriptor_frequency must be at least 1, or None, not {descriptor_frequency}")
        self._items = item_group
        self._frequency = descriptor_frequency
        self._flavour = flavour
        self._num_heaps = 0
        self._sent: dict[int, _Sent] = {}

    def get_heap(self, descriptors: Which = "stale", data: Which = "stale") -> Heap:
        """A new heap, filled as by :meth:`add_to_heap`."""
        return self.add_to_heap(Heap(self._flavour), descriptors, data)

    def add_to_heap(self, heap: Heap, descriptors: Which = "stale", data: Which = "stale") -> Heap:
        """Add descriptors and values to a heap.

        Parameters
        ----------
        heap
            The heap.
        descriptors
            Which descriptors to add. One is stale if it was not sent yet, or not in the last
            `descriptor_frequency` heaps.
        data
            Which values to add, of the items that have one. One is stale if the item's version is newer than what
            was sent.

        Returns
        -------
        Heap
            `heap`.

        Raises
        ------
        ValueError
            If a value does not fit its type, an item the heap's flavour, or an argument is not one of the words.
        """
        for name, which in (("descriptors", descriptors), ("data", data)):
            if which not in _WORDS:
                raise ValueError(f"{name} must be one of 'stale', 'all', 'none', not {which!r}")
        described: list[_Sent] = []
        valued: list[_Sent] = []
        for item in self._items.values():
            sent = self._sent_of(item)
            if descriptors == "all" or (descriptors == "stale" and self._is_due(sent)):
                heap.add_descriptor(item)
                described.append(sent)
            if data != "none" and item.value is not None and (data == "all" or item.version > sent.version):
                heap.add_item(item)
                valued.append(sent)
        # Only now: if an item cannot be added, the caller has no heap to send.
        for sent in described:
            sent.described_in = self._num_heaps
        for sent in valued:
            sent.version = sent.item.version
        self._num_heaps += 1
        if len(self._sent) > len(self._items):
            self._sent = {item_id: self._sent[item_id] for item_id in self._items.ids()}
        return heap

    def get_start(self) -> Heap:
        """A heap that only says that the stream starts."""
        heap = Heap(self._flavour)
        heap.add_start()
        return heap

    def get_end(self) -> Heap:
        """A heap that only says that the stream ends."""
        heap = Heap(self._flavour)
        heap.add_end()
        return heap

    def _sent_of(self, item: Item) -> _Sent:
        """What was sent of `item`; nothing, if another item had its id before."""
        sent = self._sent.get(item.id)
        if sent is None or sent.item is not item:
            sent = self._sent[item.id] = _Sent(item)
        return sent

    def _is_due(self, sent: _Sent) -> bool:
        """Whether the descriptor is to be sent."""
        if sent.described_in is None:
            return True
        return self._frequency is not None and self._num_heaps - sent.described_in >= self._frequency


class ItemGroup(item_group.ItemGroup, HeapGenerator):
    """An item group that makes its own heaps; the parameters are those of :class:`HeapGenerator`."""

    def __init__(
        self,
        descriptor_frequency: int | None = None,
        flavour: Flavour = Flavour(),  # noqa: B008 - immutable
    ) -> None:
        item_group.ItemGroup.__init__(self)
        HeapGenerator.__init__(self, self, descriptor_frequency, flavour)
