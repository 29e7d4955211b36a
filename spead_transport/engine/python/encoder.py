"""Heaps to packets, with numpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import Final, TypeAlias

import attrs
import numpy as np

from ...protocol.batch import PacketBatch
from ...protocol.packets import encode_heap
from ...transport import Capabilities
from ..interface import HeapEncoder, NumberedHeap
from ..pacing import burst_limit
from ..send_config import GroupMode, StreamConfig

__all__ = ["PythonEncoder"]

#: Small heaps are put together up to about this much, in bytes: enough to make the cost of a batch vanish.
_BATCH_BYTES: Final = 1 << 18
#: A batch and its rate, in bytes per second; 0 is unlimited.
_Paced: TypeAlias = tuple[PacketBatch, float]


class PythonEncoder(HeapEncoder):
    """Cuts heaps by cached plans and puts small heaps together."""

    def __init__(self, config: StreamConfig, capabilities: Capabilities) -> None:
        self._max_packet_size = config.max_packet_size
        self._burst_size = config.burst_size
        self._rate = config.rate
        self._largest_batch = capabilities.largest_batch

    def encode(self, heaps: Sequence[NumberedHeap], mode: GroupMode) -> Iterator[tuple[PacketBatch, float]]:
        encoded: Iterator[_Paced] = ((self._encode_one(heap), self._rate_of(heap)) for heap in heaps)
        if len(heaps) > 1:
            limit = self._window(heaps)
            if mode is GroupMode.ROUND_ROBIN:
                encoded = _interleave(list(encoded), limit // (len(heaps) * self._max_packet_size))
            else:
                encoded = _by_destination(heaps, encoded, limit)
        for batch, rate in self._merge(encoded):
            for part in self._cut(batch, rate):
                yield part, rate

    def _window(self, heaps: Sequence[NumberedHeap]) -> int:
        """Within how many bytes packets for different destinations may change places.

        Packets for one destination go out together as cheaply as one.
        """
        destinations = {heap.reference.substream_index for heap in heaps}
        rates = [rate for rate in map(self._rate_of, heaps) if rate > 0]
        return min([_BATCH_BYTES * len(destinations), *(burst_limit(self._burst_size, rate) for rate in rates)])

    def _rate_of(self, heap: NumberedHeap) -> float:
        rate = heap.reference.rate
        return self._rate if rate < 0 else rate

    def _encode_one(self, numbered: NumberedHeap) -> PacketBatch:
        heap = numbered.reference.heap
        batch = encode_heap(heap.layout(), heap.flavour, numbered.cnt, self._max_packet_size, heap.repeat_pointers)
        destination = numbered.reference.substream_index
        return attrs.evolve(batch, destination=destination) if destination else batch

    def _merge(self, batches: Iterator[_Paced]) -> Iterator[_Paced]:
        """Put neighbours of one rate and for one destination together as long as they stay small."""
        for (_, rate), same in groupby(batches, key=lambda paced: (paced[0].destination, paced[1])):
            limit = burst_limit(self._burst_size, rate) if rate > 0 else _BATCH_BYTES
            waiting: list[PacketBatch] = []
            nbytes = 0
            for batch, _ in same:
                if waiting and nbytes + batch.nbytes > limit:
                    yield PacketBatch.concatenate(waiting), rate
                    waiting, nbytes = [], 0
                waiting.append(batch)
                nbytes += batch.nbytes
            yield PacketBatch.concatenate(waiting), rate

    def _cut(self, batch: PacketBatch, rate: float) -> Iterator[PacketBatch]:
        """Cut a batch to what the transport likes, and to bursts if there is a rate to keep."""
        count = len(batch)
        step = self._largest_batch or count
        if rate > 0:
            # By the largest packet: all but a heap's first and last few have that size.
            step = min(step, max(1, burst_limit(self._burst_size, rate) // int(batch.sizes.max())))
        if step >= count:
            yield batch
        else:
            for start in range(0, count, step):
                yield batch[start : start + step]


def _by_destination(heaps: Sequence[NumberedHeap], encoded: Iterator[_Paced], limit: int) -> Iterator[_Paced]:
    """Heaps for one destination together, but only among those that begin in the same `limit` bytes of payload."""
    if len({heap.reference.substream_index for heap in heaps}) == 1:
        return encoded
    starts = accumulate((heap.reference.heap.payload_size for heap in heaps), initial=0)
    keys = [(start // limit, heap.reference.substream_index) for start, heap in zip(starts, heaps, strict=False)]
    batches = list(encoded)
    return (batches[index] for index in sorted(range(len(heaps)), key=keys.__getitem__))


def _interleave(heaps: Sequence[_Paced], turns: int) -> Iterator[_Paced]:
    """One packet of each heap in turn, until all are used up; or `turns`, if any, for each destination in turn."""
    counts = [len(batch) for batch, _ in heaps]
    turn = np.concatenate([np.arange(count) for count in counts])
    whose = np.repeat(np.arange(len(heaps)), counts)
    destinations = np.array([batch.destination for batch, _ in heaps])
    rates = np.array([rate for _, rate in heaps])
    order = np.lexsort((whose, turn, destinations[whose], turn // turns) if turns else (whose, turn))
    owner = whose[order]
    changes = (np.diff(destinations[owner]) != 0) | (np.diff(rates[owner]) != 0)
    joined = PacketBatch.concatenate(batch for batch, _ in heaps)
    for part in np.split(order, np.flatnonzero(changes) + 1):
        batch, rate = heaps[int(whose[part[0]])]
        yield attrs.evolve(joined.take(part), destination=batch.destination), rate
