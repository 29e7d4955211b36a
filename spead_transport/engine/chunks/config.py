"""How chunked receiving is set up."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from ..validators import non_negative, positive, positive_int, unsigned
from .callback import as_compiled
from .heaps import HeapsToPlace, Placer
from .layout import ChunkLayout

__all__ = [
    "CHUNK_STATS",
    "MISPLACED_HEAPS",
    "REJECTED_HEAPS",
    "TOO_OLD_HEAPS",
    "ChunkStreamConfig",
    "ChunkStreamGroupConfig",
    "Place",
]

#: Statistics that streams with chunks have, in this order, after those of the user's own.
TOO_OLD_HEAPS: Final = "too_old_heaps"  # for a chunk that has left
REJECTED_HEAPS: Final = "rejected_heaps"  # dropped by the placement
MISPLACED_HEAPS: Final = "misplaced_heaps"  # placed outside their chunk, or the placement failed
CHUNK_STATS: Final = (TOO_OLD_HEAPS, REJECTED_HEAPS, MISPLACED_HEAPS)

#: A layout, a function in Python, or compiled code.
Place: TypeAlias = "ChunkLayout | Callable[[HeapsToPlace], None] | tuple[Any, ...] | None"


def _item_ids(items: Iterable[int]) -> list[int]:
    return [unsigned(item_id, "an item id") for item_id in items]


def _known_place(_: object, attribute: attrs.Attribute[Place], value: object) -> None:
    if value is None or isinstance(value, ChunkLayout):
        return
    if as_compiled(value) is None and not callable(value):
        raise TypeError(
            "place must be a ChunkLayout, a function that takes HeapsToPlace, or a scipy.LowLevelCallable, "
            f"not {value!r}"
        )


@attrs.define(kw_only=True)
class ChunkStreamConfig:
    """Settings of a stream that puts heaps into chunks. A stream takes a copy.

    Parameters
    ----------
    items
        Ids of immediate items whose values the placement is given. The ids of the heap cnt and the heap length may be
        among them. A :class:`ChunkLayout` names its items itself.
    max_chunks
        How many chunks may be incomplete at a time. When a heap belongs to a later one, the oldest is given to the
        user.
    place
        Where a heap goes: a :class:`ChunkLayout`; a Python function, called once for each batch of packets with
        :class:`HeapsToPlace`; or compiled code, called for each heap, as a ``scipy.LowLevelCallable`` (or a tuple
        like it) with the signature ``void (void *, size_t)`` or ``void (void *, size_t, void *)``, or as a function
        of ctypes.
    max_heap_extra
        How many bytes the placement may write to ``Chunk.extra`` for each heap.

    Raises
    ------
    TypeError
        For a value of the wrong type, or a negative size.
    ValueError
        For a value out of range, or a callback with a wrong signature.
    """

    DEFAULT_MAX_CHUNKS: ClassVar[int] = 2

    items: list[int] = attrs.field(factory=list, converter=_item_ids)
    max_chunks: int = attrs.field(default=2, validator=positive)
    place: Place = attrs.field(default=None, validator=_known_place)
    max_heap_extra: int = attrs.field(default=0, validator=non_negative)
    _packet_presence_payload_size: int = attrs.field(default=0, init=False)

    def copy(self) -> ChunkStreamConfig:
        """The same settings."""
        duplicate = attrs.evolve(self)
        duplicate._packet_presence_payload_size = self._packet_presence_payload_size
        return duplicate

    @property
    def packet_presence_payload_size(self) -> int:
        """Payload of a packet, in bytes, if ``Chunk.present`` has an element for each packet; else 0."""
        return self._packet_presence_payload_size

    def enable_packet_presence(self, payload_size: int) -> ChunkStreamConfig:
        """Let ``Chunk.present`` have an element for each packet rather than each heap.

        A packet's index is the ``heap_index`` of its heap and its payload offset divided by `payload_size`, which all
        packets but the last of a heap must have.

        Returns
        -------
        ChunkStreamConfig
            This object.

        Raises
        ------
        ValueError
            If `payload_size` is 0.
        TypeError
            If it is negative or no integer.
        """
        self._packet_presence_payload_size = positive_int(payload_size, "payload_size")
        return self

    def disable_packet_presence(self) -> None:
        """Let ``Chunk.present`` have an element for each heap."""
        self._packet_presence_payload_size = 0

    def placer(self) -> tuple[Placer, list[int]]:
        """For engines: what finds places, and the items it is to be given.

        Raises
        ------
        ValueError
            If ``place`` is not set.
        """
        place = self.place
        if place is None:
            raise ValueError("place is not set in ChunkStreamConfig: heaps have nowhere to go")
        if isinstance(place, ChunkLayout):
            return place.place, place.item_ids
        compiled = as_compiled(place)
        if compiled is not None:
            return compiled, list(self.items)
        assert callable(place)
        return place, list(self.items)


@attrs.define(kw_only=True)
class ChunkStreamGroupConfig:
    """Settings of a group of streams that fill the same chunks. A group takes a copy.

    Parameters
    ----------
    max_chunks
        How many chunks may be incomplete at a time, at least as many as for each stream of the group.
    eviction_mode
        What happens when one stream is ahead.

    Raises
    ------
    TypeError, ValueError
        As for :class:`ChunkStreamConfig`.
    """

    class EvictionMode(enum.Enum):
        """What happens when a stream of a group is ahead of the others, and no more chunks may be incomplete."""

        LOSSY = 0  #: the oldest chunk is given to the user; what others still have for it is dropped
        LOSSLESS = 1  #: the stream waits until all others have gone on to later chunks, or ended

    DEFAULT_MAX_CHUNKS: ClassVar[int] = 2

    max_chunks: int = attrs.field(default=2, validator=positive)
    eviction_mode: EvictionMode = attrs.field(
        default=EvictionMode.LOSSY, validator=attrs.validators.instance_of(EvictionMode)
    )
