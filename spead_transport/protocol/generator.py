"""Heaps made from an item group: what changed, and descriptors as often as receivers need them."""

from __future__ import annotations

from math import inf
from typing import Final, Literal, TypeAlias, get_args

from . import item_group
from .flavour import Flavour
from .outgoing import Heap
from .shortcuts import SentItem, find_shortcuts

__all__ = ["HeapGenerator", "ItemGroup", "Which"]

#: ``"stale"``: what changed since it was last sent; ``"all"``; ``"none"``.
Which: TypeAlias = Literal["stale", "all", "none"]

_WORDS: Final = get_args(Which)


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
        #: Of the group's items, in their order, when its revision was the next number.
        self._sent: list[SentItem] = []
        self._revision = -1
        #: Number of the heap in which a descriptor will be due.
        self._next_due: float = 0
        self._shortcuts_to_send = find_shortcuts()

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
        if descriptors not in _WORDS or data not in _WORDS:
            name, which = ("data", data) if descriptors in _WORDS else ("descriptors", descriptors)
            raise ValueError(f"{name} must be one of 'stale', 'all', 'none', not {which!r}")
        if self._revision != self._items.revision:
            self._match_items()
        if descriptors == "all" or (descriptors == "stale" and self._num_heaps >= self._next_due):
            self._add_with_descriptors(heap, descriptors, data)
        elif data != "none":
            shortcuts = self._shortcuts_to_send
            if shortcuts is None or not shortcuts.fill(heap, self._sent, data == "all"):
                _fill(heap, self._sent, data == "all")
        self._num_heaps += 1
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

    def _match_items(self) -> None:
        """Keep account of the items that the group has now. Of one that took another one's place nothing was sent."""
        known = {id(sent.item): sent for sent in self._sent}
        self._sent = [known.get(id(item)) or SentItem(item) for item in self._items.values()]
        self._revision = self._items.revision
        self._find_next_due()

    def _find_next_due(self) -> None:
        self._next_due = min(map(self._due, self._sent), default=inf)

    def _due(self, sent: SentItem) -> float:
        """Number of the heap in which the descriptor is due."""
        if sent.described_in is None:
            return 0
        return inf if self._frequency is None else sent.described_in + self._frequency

    def _add_with_descriptors(self, heap: Heap, descriptors: Which, data: Which) -> None:
        """Add descriptors, and each item's value behind its descriptor."""
        described: list[SentItem] = []
        valued: list[SentItem] = []
        for sent in self._sent:
            if descriptors == "all" or self._num_heaps >= self._due(sent):
                heap.add_descriptor(sent.item)
                described.append(sent)
            item = sent.item
            if data != "none" and item.value is not None and (data == "all" or item.version > sent.version):
                heap.add_item(item)
                valued.append(sent)
        # Only now: if an item cannot be added, the caller has no heap to send.
        for sent in described:
            sent.described_in = self._num_heaps
        _note(valued)
        self._find_next_due()


def _fill(heap: Heap, items: list[SentItem], everything: bool) -> None:
    """See :meth:`~spead_transport.protocol.shortcuts.Shortcuts.fill`."""
    valued: list[SentItem] = []
    for sent in items:
        item = sent.item
        if item.value is not None and (everything or item.version > sent.version):
            heap.add_item(item)
            valued.append(sent)
    _note(valued)


def _note(valued: list[SentItem]) -> None:
    for sent in valued:
        sent.version = sent.item.version


class ItemGroup(item_group.ItemGroup, HeapGenerator):
    """An item group that makes its own heaps; the parameters are those of :class:`HeapGenerator`."""

    def __init__(
        self,
        descriptor_frequency: int | None = None,
        flavour: Flavour = Flavour(),  # noqa: B008 - immutable
    ) -> None:
        item_group.ItemGroup.__init__(self)
        HeapGenerator.__init__(self, self, descriptor_frequency, flavour)
