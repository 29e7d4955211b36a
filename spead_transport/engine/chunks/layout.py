"""Placement without code: where heaps go, as expressions of their items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
import numpy as np

from ...protocol.constants import HEAP_LENGTH_ID
from ..validators import unsigned
from .expression import Expression
from .heaps import HeapsToPlace

__all__ = ["ChunkLayout"]

_RESULTS: Final = ("chunk_id", "heap_index", "heap_offset")
_HEAP_LENGTH: Final = "heap_length"


def _checked_items(items: Mapping[str, int]) -> dict[str, int]:
    checked: dict[str, int] = {}
    for name, item_id in items.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"a name for an item must be an identifier, not {name!r}")
        if name in _RESULTS:
            raise ValueError(f"{name!r} cannot be the name of an item: it is what the layout says")
        checked[name] = unsigned(item_id, f"the id of {name}")
    return checked


@attrs.frozen
class ChunkLayout:
    """Where heaps go in chunks, as integer expressions of immediate items of theirs.

    For a correlator's input, for example, in which a heap holds the samples of one antenna in a span of time:

    >>> ChunkLayout(
    ...     items={"timestamp": 0x1600, "antenna": 0x4100},
    ...     chunk_id="timestamp // 2**20",
    ...     heap_index="timestamp % 2**20 // 4096 * 64 + antenna",
    ... )

    Parameters
    ----------
    items
        Names for the expressions to use, and the ids of the items that they stand for. The ids 1 and 2 are the heap
        cnt and the heap length, and ``heap_length`` is a name for the latter already.
    chunk_id
        The chunk that a heap belongs to. Heaps for which it is negative are dropped, as are those in which an item is
        missing.
    heap_index
        Index in ``Chunk.present``. It may use ``chunk_id``.
    heap_offset
        Where the heap starts in ``Chunk.data``, in bytes. It may use ``chunk_id`` and ``heap_index``; by default
        heaps of equal length lie one after the other.

    Expressions have integers, ``+ - * // % ** << >> & | ^ ~``, comparisons and ``a if condition else b``, and are
    evaluated in 64-bit integers.

    Raises
    ------
    ValueError
        If an expression is malformed, or uses an unknown name.
    TypeError
        For a value of the wrong type.
    """

    items: dict[str, int] = attrs.field(converter=_checked_items)
    chunk_id: str
    heap_index: str = "0"
    heap_offset: str = "heap_index * heap_length"
    _expressions: dict[str, Expression] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        names = {_HEAP_LENGTH, *self.items}
        expressions: dict[str, Expression] = {}
        for what in _RESULTS:
            expressions[what] = Expression(getattr(self, what), frozenset(names), what)
            names.add(what)
        object.__setattr__(self, "_expressions", expressions)

    @property
    def item_ids(self) -> list[int]:
        """Ids of the items that the layout needs, in the order of the columns that :meth:`place` expects."""
        ids = list(dict.fromkeys(self.items.values()))
        return ids if HEAP_LENGTH_ID in ids else [*ids, HEAP_LENGTH_ID]

    @property
    def required_ids(self) -> list[int]:
        """Ids of the items without which a heap is dropped."""
        return list(dict.fromkeys(self.items.values()))

    def programs(self) -> list[list[tuple[str, int]]]:
        """For engines: how to find a heap's chunk, its index and its offset, as operations of :class:`Instruction`.

        The argument of ``name`` is the position of the item in :attr:`item_ids`; behind these come the chunk's id and
        the heap's index, as found before.
        """
        ids = self.item_ids
        position = {_HEAP_LENGTH: ids.index(HEAP_LENGTH_ID)}
        position |= {name: ids.index(item_id) for name, item_id in self.items.items()}
        position |= {what: len(ids) + number for number, what in enumerate(_RESULTS)}
        return [
            [
                (step.operation, position[step.argument] if isinstance(step.argument, str) else step.argument)
                for step in self._expressions[what].program
            ]
            for what in _RESULTS
        ]

    def place(self, heaps: HeapsToPlace) -> None:
        """Fill in where the heaps go."""
        column = {item_id: heaps.items[:, index] for index, item_id in enumerate(self.item_ids)}
        columns = {_HEAP_LENGTH: column[HEAP_LENGTH_ID]}
        columns |= {name: column[item_id] for name, item_id in self.items.items()}
        undefined = np.zeros(len(heaps), np.bool_)
        for name in self.items:
            undefined |= columns[name] < 0
        for what in _RESULTS:
            columns[what] = self._expressions[what].evaluate(columns, undefined)
        heaps.chunk_id[:] = np.where(undefined, -1, columns["chunk_id"])
        heaps.heap_index[:] = columns["heap_index"]
        heaps.heap_offset[:] = columns["heap_offset"]
