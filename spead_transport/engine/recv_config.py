"""How a receiving stream is set up."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs

from ..protocol.constants import BUG_COMPAT_PYSPEAD_0_5_2
from .memory import MemoryAllocator
from .stats import CORE_STATS, StreamStatConfig
from .validators import flag, non_negative, non_negative_time, positive, unsigned

__all__ = ["MEMCPY_NONTEMPORAL", "MEMCPY_STD", "RingStreamConfig", "StreamConfig"]

MEMCPY_STD: Final = 0
MEMCPY_NONTEMPORAL: Final = 1

_GIB: Final = 1 << 30


def _known_bits(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    if unsigned(value, attribute.name) & ~BUG_COMPAT_PYSPEAD_0_5_2:
        raise ValueError(f"unknown compatibility bits in bug_compat: {value:#x}")


def _known_memcpy(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    if value not in (MEMCPY_STD, MEMCPY_NONTEMPORAL):
        raise ValueError(f"memcpy must be MEMCPY_STD or MEMCPY_NONTEMPORAL, not {value!r}")


@attrs.define(kw_only=True)
class StreamConfig:
    """Settings of a receiving stream. A stream takes a copy.

    Parameters
    ----------
    max_heaps
        How many heaps of a substream may be incomplete at a time. When one more starts, the one that started
        `max_heaps` heaps before it is given up.
    substreams
        Into how many substreams heaps are sorted, by the remainder of their heap cnt.
    bug_compat
        ``BUG_COMPAT_*`` flags to understand what the sender means.
    memcpy
        How payload is copied: ``MEMCPY_STD``, or past the processor's caches with ``MEMCPY_NONTEMPORAL``, which
        is for heaps or chunks that are larger than those (an engine that cannot do that copies in the ordinary way).
    memory_allocator
        Where the heaps' memory comes from.
    stop_on_stop_item
        Whether a stop item ends the stream. The heap that carries it is then not delivered.
    allow_unsized_heaps
        Whether heaps whose packets do not tell the heap length are accepted. They complete when they are given
        up or the stream ends.
    allow_out_of_order
        Whether the packets of a heap may arrive in any order.
    stream_id
        A number for the user's own purposes.
    explicit_start
        Whether nothing is received before ``start()`` is called.
    max_heap_size
        Largest heap that is accepted, in bytes: a limit to what a packet can claim. All item pointers of a heap
        together are accepted up to the same size.
    max_heap_age
        How long a heap may be incomplete, in seconds since its first packet arrived, before it is given up; 0 for any
        time. So that somebody notices in time, a thread drains the stream's readers.
    sequential_heaps
        Whether the heaps of a substream come one after the other, so that a heap without a length is complete as soon
        as the next one starts (specification, section on heaps). Otherwise it is complete when it is given up. Only
        for senders that do not interleave heaps, and transports that keep packets in order: a heap whose packets are
        mixed with those of the next would be cut short.

    Raises
    ------
    TypeError
        For a value of the wrong type, or a negative size.
    ValueError
        For a value out of range.
    """

    DEFAULT_MAX_HEAPS: ClassVar[int] = 4

    max_heaps: int = attrs.field(default=4, validator=positive)
    substreams: int = attrs.field(default=1, validator=positive)
    bug_compat: int = attrs.field(default=0, validator=_known_bits)
    memcpy: int = attrs.field(default=MEMCPY_STD, validator=_known_memcpy)
    memory_allocator: MemoryAllocator = attrs.field(
        factory=MemoryAllocator, validator=attrs.validators.instance_of(MemoryAllocator)
    )
    stop_on_stop_item: bool = attrs.field(default=True, validator=flag)
    allow_unsized_heaps: bool = attrs.field(default=True, validator=flag)
    allow_out_of_order: bool = attrs.field(default=False, validator=flag)
    stream_id: int = attrs.field(default=0, validator=non_negative)
    explicit_start: bool = attrs.field(default=False, validator=flag)
    max_heap_size: int = attrs.field(default=_GIB, validator=positive)
    max_heap_age: float = attrs.field(default=0.0, validator=non_negative_time)
    sequential_heaps: bool = attrs.field(default=False, validator=flag)
    _custom_stats: list[StreamStatConfig] = attrs.field(factory=list, init=False)

    def copy(self) -> StreamConfig:
        """The same settings, with the statistics added so far."""
        duplicate = attrs.evolve(self)
        duplicate._custom_stats = list(self._custom_stats)
        return duplicate

    @property
    def stats(self) -> list[StreamStatConfig]:
        """The statistics of the stream: the core's, then those added here."""
        return [*CORE_STATS, *self._custom_stats]

    def add_stat(self, name: str, mode: StreamStatConfig.Mode = StreamStatConfig.Mode.COUNTER) -> int:
        """Add a statistic of the user's own.

        Returns
        -------
        int
            Its index.

        Raises
        ------
        ValueError
            If the name is taken.
        """
        if any(stat.name == name for stat in self.stats):
            raise ValueError(f"a statistic named {name!r} exists already")
        index = self.next_stat_index()
        self._custom_stats.append(StreamStatConfig(name, mode))
        return index

    def next_stat_index(self) -> int:
        """The index that :meth:`add_stat` would give next."""
        return len(CORE_STATS) + len(self._custom_stats)

    def get_stat_index(self, name: str) -> int:
        """The index of the statistic named `name`.

        Raises
        ------
        IndexError
            If there is none.
        """
        for index, stat in enumerate(self.stats):
            if stat.name == name:
                return index
        raise IndexError(f"no statistic is named {name!r}")


@attrs.define(kw_only=True)
class RingStreamConfig:
    """Settings of the ring between a receiving stream and its user.

    Parameters
    ----------
    heaps
        How many heaps wait for the user before the stream pauses its readers. (A batch that completes several
        heaps at once is finished first.)
    contiguous_only
        Whether only heaps without holes are delivered. Otherwise incomplete ones are too, as ``IncompleteHeap``.
    incomplete_keep_payload_ranges
        Whether an incomplete heap knows which parts of its payload arrived.

    Raises
    ------
    TypeError, ValueError
        As for :class:`StreamConfig`.
    """

    DEFAULT_HEAPS: ClassVar[int] = 4

    heaps: int = attrs.field(default=4, validator=positive)
    contiguous_only: bool = attrs.field(default=True, validator=flag)
    incomplete_keep_payload_ranges: bool = attrs.field(default=False, validator=flag)
