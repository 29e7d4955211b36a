"""Item groups: the items of a stream, kept up to date by its heaps."""

from __future__ import annotations

import logging
from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
from typing import Any, Final, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from .batch import Bytes
from .casting import Casting
from .codec import ByteOrder, check_order
from .constants import DESCRIPTOR_ID, FIRST_AUTO_ID, LAST_RESERVED_ID
from .descriptor import Descriptor, check_name
from .flavour import Flavour
from .item import Item
from .located import located
from .numpy_header import Order
from .raw_descriptor import decode_descriptor
from .received import Heap, IncompleteHeap
from .shortcuts import find_shortcuts

__all__ = ["ItemGroup"]

_log = logging.getLogger("spead_transport")
#: Of how many unknown items a group remembers that it warned.
_MOST_WARNINGS: Final = 1000
_NO_BYTES: Final[Bytes] = np.zeros(0, np.uint8)
#: The bytes of a descriptor and the flags of its flavour.
_DescriptorKey: TypeAlias = tuple[bytes, int]
#: Item pointers, size of the payload, flavour, whether the heap is complete, and the group's revision.
_TableKey: TypeAlias = tuple[bytes, int, Flavour, bool, int]


class ItemGroup:
    """Items by name and by id.

    A sender adds the items and changes their values; a receiver gives the group each heap, from which it learns the
    descriptors and takes the values. Iterating gives the names.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, Item] = {}
        self._by_name: dict[str, Item] = {}
        #: Descriptors that arrived, for each item and the other way round: those that are repeated, as most are, need
        #: not be looked at.
        self._descriptor_of: dict[int, _DescriptorKey] = {}
        self._described: dict[_DescriptorKey, int] = {}
        self._unknown: set[int] = set()
        #: Is another number whenever items were added or replaced.
        self.revision: int = 0
        self._table = _Table()
        self._shortcuts_to_receive = find_shortcuts()

    # ----------------------------------------------------------------------------------------------- definition

    def add_item(
        self,
        id: int | None,
        name: str,
        description: str,
        shape: Iterable[int | None],
        dtype: npt.DTypeLike | None = None,
        order: Order = "C",
        format: Iterable[tuple[str, int]] | None = None,
        value: Any = None,
        *,
        casting: Casting = "checked",
    ) -> Item:
        """Define an item.

        If the group has the item with the same description already, that item stays, and gets `value` if there is
        one. Otherwise the new item replaces every item that has the same id or the same name.

        Parameters
        ----------
        id
            Item id; ``None`` for the first free one from 0x1000.
        name, description, shape, dtype, order, format
            As for :class:`Descriptor`.
        value, casting
            As for :class:`Item`.

        Returns
        -------
        Item
            The item that is in the group.

        Raises
        ------
        ValueError
            If the description is not valid. (White space in the name only makes a warning.)
        """
        check_name(name)
        item_id = self._free_id() if id is None else id
        item = Item(item_id, name, description, shape, dtype, order, format, value, casting=casting)
        old = self._by_id.get(item_id)
        if old is None or not old.same_item(item):
            self._replace(item)
            return item
        old.casting = casting
        if value is not None:
            old.value = value
        return old

    def _free_id(self) -> int:
        item_id = FIRST_AUTO_ID
        while item_id in self._by_id:
            item_id += 1
        return item_id

    def _replace(self, item: Item) -> None:
        """Put an item in, in place of those with the same id or name; its version continues theirs."""
        same = {old.id: old for old in (self._by_id.get(item.id), self._by_name.get(item.name)) if old is not None}
        for old in same.values():
            _log.info("item %#x %r is replaced by item %#x %r", old.id, old.name, item.id, item.name)
            del self._by_id[old.id], self._by_name[old.name]
            self._forget_descriptor(old.id)
            item.version = max(item.version, old.version + 1)
        self._by_id[item.id] = self._by_name[item.name] = item
        self.revision += 1

    # --------------------------------------------------------------------------------------------------- lookup

    def __getitem__(self, key: int | str) -> Item:
        """The item of that id or name; :exc:`KeyError` if there is none."""
        item = self._find(key)
        if item is None:
            raise KeyError(key)
        return item

    def __contains__(self, key: object) -> bool:
        return self._find(key) is not None

    def _find(self, key: object) -> Item | None:
        if isinstance(key, str):
            return self._by_name.get(key)
        return self._by_id.get(key)  # type: ignore[call-overload,no-any-return]  # other keys are just not there

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        """Number of items."""
        return len(self._by_name)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._by_name.keys()

    def ids(self) -> KeysView[int]:
        """The ids."""
        return self._by_id.keys()

    def values(self) -> ValuesView[Item]:
        """The items."""
        return self._by_name.values()

    def items(self) -> ItemsView[str, Item]:
        """Pairs of a name and an item."""
        return self._by_name.items()

    # ------------------------------------------------------------------------------------------------ reception

    def update(self, heap: Heap | IncompleteHeap, new_order: ByteOrder = "=") -> dict[str, Item]:
        """Take descriptors and values from a heap. Its descriptors apply before its items.

        Of an incomplete heap only the immediate items are used.

        Items without a descriptor are logged (once for each id) and ignored; so are items without bytes whose
        values need some. If the heap has a bad value, no item gets a new value.

        Parameters
        ----------
        heap
            A heap that arrived.
        new_order
            Byte order of arrays: ``"<"``, ``">"``, ``"="`` for the machine's, ``"|"`` for the one they arrived in.

        Returns
        -------
        dict
            The items that got a value, by name, in the order of :meth:`Heap.get_items`.

        Raises
        ------
        ValueError
            If a descriptor or a value is malformed, an item pointer points beyond the payload, or `new_order` is not
            a byte order.
        """
        shortcuts = self._shortcuts_to_receive
        if shortcuts is not None:
            updated = shortcuts.update(self._by_id, self.revision, heap, new_order)
            if updated is not None:
                return updated
        check_order(new_order)
        payload = heap.payload if isinstance(heap, Heap) else _NO_BYTES
        flavour = heap.flavour
        key = heap.pointers.tobytes(), len(payload), flavour, isinstance(heap, Heap), self.revision
        table = self._table
        if table.key != key:
            table = self._look_up(heap, key)
        address_bytes = flavour.immediate_bytes
        values: list[Any] = []
        item: Item | None = None
        try:
            for item, start, end in table.addressed:
                values.append(item.codec.decode(payload, start, end, new_order))
            for item, value in table.immediate:
                values.append(item.codec.decode_immediate(value, address_bytes, new_order))
        except ValueError as error:
            raise located(error, f"heap {heap.cnt}, item {item and item.name!r}") from error
        for item, value in zip(table.items, values, strict=True):
            item.value = value
        return table.by_name.copy()

    def _look_up(self, heap: Heap | IncompleteHeap, key: _TableKey) -> _Table:
        """Learn a heap's descriptors, and find its items; keep the table if there are no descriptors."""
        addressed, immediate = heap.locate_items()
        has_descriptors = False
        for item_id, start, end in addressed:
            if item_id == DESCRIPTOR_ID:
                has_descriptors = True
                assert isinstance(heap, Heap)  # others have no items in their payload
                self._describe(heap.payload[start:end], heap)
        table = _Table()
        for item_id, start, end in addressed:
            item = self._by_id.get(item_id)
            if item is None:
                self._warn(item_id)
            elif start < end or not item.codec.nbytes:
                table.addressed.append((item, start, end))
        for item_id, value in immediate:
            item = self._by_id.get(item_id)
            if item is None:
                self._warn(item_id)
            else:
                table.immediate.append((item, value))
        table.items = [item for item, _, _ in table.addressed] + [item for item, _ in table.immediate]
        table.by_name = {item.name: item for item in table.items}
        if not has_descriptors:
            table.key = key
            self._table = table
        return table

    def _warn(self, item_id: int) -> None:
        """Say that there is no such item."""
        if item_id > LAST_RESERVED_ID and item_id not in self._unknown and len(self._unknown) < _MOST_WARNINGS:
            self._unknown.add(item_id)
            _log.warning("Item with ID %#x received but there is no descriptor", item_id)

    def _describe(self, data: Bytes, heap: Heap | IncompleteHeap) -> None:
        """Learn a descriptor that arrived."""
        bug_compat = heap.flavour.bug_compat
        key = data.tobytes(), bug_compat
        if key in self._described:
            return
        try:
            raw = decode_descriptor(data, bug_compat)
        except ValueError as error:
            _log.warning("ignored a descriptor in heap %d: %s", heap.cnt, error)
            return
        if raw.id <= LAST_RESERVED_ID:
            _log.warning("ignored a descriptor in heap %d of item %#x, whose id is reserved", heap.cnt, raw.id)
            return
        try:
            descriptor = Descriptor.from_raw(raw, heap.flavour)
        except ValueError as error:
            raise located(error, f"heap {heap.cnt}, descriptor of item {raw.id:#x}") from error
        old = self._by_id.get(descriptor.id)
        if old is None or not old.same_item(descriptor):
            self._replace(_without_value(descriptor))
        self._forget_descriptor(descriptor.id)
        self._descriptor_of[descriptor.id] = key
        self._described[key] = descriptor.id
        self._unknown.discard(descriptor.id)

    def _forget_descriptor(self, item_id: int) -> None:
        key = self._descriptor_of.pop(item_id, None)
        if key is not None:
            del self._described[key]


@attrs.define(eq=False)
class _Table:
    """Where the items are in a heap, and in those after it that have the same item pointers."""

    key: _TableKey | None = None
    addressed: list[tuple[Item, int, int]] = attrs.field(factory=list)
    immediate: list[tuple[Item, int]] = attrs.field(factory=list)
    #: Those of both.
    items: list[Item] = attrs.field(factory=list)
    by_name: dict[str, Item] = attrs.field(factory=dict)


def _without_value(descriptor: Descriptor) -> Item:
    return Item(
        descriptor.id,
        descriptor.name,
        descriptor.description,
        descriptor.shape,
        descriptor.dtype,
        descriptor.order,
        descriptor.format,
    )
