"""How heaps for several destinations share batches, in each engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from spead_transport.engine import get_engine
from spead_transport.engine.interface import NumberedHeap
from spead_transport.engine.send_config import GroupMode, HeapReference, StreamConfig
from spead_transport.protocol.batch import PacketBatch
from spead_transport.transport import Capabilities

from ..items import heap_of

_CAPABILITIES = Capabilities(lossy=False, ordered=True, reach="process")
_MODES = pytest.mark.parametrize("mode", GroupMode)


def _heaps(sizes: Sequence[int], destinations: int) -> list[NumberedHeap]:
    """Heaps of these sizes, by turns to each destination."""
    heaps = [heap_of(np.full(size, number % 256, np.uint8)) for number, size in enumerate(sizes)]
    return [
        NumberedHeap(HeapReference(heap, substream_index=number % destinations), number)
        for number, heap in enumerate(heaps)
    ]


def _encode(
    engine: str, heaps: Sequence[NumberedHeap], mode: GroupMode, rate: float = 0.0
) -> list[tuple[PacketBatch, float]]:
    return list(get_engine(engine).encoder(StreamConfig(rate=rate), _CAPABILITIES).encode(heaps, mode))


def _packets(batches: Sequence[tuple[PacketBatch, float]], destination: int) -> list[bytes]:
    return [
        packet.tobytes() for batch, _ in batches if batch.destination == destination for packet in batch.packets()
    ]


@_MODES
@pytest.mark.parametrize("rate", [0.0, 1e6])
def test_packets_for_one_destination_keep_their_order(engine: str, mode: GroupMode, rate: float) -> None:
    heaps = _heaps([3000, 50, 7000, 100000, 1, 0, 20000, 300, 9, 400000], 3)
    batches = _encode(engine, heaps, mode, rate)
    for destination in range(3):
        alone = [heap for heap in heaps if heap.reference.substream_index == destination]
        assert _packets(batches, destination) == _packets(_encode(engine, alone, mode), destination)


@_MODES
def test_small_heaps_share_batches(engine: str, mode: GroupMode) -> None:
    batches = _encode(engine, _heaps([100] * 300, 3), mode)
    assert [(batch.destination, len(batch)) for batch, _ in batches] == [(0, 100), (1, 100), (2, 100)]


def test_at_a_rate_they_change_places_within_a_burst(engine: str) -> None:
    batches = _encode(engine, _heaps([1000] * 300, 3), GroupMode.SERIAL, rate=1e9)
    sent = [batch.destination for batch, _ in batches]
    assert sent == [0, 1, 2] * (len(sent) // 3)
    assert all(batch.nbytes <= 65536 for batch, _ in batches)
    assert len(sent) >= 300 * 1000 / 65536 * 3


def test_a_burst_that_is_less_than_a_turn_keeps_the_order(engine: str) -> None:
    batches = _encode(engine, _heaps([5000] * 100, 100), GroupMode.ROUND_ROBIN, rate=1e9)
    assert [batch.destination for batch, _ in batches[:100]] == list(range(100))
    assert all(len(batch) == 1 for batch, _ in batches)


def test_large_heaps_to_many_destinations_take_turns(engine: str) -> None:
    batches = _encode(engine, _heaps([1 << 20] * 4, 4), GroupMode.ROUND_ROBIN)
    largest = max(batch.nbytes for batch, _ in batches)
    assert 1 << 16 < largest <= 1 << 18
    assert [batch.destination for batch, _ in batches[:4]] == [0, 1, 2, 3]
