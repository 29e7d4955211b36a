"""Whatever arrives: each packet and each heap is counted once, and chunks hold what was sent."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ..wire import addressed, immediate, raw_packet
from .common import LAYOUT, Circuit, bytes_of, heap, present_in, receive


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[int, int | None, int, int]]:
    """Packets of heaps with places of their own: number, chunk, index and part; some are lost, some come late."""
    places = draw(
        st.lists(st.tuples(st.none() | st.integers(0, 12), st.integers(0, 5)), unique=True, min_size=1, max_size=20)
    )
    parts = [(cnt, chunk, index, part) for cnt, (chunk, index) in enumerate(places) for part in (0, 8)]
    kept = [part for part in parts if draw(st.integers(0, 9))]
    # A little disorder, as there is on a network.
    return [kept[i] for i in sorted(range(len(kept)), key=lambda i: i + draw(st.integers(0, 3)))]


@given(arrivals(), st.integers(1, 4), st.integers(1, 3), st.booleans())
@settings(deadline=None, max_examples=40)
def test_every_heap_is_present_or_counted(
    parts: list[tuple[int, int | None, int, int]], max_chunks: int, max_heaps: int, in_order: bool
) -> None:
    packets = [heap(cnt, chunk, index, size=8, offset=offset) for cnt, chunk, index, offset in parts]
    chunks, stats = receive(
        packets, LAYOUT, max_chunks=max_chunks, max_heaps=max_heaps, allow_out_of_order=not in_order, free=30
    )
    numbers = [chunk.chunk_id for chunk in chunks]
    assert numbers == sorted(set(numbers)), "chunks come once, and in order"
    cnt_of = {(chunk, index): cnt for cnt, chunk, index, _ in parts}
    present = 0
    for chunk in chunks:
        for index, (there, byte) in enumerate(zip(present_in(chunk), bytes_of(chunk), strict=True)):
            present += there
            if there:
                assert byte == cnt_of[chunk.chunk_id, index]
    incomplete = stats["incomplete_heaps_evicted"] + stats["incomplete_heaps_flushed"]
    elsewhere = sum(stats[name] for name in ("too_old_heaps", "rejected_heaps", "misplaced_heaps"))
    # An incomplete heap that has no place is counted for both.
    assert present + elsewhere <= stats["heaps"] <= present + elsewhere + incomplete


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """Bytes that are almost a packet."""
    anything = st.integers(0, 40) | st.integers(0, 2**40 - 1)
    ids = st.integers(0, 7) | st.sampled_from([0x1001, 0x1002])
    words = draw(st.lists(st.builds(immediate, ids, anything) | st.builds(addressed, ids, anything), max_size=9))
    return raw_packet(words, draw(st.binary(max_size=24)))


@given(st.lists(hostile() | st.binary(max_size=60), max_size=20), st.integers(0, 16))
@settings(deadline=None, max_examples=60)
def test_hostile_packets_are_counted_and_good_ones_are_received(packets: list[bytes], presence: int) -> None:
    good: Any = [heap(1000, 2**40 - 1, 2, size=8), heap(1000, 2**40 - 1, 2, size=8, offset=8)]
    with Circuit(free=50, max_chunks=1, presence=presence, max_heaps=100, stop_on_stop_item=False) as circuit:
        chunks = circuit.run([*packets, *good])
        stats = circuit.stream.stats
    rejected = sum(
        value for name, value in stats.items() if name.startswith("rejected_") and name != "rejected_heaps"
    )
    assert stats["packets"] + rejected == len(packets) + 2
    assert chunks[-1].chunk_id == 2**40 - 1
    if presence in (0, 16):
        assert present_in(chunks[-1])[2] == 1
