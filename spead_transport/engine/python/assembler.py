"""Packets to heaps, with numpy.

The unit of work is a *run*: packets of one batch that follow each other in one heap. A run's headers are compared in
vectors, and its payload moves in one copy, or not at all if the transport gives its memory away.
"""

from __future__ import annotations

import bisect
import logging
from collections.abc import Iterator
from typing import Final

import attrs
import numpy as np

from ...protocol.batch import Bytes, Offsets, PacketBatch, scatter
from ...protocol.constants import VERSION
from ...protocol.flavour import Flavour
from ...protocol.layout import Pointers
from ...protocol.packets import DecodedPackets, decode_headers
from ...protocol.received import Heap, IncompleteHeap
from ...protocol.rejection import Rejection
from ..interface import HeapAssembler, ReceivedHeap
from ..memory import obtain
from ..notices import Notices
from ..recv_config import RingStreamConfig, StreamConfig
from ..stats import EXTRA_STATS, StreamStats

__all__ = ["PythonAssembler"]

_log = logging.getLogger("spead_transport")
_NO_POINTERS: Final[Pointers] = np.zeros(0, np.uint64)
#: A heap that fills less than this part of an adoptable block is copied, so as not to keep the whole block alive.
_ADOPTABLE_SHARE: Final = 0.5


@attrs.define(eq=False)
class _LiveHeap:
    """A heap of which something, but not everything, arrived."""

    cnt: int
    heap_address_bits: int
    #: In bytes; -1 until a packet says.
    length: int
    memory: Bytes
    #: Its place among the heaps of its substream.
    slot: int
    #: How many bytes arrived, and one past the last of them.
    received: int = 0
    end: int = 0
    #: Parts that arrived, as sorted disjoint ``[start, end)``.
    ranges: list[tuple[int, int]] = attrs.field(factory=list)
    pointers: list[Pointers] = attrs.field(factory=list)

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
class _Payloads:
    """Where the payload of each valid packet of a batch lies."""

    block: Bytes
    offsets: Offsets
    sizes: Offsets
    adoptable: bool

    @classmethod
    def locate(cls, batch: PacketBatch, decoded: DecodedPackets) -> _Payloads:
        good = decoded.reason == Rejection.NONE
        if bool(np.all((batch.head_sizes == decoded.header_size)[good])) and len(batch.bodies) == 1:
            return cls(batch.bodies[0], batch.body_offsets, decoded.payload_size, batch.adoptable)
        if bool(np.any(batch.body_sizes)):
            batch = batch.flatten()
        return cls(batch.heads, batch.head_offsets + decoded.header_size, decoded.payload_size, False)

    def adopt(self, run: _Run) -> Bytes | None:
        """The payload of `run` where it is, if that memory may be kept and lies in one piece."""
        size = run.end - run.start
        if not self.adoptable or size < _ADOPTABLE_SHARE * len(self.block):
            return None
        offsets = self.offsets[run.first : run.last]
        if not np.array_equal(offsets[:-1] + self.sizes[run.first : run.last - 1], offsets[1:]):
            return None
        return self.block[int(offsets[0]) : int(offsets[0]) + size]

    def copy(self, run: _Run, target: Bytes) -> None:
        """Copy the payload of `run` to its place in `target`."""
        if run.last - run.first == 1:
            offset = int(self.offsets[run.first])
            target[run.start : run.end] = self.block[offset : offset + run.end - run.start]
        else:
            packets = slice(run.first, run.last)
            sizes = self.sizes[packets]
            scatter(target, run.start + np.cumsum(sizes) - sizes, self.block, self.offsets[packets], sizes)


@attrs.define
class _Run:
    """Packets ``[first, last)`` of a batch, which carry bytes ``[start, end)`` of one heap."""

    first: int
    last: int
    cnt: int
    heap_address_bits: int
    length: int
    start: int
    end: int
    stops: bool

    @property
    def num_packets(self) -> int:
        return self.last - self.first

    def packets(self, decoded: DecodedPackets) -> Iterator[_Run]:
        """Each packet as a run of its own."""
        starts = decoded.payload_offset[self.first : self.last]
        ends = starts + decoded.payload_size[self.first : self.last]
        for index, start, end in zip(range(self.first, self.last), starts.tolist(), ends.tolist(), strict=True):
            yield attrs.evolve(self, first=index, last=index + 1, start=start, end=end)


class PythonAssembler(HeapAssembler):
    """Keeps, for each substream, the last ``max_heaps`` heaps that started."""

    def __init__(self, config: StreamConfig, ring_config: RingStreamConfig) -> None:
        self._config = config
        self._keep_ranges = ring_config.incomplete_keep_payload_ranges
        self._live: dict[int, _LiveHeap] = {}
        # For each substream the heap cnts of the last heaps that started; None where a heap is finished.
        self._slots: list[list[int | None]] = [[None] * config.max_heaps for _ in range(config.substreams)]
        self._next_slot = [0] * config.substreams
        self._stats = StreamStats((*config.stats, *EXTRA_STATS))
        self._stopped = False
        self._flavours: dict[int, Flavour] = {}
        self._notices = Notices(_log)
        self._output: list[ReceivedHeap] = []

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stats(self) -> StreamStats:
        return StreamStats(self._stats.config, self._stats.values())

    def add(self, batch: PacketBatch, now: float) -> list[ReceivedHeap]:
        self._stats["batches"] += 1
        self._stats["max_batch"] = max(self._stats["max_batch"], len(batch))
        decoded = decode_headers(batch)
        self._count_malformed(decoded, now)
        payloads = _Payloads.locate(batch, decoded)
        for run in _runs(decoded):
            if self._stopped:
                self._reject(Rejection.STOPPED, run.num_packets, now)
            elif run.stops and self._config.stop_on_stop_item:
                self._stop(run)
            else:
                self._add_run(run, decoded, payloads, now)
        return self._take_output()

    def flush(self) -> list[ReceivedHeap]:
        for slots, oldest in zip(self._slots, self._next_slot, strict=True):
            for cnt in [*slots[oldest:], *slots[:oldest]]:
                if cnt is not None:
                    self._give_up(self._live[cnt], "incomplete_heaps_flushed")
        return self._take_output()

    def _take_output(self) -> list[ReceivedHeap]:
        output, self._output = self._output, []
        return output

    # ------------------------------------------------------------------------------------------------ packets in

    def _add_run(self, run: _Run, decoded: DecodedPackets, payloads: _Payloads, now: float) -> None:
        live = self._live.get(run.cnt)
        reason = self._refuse(run, live)
        if reason is not Rejection.NONE:
            if run.length < 0 and run.num_packets > 1:  # its first packets may not reach too far
                for single in run.packets(decoded):
                    self._add_run(single, decoded, payloads, now)
            else:
                self._reject(reason, run.num_packets, now)
        elif live is None:
            self._begin(run, decoded, payloads, now)
        else:
            if run.length >= 0:
                live.length = run.length
            for part in self._new_parts(run, live, decoded, now):
                if part.end <= len(live.memory) or self._grow(live, part.end):
                    payloads.copy(part, live.memory)
                    self._note(part, live, decoded)
                else:
                    self._reject(Rejection.NO_MEMORY, part.num_packets, now)
            if live.complete:
                self._finish(live)

    def _refuse(self, run: _Run, live: _LiveHeap | None) -> Rejection:
        """Why a run cannot belong to its heap, as far as sizes and flavour tell."""
        limit = self._config.max_heap_size
        if run.length > limit or run.end > limit:
            return Rejection.TOO_LARGE
        if run.length < 0 and not self._config.allow_unsized_heaps:
            return Rejection.UNSIZED
        if live is None:
            misplaced = run.start > 0 and not self._config.allow_out_of_order
            return Rejection.OUT_OF_ORDER if misplaced else Rejection.NONE
        if run.heap_address_bits != live.heap_address_bits:
            return Rejection.FLAVOUR_CHANGED
        if run.length >= 0 and run.length != live.length and (live.length >= 0 or run.length < live.end):
            return Rejection.LENGTH_CHANGED
        if live.length >= 0 and run.end > live.length:
            return Rejection.OUT_OF_BOUNDS
        return Rejection.NONE

    def _begin(self, run: _Run, decoded: DecodedPackets, payloads: _Payloads, now: float) -> None:
        """Start a heap with its first run, or finish it at once if it has only one packet."""
        size = max(run.length, run.end)
        memory = payloads.adopt(run) if run.end - run.start == size else None
        if memory is None:
            memory = self._allocate(size)
            if memory is None:
                self._reject(Rejection.NO_MEMORY, run.num_packets, now)
                return
            payloads.copy(run, memory)
        live = _LiveHeap(run.cnt, run.heap_address_bits, run.length, memory, -1)
        self._note(run, live, decoded)
        if run.num_packets == 1 and live.complete:
            self._stats["single_packet_heaps"] += 1
            self._deliver(live)
        else:
            self._take_slot(live, now)
            if live.complete:
                self._finish(live)

    def _new_parts(self, run: _Run, live: _LiveHeap, decoded: DecodedPackets, now: float) -> Iterator[_Run]:
        """The parts of a run that bring something new; the other packets are rejected."""
        in_order = not self._config.allow_out_of_order
        if run.start == live.end if in_order else not live.overlaps(run.start, run.end):
            yield run
            return
        # Too early, too late, or arrived before: decide for each packet. (In order, whatever follows the packet that
        # was expected is expected too.)
        for single in run.packets(decoded):
            if single.start == live.end if in_order else not live.overlaps(single.start, single.end):
                yield single
            else:
                arrived = not in_order or single.end <= live.end
                self._reject(Rejection.DUPLICATE if arrived else Rejection.OUT_OF_ORDER, 1, now)

    def _note(self, run: _Run, live: _LiveHeap, decoded: DecodedPackets) -> None:
        """Note that a run has arrived."""
        self._stats["packets"] += run.num_packets
        live.add_range(run.start, run.end)
        live.pointers += [found for found in decoded.pointers[run.first : run.last] if found is not None]

    def _stop(self, run: _Run) -> None:
        """The stream ends here, and the heap that carries the stop item with it."""
        self._stopped = True
        self._stats["packets"] += run.num_packets
        self._stats["heaps_discarded"] += 1
        live = self._live.get(run.cnt)
        if live is not None:
            self._forget(live)

    def _allocate(self, size: int) -> Bytes | None:
        try:
            return obtain(self._config.memory_allocator, size)
        except MemoryError:
            return None

    def _grow(self, live: _LiveHeap, size: int) -> bool:
        """Make room in a heap whose length is not known, or became known only now; False without memory."""
        memory = self._allocate(max(live.length, min(2 * size, self._config.max_heap_size)))
        if memory is None:
            return False
        memory[: live.end] = live.memory[: live.end]
        live.memory = memory
        return True

    def _count_malformed(self, decoded: DecodedPackets, now: float) -> None:
        bad = decoded.reason[decoded.reason != Rejection.NONE]
        if len(bad):
            for reason, count in zip(*np.unique(bad, return_counts=True), strict=True):
                self._reject(Rejection(int(reason)), int(count), now)

    def _reject(self, reason: Rejection, count: int, now: float) -> None:
        self._stats[reason.stat_name] += count
        advice = _ADVICE.get(reason, "")
        self._notices.warn(
            reason.stat_name, now, "packet rejected: %s%s", reason.name.lower().replace("_", " "), advice
        )

    # ------------------------------------------------------------------------------------------------- heaps out

    def _take_slot(self, live: _LiveHeap, now: float) -> None:
        """Give a new heap its place, and give up the heap that was there."""
        substream = live.cnt % self._config.substreams
        live.slot = self._next_slot[substream]
        self._next_slot[substream] = (live.slot + 1) % self._config.max_heaps
        old = self._slots[substream][live.slot]
        if old is not None:
            self._notices.warn(
                "evicted",
                now,
                "heap %d was given up incomplete because %d newer heaps started before it was finished; "
                "if heaps are interleaved, set max_heaps in recv.StreamConfig higher",
                old,
                self._config.max_heaps,
            )
            self._give_up(self._live[old], "incomplete_heaps_evicted")
        self._slots[substream][live.slot] = live.cnt
        self._live[live.cnt] = live

    def _forget(self, live: _LiveHeap) -> None:
        del self._live[live.cnt]
        self._slots[live.cnt % self._config.substreams][live.slot] = None

    def _finish(self, live: _LiveHeap) -> None:
        self._forget(live)
        self._deliver(live)

    def _give_up(self, live: _LiveHeap, counter: str) -> None:
        if live.length >= 0 or live.received != live.end:
            self._stats[counter] += 1
        self._finish(live)

    def _deliver(self, live: _LiveHeap) -> None:
        self._stats["heaps"] += 1
        parts = live.pointers
        pointers = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else _NO_POINTERS
        flavour = self._flavour(live.heap_address_bits)
        length = live.length if live.length >= 0 else live.end
        if live.received == length and _last_address(pointers, flavour) <= length:
            self._output.append(Heap(live.cnt, flavour, pointers, live.memory[:length]))
        else:
            ranges = live.ranges if self._keep_ranges else []
            self._output.append(IncompleteHeap(live.cnt, flavour, pointers, live.length, live.received, ranges))

    def _flavour(self, heap_address_bits: int) -> Flavour:
        flavour = self._flavours.get(heap_address_bits)
        if flavour is None:
            flavour = Flavour(VERSION, 64, heap_address_bits, self._config.bug_compat)
            self._flavours[heap_address_bits] = flavour
        return flavour


_ADVICE: Final = {
    Rejection.OUT_OF_ORDER: " (set allow_out_of_order in recv.StreamConfig to accept such packets)",
    Rejection.UNSIZED: " (set allow_unsized_heaps in recv.StreamConfig to accept such packets)",
    Rejection.TOO_LARGE: " (max_heap_size in recv.StreamConfig is the limit)",
}


def _last_address(pointers: Pointers, flavour: Flavour) -> int:
    """Where the last item that lies in the payload starts; 0 if there is none."""
    last = 0
    for pointer in pointers.tolist():
        if not pointer >> 63:
            last = max(last, pointer & flavour.address_mask)
    return last


def _runs(decoded: DecodedPackets) -> Iterator[_Run]:
    """Cut the valid packets into runs. A packet with the stop item is a run of its own."""
    good = np.flatnonzero(decoded.reason == Rejection.NONE)
    if not len(good):
        return
    cnt, bits, length = decoded.heap_cnt[good], decoded.heap_address_bits[good], decoded.heap_length[good]
    start, stops = decoded.payload_offset[good], decoded.stops[good]
    end = start + decoded.payload_size[good]
    cut = np.ones(len(good), np.bool_)
    if len(good) > 1:
        cut[1:] = (
            (np.diff(good) != 1)
            | (cnt[1:] != cnt[:-1])
            | (bits[1:] != bits[:-1])
            | (length[1:] != length[:-1])
            | (start[1:] != end[:-1])
            | stops[1:]
            | stops[:-1]
        )
    first = np.flatnonzero(cut)
    last = np.append(first[1:], len(good)) - 1
    yield from map(
        _Run,
        good[first].tolist(),
        (good[last] + 1).tolist(),
        cnt[first].tolist(),
        bits[first].tolist(),
        length[first].tolist(),
        start[first].tolist(),
        end[last].tolist(),
        stops[first].tolist(),
    )
