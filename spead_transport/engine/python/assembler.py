"""Packets to heaps, with numpy.

The unit of work is a *run*: packets of one batch that follow each other in one heap. A run's headers are compared in
vectors, and its payload moves in one copy, or not at all if the transport gives its memory away.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from ...protocol.batch import PacketBatch
from ...protocol.constants import POINTER_SIZE
from ...protocol.packets import DecodedPackets, decode_headers
from ...protocol.rejection import Rejection
from ..interface import HeapAssembler, ReceivedHeap
from ..notices import Notices
from ..recv_config import StreamConfig
from ..stats import StreamStats
from .chunk_window import Blocked
from .placement import HeapPlacement, LiveHeap, Payloads, Run

__all__ = ["PythonAssembler"]

_log = logging.getLogger("spead_transport")


class PythonAssembler(HeapAssembler):
    """Keeps, for each substream, the last ``max_heaps`` heaps that started."""

    def __init__(self, config: StreamConfig, placement: HeapPlacement, stats: StreamStats) -> None:
        self._config = config
        self._placement = placement
        self._live: dict[int, LiveHeap] = {}
        # For each substream the heap cnts of the last heaps that started; None where a heap is finished.
        self._slots: list[list[int | None]] = [[None] * config.max_heaps for _ in range(config.substreams)]
        self._next_slot = [0] * config.substreams
        self._stats = stats
        self._stopped = False
        self._notices = Notices(_log)
        self._output: list[ReceivedHeap] = []
        # What of the last batch has not been taken in, and the batch.
        self._rest: deque[Run] = deque()
        self._decoded: DecodedPackets | None = None
        self._payloads: Payloads | None = None

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stats(self) -> StreamStats:
        return StreamStats(self._stats.config, self._stats.values())

    def add(self, batch: PacketBatch, now: float) -> list[ReceivedHeap]:
        self.discard_rest()
        self._stats["batches"] += 1
        self._stats["max_batch"] = max(self._stats["max_batch"], len(batch))
        decoded = decode_headers(batch)
        self._count_malformed(decoded, now)
        payloads = Payloads.locate(batch, decoded)
        runs: Iterable[Run] = _runs(decoded)
        if self._placement.prepares:
            runs = list(runs)
            self._placement.prepare(batch, decoded, list(self._beginnings(runs)))
        self._rest = deque(runs)
        self._decoded, self._payloads = decoded, payloads
        return self.resume(now)

    @property
    def blocked(self) -> bool:
        """Whether the rest of the last batch waits for room. Its memory is then still in use."""
        return bool(self._rest)

    def resume(self, now: float) -> list[ReceivedHeap]:
        """Take in the rest of the last batch, as far as that is possible; returns what :meth:`add` does."""
        decoded, payloads = self._decoded, self._payloads
        assert decoded is not None
        assert payloads is not None
        while self._rest:
            run = self._rest[0]
            if self._stopped:
                self._reject(Rejection.STOPPED, run.num_packets, now)
            elif run.stops and self._config.stop_on_stop_item:
                self._stop(run)
            else:
                try:
                    self._add_run(run, decoded, payloads, now)
                except Blocked:
                    return self._take_output()
            self._rest.popleft()
        self._decoded = self._payloads = None
        return self._take_output()

    def flush(self) -> list[ReceivedHeap]:
        self.discard_rest()
        for slots, oldest in zip(self._slots, self._next_slot, strict=True):
            for cnt in [*slots[oldest:], *slots[:oldest]]:
                if cnt is not None:
                    self._give_up(self._live[cnt], "incomplete_heaps_flushed")
        return self._take_output()

    def expire(self, now: float) -> list[ReceivedHeap]:
        """Give up the heaps that are too old; returns them."""
        while self._live and self.next_expiry <= now:
            oldest = next(iter(self._live.values()))
            self._notices.warn(
                "expired",
                now,
                "heap %d was given up incomplete because it was older than max_heap_age=%g seconds",
                oldest.cnt,
                self._config.max_heap_age,
            )
            self._give_up(oldest, "incomplete_heaps_evicted")
        return self._take_output()

    @property
    def next_expiry(self) -> float:
        """When there will be something to give up for its age, if nothing else happens; infinity for never."""
        if not self._config.max_heap_age or not self._live:
            return math.inf
        return next(iter(self._live.values())).began + self._config.max_heap_age

    def discard_rest(self) -> None:
        """Count what is left of a batch, because the stream ends or an error cut the batch short."""
        self._stats[Rejection.STOPPED.stat_name] += sum(run.num_packets for run in self._rest)
        self._rest.clear()
        self._decoded = self._payloads = None

    def _beginnings(self, runs: Iterable[Run]) -> Iterator[Run]:
        """Those of `runs` that will start a heap, as far as can be told before."""
        if self._stopped:
            return
        seen = set(self._live)
        for run in runs:
            if run.stops and self._config.stop_on_stop_item:
                return
            if run.cnt not in seen and self._refuse(run, None) is Rejection.NONE:
                seen.add(run.cnt)
                yield run

    def _take_output(self) -> list[ReceivedHeap]:
        output, self._output = self._output, []
        return output

    # ------------------------------------------------------------------------------------------------ packets in

    def _add_run(self, run: Run, decoded: DecodedPackets, payloads: Payloads, now: float) -> None:
        live = self._live.get(run.cnt)
        reason = self._refuse(run, live)
        if reason is not Rejection.NONE:
            if run.num_packets > 1 and self._depends_on_packet(run, reason):
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
                if self._store(part, live, payloads):
                    self._note(part, live, decoded)
                else:
                    self._reject(Rejection.NO_MEMORY, part.num_packets, now)
            if live.complete:
                self._finish(live)

    def _depends_on_packet(self, run: Run, reason: Rejection) -> bool:
        """Whether `reason` may hold for the last packets of a run only: they reach too far, or bring the one item
        pointer too many."""
        return run.length < 0 or (reason is Rejection.TOO_LARGE and run.length <= self._config.max_heap_size)

    def _refuse(self, run: Run, live: LiveHeap | None) -> Rejection:
        """Why a run cannot belong to its heap, as far as sizes and flavour tell."""
        limit = self._config.max_heap_size
        num_pointers = run.num_pointers + (0 if live is None else live.num_pointers)
        if run.length > limit or run.end > limit or num_pointers * POINTER_SIZE > limit:
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

    def _begin(self, run: Run, decoded: DecodedPackets, payloads: Payloads, now: float) -> None:
        """Start a heap with its first run, or finish it at once if it has only one packet."""
        live = LiveHeap(run.cnt, run.heap_address_bits, run.length, now)
        if not self._placement.begin(live, run, payloads):
            self._reject(Rejection.NO_MEMORY, run.num_packets, now)
            return
        self._note(run, live, decoded)
        if self._config.sequential_heaps:
            self._finish_unsized(live.cnt % self._config.substreams)
        if run.num_packets == 1 and live.complete:
            self._stats["single_packet_heaps"] += 1
            self._deliver(live)
        else:
            self._take_slot(live, now)
            if live.complete:
                self._finish(live)

    def _new_parts(self, run: Run, live: LiveHeap, decoded: DecodedPackets, now: float) -> Iterator[Run]:
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

    def _store(self, part: Run, live: LiveHeap, payloads: Payloads) -> bool:
        """Copy payload to the heap's memory; False if there is not enough of it."""
        if live.memory is None:
            return True
        if part.end > len(live.memory) and not self._placement.grow(live, part.end):
            return False
        payloads.copy(part, live.memory)
        return True

    def _note(self, run: Run, live: LiveHeap, decoded: DecodedPackets) -> None:
        """Note that a run has arrived."""
        self._stats["packets"] += run.num_packets
        live.add_range(run.start, run.end)
        live.num_pointers += run.num_pointers
        self._placement.arrived(live, run, decoded)
        live.pointers += [found for found in decoded.pointers[run.first : run.last] if found is not None]

    def _stop(self, run: Run) -> None:
        """The stream ends here, and the heap that carries the stop item with it."""
        self._stopped = True
        self._stats["packets"] += run.num_packets
        self._stats["heaps_discarded"] += 1
        live = self._live.get(run.cnt)
        if live is not None:
            self._forget(live)

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

    def _take_slot(self, live: LiveHeap, now: float) -> None:
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

    def _finish_unsized(self, substream: int) -> None:
        """A heap of `substream` starts, so those before it that have no length and no hole are complete."""
        for cnt in [cnt for cnt in self._slots[substream] if cnt is not None]:
            live = self._live[cnt]
            if live.length < 0 and live.received == live.end:
                self._finish(live)

    def _forget(self, live: LiveHeap) -> None:
        del self._live[live.cnt]
        self._slots[live.cnt % self._config.substreams][live.slot] = None

    def _finish(self, live: LiveHeap) -> None:
        self._forget(live)
        self._deliver(live)

    def _give_up(self, live: LiveHeap, counter: str) -> None:
        if live.length >= 0 or live.received != live.end:
            self._stats[counter] += 1
        self._finish(live)

    def _deliver(self, live: LiveHeap) -> None:
        self._stats["heaps"] += 1
        heap = self._placement.finish(live)
        if heap is not None:
            self._output.append(heap)


_ADVICE: Final = {
    Rejection.OUT_OF_ORDER: " (set allow_out_of_order in recv.StreamConfig to accept such packets)",
    Rejection.UNSIZED: " (set allow_unsized_heaps in recv.StreamConfig to accept such packets)",
    Rejection.TOO_LARGE: " (max_heap_size in recv.StreamConfig is the limit)",
}


def _runs(decoded: DecodedPackets) -> Iterator[Run]:
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
    num_pointers = np.add.reduceat(decoded.num_pointers[good], first)
    yield from map(
        Run,
        good[first].tolist(),
        (good[last] + 1).tolist(),
        cnt[first].tolist(),
        bits[first].tolist(),
        length[first].tolist(),
        start[first].tolist(),
        end[last].tolist(),
        stops[first].tolist(),
        num_pointers.tolist(),
    )
