"""What runs for each heap of an item group, and may be run faster than in Python: where the groups find that.

Item groups and heap generators define the work, and do it themselves where there is no shortcut. An engine offers
shortcuts; it is this layer's own to say how it is asked, because it may import no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import attrs

from .codec import ByteOrder
from .item import Item
from .outgoing import Heap
from .received import Heap as ReceivedHeap
from .received import IncompleteHeap

__all__ = ["SentItem", "Shortcuts", "find_shortcuts", "provide_shortcuts"]


@attrs.define(eq=False)
class SentItem:
    """What was sent of an item."""

    item: Item
    #: Version of the value; 0 if none was sent.
    version: int = 0
    #: Number of the heap with the descriptor; ``None`` if none was sent.
    described_in: int | None = None


class Shortcuts(Protocol):
    """The shortcuts of one item group or heap generator; they keep what they can use again for the next heap."""

    def update(
        self, items: Mapping[int, Item], revision: int, heap: ReceivedHeap | IncompleteHeap, new_order: ByteOrder
    ) -> dict[str, Item] | None:
        """Give items the values that are in a heap.

        Parameters
        ----------
        items
            The items by id.
        revision
            Is another number if these are no longer the same items.
        heap, new_order
            As for :meth:`~spead_transport.ItemGroup.update`.

        Returns
        -------
        dict or None
            What :meth:`~spead_transport.ItemGroup.update` returns; ``None`` if that has to do all of the work itself,
            because the heap is not a simple one (it has descriptors, say), or to tell what is wrong with it.
        """
        ...

    def fill(self, heap: Heap, sent: Sequence[SentItem], everything: bool) -> bool:
        """Add values to a heap, and note their versions in `sent`.

        Parameters
        ----------
        heap
            Where to add them.
        sent
            All items, in the order in which they are added.
        everything
            Whether to add all items that have a value, or only those whose version is newer than what was sent.

        Returns
        -------
        bool
            False if nothing was done.

        Raises
        ------
        ValueError
            As :meth:`~spead_transport.send.Heap.add_item`. Nothing is noted then.
        """
        ...


def _no_shortcuts() -> None:
    return None


_provider: Callable[[], Shortcuts | None] = _no_shortcuts


def provide_shortcuts(provider: Callable[[], Shortcuts | None]) -> None:
    """From now on new item groups and heap generators use what `provider` makes."""
    global _provider
    _provider = provider


def find_shortcuts() -> Shortcuts | None:
    """Shortcuts for a new item group or heap generator; ``None`` if all is done in Python."""
    return _provider()
