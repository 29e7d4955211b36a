"""Where the memory of heaps comes from, and what becomes of them: the part of reassembly that streams differ in.

The assembler finds out which bytes of which heap have arrived. A :class:`HeapPlacement` says where those bytes go,
and makes what the user gets of a heap that ends.
"""

from __future__ import annotations

import bisect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

import attrs
import numpy as np

from ...protocol.batch import Bytes, Offsets, PacketBatch, scatter
from ...protocol.constants import VERSION
from ...protocol.flavour import Flavour
from ...protocol.layout import Pointers
from ...protocol.packets import DecodedPackets
from ...protocol.received import Heap, IncompleteHeap
from ...protocol.rejection import Rejection
from ..interface import ReceivedHeap
from ..memory import obtain
from ..recv_config import RingStreamConfig, StreamConfig

__all__ = ["AllocatedHeaps", "HeapPlacement", "LiveHeap", "Payloads", "Run"]

_NO_POINTERS: Final[Pointers] = np.zeros(0, np.uint64)
#: A heap that fills less than this part of an adoptable block is copied, so as not to keep the whole block alive.
_ADOPTABLE_SHARE: Final = 0.5


@attrs.define(eq=False)
class LiveHeap:
    """A heap of which something, but not everything, arrived."""

    cnt: int
    heap_address_bits: int
    #: In bytes; -1 until a packet says.
    length: int
    #: When its first packet arrived.
    began: float = 0.0
    #: Where the payload goes; ``None`` if it is not kept.
    memory: Bytes | None = None
    #: Its place among the heaps of its substream.
    slot: int = -1
    #: How many bytes arrived, and one past the last of them.
    received: int = 0
    end: int = 0
    #: Parts that arrived, as sorted disjoint ``[start, end)``.
    ranges: list[tuple[int, int]] = attrs.field(factory=list)
    pointers: list[Pointers] = attrs.field(factory=list)
    num_pointers: int = 0

    @property
    def complete(self) -> bool:
        return self.received == self.length

    def overlaps(self, start: int, end: int) -> bool:
        """Whether a byte of ``[start, end)`` has arrived already."""
        index = bisect.bisect_right(self.ranges, start, key=lambda part: part[0])
        before = index > 0 and self.ranges[index - 1][1] > start
        return before or (index < len(self.ranges) and self.ranges[index][0] < end)

    def add_range(self, start: int, end: int) -> None:
        """Note that ``[start, end)``, of which nothing had arrived, has arrived."""
        self.received += end - start
        self.end = max(self.end, end)
        index = bisect.bisect_right(self.ranges, start, key=lambda part: part[0])
        if index < len(self.ranges) and self.ranges[index][0] == end:
            end = self.ranges.pop(index)[1]
        if index > 0 and self.ranges[index - 1][1] == start:
            index -= 1
            start = self.ranges.pop(index)[0]
        if end > start:
            self.ranges.insert(index, (start, end))


@attrs.frozen(eq=False)
class Payloads:
    """Where the payload of each valid packet of a batch lies."""

    block: Bytes
    offsets: Offsets
    sizes: Offsets
    adoptable: bool

    @classmethod
    def locate(cls, batch: PacketBatch, decoded: DecodedPackets) -> Payloads:
        good = decoded.reason == Rejection.NONE
        if bool(np.all((batch.head_sizes == decoded.header_size)[good])) and len(batch.bodies) == 1:
            return cls(batch.bodies[0], batch.body_offsets, decoded.payload_size, batch.adoptable)
        if bool(np.any(batch.body_sizes)):
            batch = batch.flatten()
        return cls(batch.heads, batch.head_offsets + decoded.header_size, decoded.payload_size, False)

    def adopt(self, run: Run) -> Bytes | None:
        """The payload of `run` where it is, if that memory may be kept and lies in one piece."""
        size = run.end - run.start
        if not self.adoptable or size < _ADOPTABLE_SHARE * len(self.block):
            return None
        offsets = self.offsets[run.first : run.last]
        if not np.array_equal(offsets[:-1] + self.sizes[run.first : run.last - 1], offsets[1:]):
            return None
        return self.block[int(offsets[0]) : int(offsets[0]) + size]

    def copy(self, run: Run, target: Bytes) -> None:
        """Copy the payload of `run` to its place in `target`."""
        if run.last - run.first == 1:
            offset = int(self.offsets[run.first])
            target[run.start : run.end] = self.block[offset : offset + run.end - run.start]
        else:
            packets = slice(run.first, run.last)
            sizes = self.sizes[packets]
            scatter(target, run.start + np.cumsum(sizes) - sizes, self.block, self.offsets[packets], sizes)


@attrs.define
class Run:
    """Packets ``[first, last)`` of a batch, which carry bytes ``[start, end)`` of one heap."""

    first: int
    last: int
    cnt: int
    heap_address_bits: int
    length: int
    start: int
    end: int
    stops: bool
    num_pointers: int

    @property
    def num_packets(self) -> int:
        return self.last - self.first

    def packets(self, decoded: DecodedPackets) -> Iterator[Run]:
        """Each packet as a run of its own."""
        starts = decoded.payload_offset[self.first : self.last]
        ends = starts + decoded.payload_size[self.first : self.last]
        counts = decoded.num_pointers[self.first : self.last].tolist()
        indices = range(self.first, self.last)
        for index, start, end, count in zip(indices, starts.tolist(), ends.tolist(), counts, strict=True):
            yield attrs.evolve(self, first=index, last=index + 1, start=start, end=end, num_pointers=count)


class HeapPlacement(ABC):
    """What an assembler asks for each heap. Used by one caller at a time."""

    #: Whether :meth:`prepare` is to be called.
    prepares: ClassVar[bool] = False

    def prepare(  # noqa: B027 - not every placement needs it
        self, batch: PacketBatch, decoded: DecodedPackets, runs: Sequence[Run]
    ) -> None:
        """A batch of packets is about to be taken in, in which `runs` start new heaps."""

    @abstractmethod
    def begin(self, live: LiveHeap, run: Run, payloads: Payloads) -> bool:
        """A heap starts with `run`: give it memory and put the run into it; False if there is no memory.

        Raises
        ------
        Blocked
            If that is not possible yet. Nothing has changed, and the call will be made again.
        """

    @abstractmethod
    def grow(self, live: LiveHeap, size: int) -> bool:
        """Make room for `size` bytes in a heap whose length is not known, or became known only now; False without
        memory."""

    def arrived(  # noqa: B027 - not every placement needs it
        self, live: LiveHeap, run: Run, decoded: DecodedPackets
    ) -> None:
        """`run` is in the heap's memory."""

    @abstractmethod
    def finish(self, live: LiveHeap) -> ReceivedHeap | None:
        """The heap is complete or given up. Returns what the user gets of it, if he gets it from the stream."""


class AllocatedHeaps(HeapPlacement):
    """Each heap has memory of its own, and goes to the user with it."""

    def __init__(self, config: StreamConfig, ring_config: RingStreamConfig) -> None:
        self._config = config
        self._keep_ranges = ring_config.incomplete_keep_payload_ranges
        self._flavours: dict[int, Flavour] = {}

    def begin(self, live: LiveHeap, run: Run, payloads: Payloads) -> bool:
        size = max(run.length, run.end)
        if run.end - run.start == size:
            live.memory = payloads.adopt(run)
        if live.memory is None:
            live.memory = self._allocate(size)
            if live.memory is None:
                return False
            payloads.copy(run, live.memory)
        return True

    def grow(self, live: LiveHeap, size: int) -> bool:
        memory = self._allocate(max(live.length, min(2 * size, self._config.max_heap_size)))
        if memory is None:
            return False
        assert live.memory is not None
        memory[: live.end] = live.memory[: live.end]
        live.memory = memory
        return True

    def finish(self, live: LiveHeap) -> ReceivedHeap:
        parts = live.pointers
        pointers = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else _NO_POINTERS
        flavour = self._flavour(live.heap_address_bits)
        length = live.length if live.length >= 0 else live.end
        if live.received == length and _last_address(pointers, flavour) <= length:
            assert live.memory is not None
            return Heap(live.cnt, flavour, pointers, live.memory[:length])
        ranges = live.ranges if self._keep_ranges else []
        return IncompleteHeap(live.cnt, flavour, pointers, live.length, live.received, ranges)

    def _allocate(self, size: int) -> Bytes | None:
        try:
            return obtain(self._config.memory_allocator, size)
        except MemoryError:
            return None

    def _flavour(self, heap_address_bits: int) -> Flavour:
        flavour = self._flavours.get(heap_address_bits)
        if flavour is None:
            flavour = Flavour(VERSION, 64, heap_address_bits, self._config.bug_compat)
            self._flavours[heap_address_bits] = flavour
        return flavour


def _last_address(pointers: Pointers, flavour: Flavour) -> int:
    """Where the last item that lies in the payload starts; 0 if there is none."""
    last = 0
    for pointer in pointers.tolist():
        if not pointer >> 63:
            last = max(last, pointer & flavour.address_mask)
    return last
