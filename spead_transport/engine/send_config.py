"""How a sending stream is set up, and what it is given to send."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator
from typing import ClassVar

import attrs

from ..protocol.outgoing import Heap
from .validators import non_negative_rate, positive

__all__ = ["GroupMode", "HeapReference", "HeapReferenceList", "RateMethod", "StreamConfig", "single_heap"]


class RateMethod(enum.Enum):
    """Who keeps the rate."""

    SW = 0  #: this package
    HW = 1  #: the network adapter, where a transport can ask it to; no bundled one can
    AUTO = 2  #: the network adapter if it can, else this package


class GroupMode(enum.Enum):
    """How the packets of several heaps that are sent together follow each other."""

    ROUND_ROBIN = 0  #: one packet of each heap in turn; of heaps for different destinations, some packets in turn
    SERIAL = 1  #: heap after heap

    @classmethod
    def of(cls, mode: object) -> GroupMode:
        """`mode`, if it is one.

        Raises
        ------
        TypeError
            If it is something else.
        """
        if not isinstance(mode, cls):
            raise TypeError(f"mode must be GroupMode.SERIAL or GroupMode.ROUND_ROBIN, not {mode!r}")
        return mode


def _ratio(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not isinstance(value, int | float):
        raise TypeError(f"{attribute.name} must be a number, not {value!r}")
    if not (value >= 1.0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be finite and at least 1.0, not {value}")


@attrs.define(kw_only=True)
class StreamConfig:
    """Settings of a sending stream.

    Parameters
    ----------
    max_packet_size
        Largest packet, in bytes: SPEAD headers and payload, without those of the network. Rounded down to a
        multiple of 8.
    rate
        Bytes per second, SPEAD headers included; 0 sends as fast as it goes.
    burst_size
        The rate is kept over so many bytes, which are sent at once; over fewer, but at least a packet, if the rate
        is so low that they would stand for more than 5 milliseconds.
    max_heaps
        How many heaps may be waiting to be sent.
    burst_rate_ratio
        A stream that fell behind its rate by more than 5 milliseconds catches up at so many times the rate (at
        least 1).
    rate_method
        Who keeps the rate.

    Raises
    ------
    TypeError
        For a value of the wrong type, or a negative size.
    ValueError
        For a value out of range.
    """

    DEFAULT_MAX_PACKET_SIZE: ClassVar[int] = 1472
    DEFAULT_BURST_SIZE: ClassVar[int] = 65536
    DEFAULT_MAX_HEAPS: ClassVar[int] = 4
    DEFAULT_BURST_RATE_RATIO: ClassVar[float] = 1.05
    DEFAULT_RATE_METHOD: ClassVar[RateMethod] = RateMethod.AUTO

    max_packet_size: int = attrs.field(default=1472, validator=positive)
    rate: float = attrs.field(default=0.0, validator=non_negative_rate)
    burst_size: int = attrs.field(default=65536, validator=positive)
    max_heaps: int = attrs.field(default=4, validator=positive)
    burst_rate_ratio: float = attrs.field(default=1.05, validator=_ratio)
    rate_method: RateMethod = attrs.field(default=RateMethod.AUTO, validator=attrs.validators.instance_of(RateMethod))

    @property
    def burst_rate(self) -> float:
        """The rate at which a stream catches up, in bytes per second."""
        return self.rate * self.burst_rate_ratio


class HeapReference:
    """A heap to send, and how.

    Parameters
    ----------
    heap
        The heap; its memory must not change until it is sent.
    cnt
        The heap's number; negative takes the next one of the stream's sequence.
    substream_index
        Which of the stream's destinations it goes to.
    rate
        Bytes per second for this heap; 0 is unlimited, negative takes the stream's.
    """

    __slots__ = ("_heap", "cnt", "rate", "substream_index")

    def __init__(self, heap: Heap, *, cnt: int = -1, substream_index: int = 0, rate: float = -1.0) -> None:
        if not isinstance(heap, Heap):
            raise TypeError(f"heap must be a send.Heap, not {type(heap).__name__}")
        self._heap = heap
        self.cnt: int = cnt
        self.substream_index: int = substream_index
        self.rate: float = rate

    def __repr__(self) -> str:
        return (
            f"HeapReference({self._heap!r}, cnt={self.cnt}, substream_index={self.substream_index}, rate={self.rate})"
        )

    @property
    def heap(self) -> Heap:
        return self._heap


class HeapReferenceList:
    """Heap references that are sent together, checked once."""

    __slots__ = ("heaps", "references")

    def __init__(self, heaps: Iterable[HeapReference]) -> None:
        #: The members.
        self.references: tuple[HeapReference, ...] = tuple(heaps)
        for member in self.references:
            if not isinstance(member, HeapReference):
                raise TypeError(f"expected only HeapReference objects, not {type(member).__name__}")
        #: The heap of each.
        self.heaps: tuple[Heap, ...] = tuple([member._heap for member in self.references])

    @classmethod
    def of(cls, heaps: Iterable[HeapReference]) -> HeapReferenceList:
        """`heaps` if that is such a list, else one of its members."""
        return heaps if isinstance(heaps, cls) else cls(heaps)

    def __len__(self) -> int:
        return len(self.references)

    def __iter__(self) -> Iterator[HeapReference]:
        return iter(self.references)

    def __getitem__(self, index: slice) -> HeapReferenceList:
        """Part of the list.

        Raises
        ------
        TypeError
            If `index` is not a slice.
        ValueError
            If the slice's step is 0.
        """
        if not isinstance(index, slice):
            raise TypeError("a HeapReferenceList can only be sliced")
        return HeapReferenceList(self.references[index])


def single_heap(heap: Heap, cnt: int, substream_index: int, rate: float) -> HeapReferenceList:
    """A list of one heap.

    Raises
    ------
    TypeError
        If `heap` is no heap to send.
    """
    return HeapReferenceList((HeapReference(heap, cnt=cnt, substream_index=substream_index, rate=rate),))
