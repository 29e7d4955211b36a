"""Heaps that go into chunks."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import ClassVar, Final

import attrs
import numpy as np
import numpy.typing as npt

from ...protocol.batch import Bytes, PacketBatch
from ...protocol.constants import HEAP_CNT_ID, HEAP_LENGTH_ID, PAYLOAD_LENGTH_ID, PAYLOAD_OFFSET_ID
from ...protocol.packets import DecodedPackets
from ..chunks import ChunkStreamConfig, HeapsToPlace
from ..chunks.config import MISPLACED_HEAPS, REJECTED_HEAPS, TOO_OLD_HEAPS
from ..notices import Notices
from ..stats import CORE_STATS, StreamStats
from .chunk_window import OpenChunk, WindowMember
from .placement import HeapPlacement, LiveHeap, Payloads, Run

__all__ = ["ChunkedHeaps"]

_log = logging.getLogger("spead_transport")
_IMMEDIATE: Final = np.uint64(1 << 63)


@attrs.frozen(eq=False)
class _Place:
    """What the placement said about a heap: not checked yet."""

    chunk_id: int
    heap_index: int
    heap_offset: int
    extra: Bytes
    extra_offset: int
    extra_size: int


@attrs.frozen(eq=False)
class _Placed:
    """Where a heap is."""

    opened: OpenChunk
    heap_index: int


class ChunkedHeaps(HeapPlacement):
    """Puts heaps where the user's placement says, after checking that this is inside the chunk."""

    prepares: ClassVar[bool] = True

    def __init__(self, config: ChunkStreamConfig, member: WindowMember, stats: StreamStats) -> None:
        self._placer, self._item_ids = config.placer()
        self._max_heap_extra = config.max_heap_extra
        self._packet_size = config.packet_presence_payload_size
        self._member = member
        self._stats = stats
        #: The statistics of the user's own.
        self._custom = range(len(CORE_STATS), [stat.name for stat in stats.config].index(TOO_OLD_HEAPS))
        self._notices = Notices(_log)
        #: By the index of the packet in the current batch that starts the heap; ``None`` if the placement failed.
        self._places: dict[int, _Place | None] = {}
        self._batch: tuple[PacketBatch, DecodedPackets] | None = None
        self._placed: dict[LiveHeap, _Placed] = {}

    def prepare(self, batch: PacketBatch, decoded: DecodedPackets, runs: Sequence[Run]) -> None:
        self._batch = batch, decoded
        self._places = {}
        if runs:
            self._place([run.first for run in runs])

    def begin(self, live: LiveHeap, run: Run, payloads: Payloads) -> bool:
        if run.first not in self._places:  # a heap that was given up since the batch was prepared starts again
            self._place([run.first])
        place = self._places[run.first]
        if place is None:
            self._count(MISPLACED_HEAPS)
        elif place.chunk_id < 0:
            self._count(REJECTED_HEAPS)
        else:
            opened = self._member.find(place.chunk_id)
            if opened is None:
                self._count(TOO_OLD_HEAPS)
            elif self._is_inside(place, opened, run.length):
                self._move_in(live, place, opened, run, payloads)
            else:
                self._count(MISPLACED_HEAPS)
        return True

    def grow(self, live: LiveHeap, size: int) -> bool:
        return False  # heaps in chunks have a length, and memory for all of it

    def arrived(self, live: LiveHeap, run: Run, decoded: DecodedPackets) -> None:
        if self._packet_size:
            placed = self._placed.get(live)
            if placed is not None and placed.opened.is_open:
                offsets = decoded.payload_offset[run.first : run.last]
                # An empty packet at the end of a heap is none of its packets.
                offsets = offsets[offsets < max(live.length, 1)]
                placed.opened.present[placed.heap_index + offsets // self._packet_size] = 1

    def finish(self, live: LiveHeap) -> None:
        placed = self._placed.pop(live, None)
        if placed is None:
            return
        placed.opened.tenants.discard(live)
        if live.complete:
            if not placed.opened.is_open:
                self._count(TOO_OLD_HEAPS)
            elif not self._packet_size:
                placed.opened.present[placed.heap_index] = 1

    # --------------------------------------------------------------------------------------------------- placing

    def _place(self, rows: list[int]) -> None:
        """Ask for the places of the heaps that start with these packets of the batch."""
        assert self._batch is not None
        batch, decoded = self._batch
        index = np.array(rows, np.int64)
        added = np.zeros(self._custom.stop, np.uint64)
        items = _item_values(decoded, index, self._item_ids)
        heaps = HeapsToPlace.of(items, lambda: batch.take(index), self._max_heap_extra, added)
        try:
            self._placer(heaps)
        except Exception as error:  # whatever the user's function raises
            self._warn("failed", f"the placement of {len(rows)} heaps failed: {type(error).__name__}: {error}")
            self._places.update(dict.fromkeys(rows))
            return
        for position in self._custom:
            stat = self._stats.config[position]
            self._stats[position] = stat.combine(self._stats[position], int(added[position]))
        places = map(
            _Place,
            heaps.chunk_id.tolist(),
            heaps.heap_index.tolist(),
            heaps.heap_offset.tolist(),
            heaps.extra,
            heaps.extra_offset.tolist(),
            heaps.extra_size.tolist(),
        )
        self._places.update(zip(rows, places, strict=True))

    def _is_inside(self, place: _Place, opened: OpenChunk, length: int) -> bool:
        """Whether a heap of `length` bytes may go there; the placement is not trusted."""
        last_index = place.heap_index
        if self._packet_size:
            last_index += max(0, length - 1) // self._packet_size
        problem = (
            _outside("heap_offset", place.heap_offset, place.heap_offset + length, len(opened.data), "data")
            or _outside("heap_index", place.heap_index, last_index + 1, len(opened.present), "present")
            or _outside("extra_size", place.extra_size, place.extra_size, self._max_heap_extra, "max_heap_extra")
        )
        if problem is None and place.extra_size:
            end = place.extra_offset + place.extra_size
            problem = _outside("extra_offset", place.extra_offset, end, len(opened.extra), "extra")
        if problem is not None:
            self._warn("outside", f"a heap of {length} bytes was placed outside its chunk: {problem}")
        return problem is None

    def _move_in(self, live: LiveHeap, place: _Place, opened: OpenChunk, run: Run, payloads: Payloads) -> None:
        live.memory = opened.data[place.heap_offset : place.heap_offset + run.length]
        payloads.copy(run, live.memory)
        opened.tenants.add(live)
        self._placed[live] = _Placed(opened, place.heap_index)
        if place.extra_size:
            end = place.extra_offset + place.extra_size
            opened.extra[place.extra_offset : end] = place.extra[: place.extra_size]

    def _count(self, name: str) -> None:
        self._stats[name] += 1

    def _warn(self, kind: str, message: str) -> None:
        self._notices.warn(kind, time.monotonic(), "%s", message)


def _outside(what: str, start: int, end: int, size: int, where: str) -> str | None:
    """Says what is wrong if ``[start, end)`` is not inside ``[0, size)``."""
    if 0 <= start <= end <= size:
        return None
    return f"{what}={start} reaches to {end}, and {where} ends at {size}"


def _item_values(
    decoded: DecodedPackets, rows: npt.NDArray[np.int64], item_ids: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Values of immediate items in packets: a row for each packet, a column for each item, -1 where there is none."""
    every_packet = {
        HEAP_CNT_ID: decoded.heap_cnt,
        HEAP_LENGTH_ID: decoded.heap_length,
        PAYLOAD_OFFSET_ID: decoded.payload_offset,
        PAYLOAD_LENGTH_ID: decoded.payload_size,
    }
    values = np.full((len(rows), len(item_ids)), -1, np.int64)
    words = _pointer_table(decoded, rows)
    bits = decoded.heap_address_bits[rows, np.newaxis].astype(np.uint64)
    keys = words >> bits
    numbers = (words & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    for column, item_id in enumerate(item_ids):
        if item_id in every_packet:
            values[:, column] = every_packet[item_id][rows]
            continue
        match = keys == (_IMMEDIATE >> bits | np.uint64(item_id))
        for position in range(words.shape[1]):  # of several items with one id, the last counts
            values[:, column] = np.where(match[:, position], numbers[:, position], values[:, column])
    return values


def _pointer_table(decoded: DecodedPackets, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """The item pointers of packets, a row for each, filled up with NULL pointers."""
    pointers = [decoded.pointers[row] for row in rows.tolist()]
    width = max((len(found) for found in pointers if found is not None), default=0)
    table = np.zeros((len(rows), width), np.uint64)
    for row, found in enumerate(pointers):
        if found is not None:
            table[row, : len(found)] = found
    return table
