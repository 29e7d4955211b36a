"""What becomes of packets: which heaps come out, and under which name every packet is counted."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spead_transport.engine import get_engine
from spead_transport.engine.interface import HeapAssembler, ReceivedHeap
from spead_transport.engine.memory import MemoryAllocator
from spead_transport.engine.recv_config import RingStreamConfig, StreamConfig
from spead_transport.engine.stats import StreamStats
from spead_transport.protocol.batch import Bytes, PacketBatch
from spead_transport.protocol.packets import encode_heap
from spead_transport.protocol.received import Heap, IncompleteHeap
from spead_transport.send import Heap as SendHeap
from spead_transport.transport import as_bytes

from ..items import heap_of
from ..wire import addressed, immediate, packet, raw_packet

Assemble = Callable[..., "Result"]


class Result:
    """What an assembler made of some packets."""

    def __init__(self, heaps: list[ReceivedHeap], stats: StreamStats, num_packets: int) -> None:
        self.heaps = heaps
        self.stats = stats
        rejected = sum(value for name, value in stats.items() if name.startswith("rejected_"))
        assert stats["packets"] + rejected == num_packets, "each packet must be counted exactly once"
        assert stats["heaps"] == len(heaps)

    @property
    def cnts(self) -> list[int]:
        return [heap.cnt for heap in self.heaps]

    def payload(self, index: int) -> bytes:
        heap = self.heaps[index]
        assert isinstance(heap, Heap)
        return heap.payload.tobytes()

    def is_complete(self) -> list[bool]:
        return [isinstance(heap, Heap) for heap in self.heaps]

    def counted(self) -> dict[str, int]:
        """The counters of rejected packets that are not zero."""
        return {name: value for name, value in self.stats.items() if name.startswith("rejected_") and value}


@pytest.fixture(params=["one batch", "one by one"])
def assemble(engine: str, request: pytest.FixtureRequest) -> Assemble:
    """A function that feeds packets to a new assembler, all at once or one at a time, and ends the stream."""

    def run(*packets: bytes, keep_ranges: bool = False, **config: Any) -> Result:
        ring = RingStreamConfig(incomplete_keep_payload_ranges=keep_ranges)
        assembler = get_engine(engine).assembler(StreamConfig(**config), ring)
        batches: Sequence[Sequence[bytes]] = [packets] if request.param == "one batch" else [[p] for p in packets]
        heaps: list[ReceivedHeap] = []
        for batch in batches:
            heaps += assembler.add(PacketBatch.of(batch), 0.0)
        heaps += assembler.flush()
        return Result(heaps, assembler.stats(), len(packets))

    return run


def pieces(cnt: int, count: int, size: int = 8) -> list[bytes]:
    """A heap of `count` packets with `size` bytes each; byte values tell the packet."""
    return [packet(cnt, bytes([index]) * size, offset=index * size, length=count * size) for index in range(count)]


def test_a_heap_of_one_packet(assemble: Assemble) -> None:
    result = assemble(packet(7, b"abcd", [addressed(0x1000, 0)]))
    assert result.cnts == [7]
    assert result.payload(0) == b"abcd"
    assert result.stats["single_packet_heaps"] == 1


def test_a_heap_of_several_packets(assemble: Assemble) -> None:
    result = assemble(*pieces(3, 5))
    assert result.payload(0) == b"".join(bytes([index]) * 8 for index in range(5))
    assert result.stats["single_packet_heaps"] == 0


def test_an_empty_payload_is_a_heap(assemble: Assemble) -> None:
    result = assemble(packet(1, b"", [immediate(0x1000, 5)]))
    assert result.payload(0) == b""
    heap = result.heaps[0]
    assert [(item.id, item.immediate_value) for item in heap.get_items()] == [(0x1000, 5)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "rejected_truncated"),
        (b"\x53", "rejected_truncated"),
        (packet(1, b"abcd")[:20], "rejected_truncated"),
        (b"\x52" + packet(1, b"abcd")[1:], "rejected_magic"),
        (b"\x53\x03" + packet(1, b"abcd")[2:], "rejected_version"),
        (b"\x53\x04\x04\x05" + packet(1, b"abcd")[4:], "rejected_flavour"),
        (b"\x53\x04\x08\x00" + packet(1, b"abcd")[4:], "rejected_flavour"),
        (raw_packet([immediate(1, 1), immediate(3, 0)], b"abcd"), "rejected_missing_item"),
        (raw_packet([immediate(1, 1), immediate(4, 4)], b"abcd"), "rejected_missing_item"),
        (raw_packet([immediate(3, 0), immediate(4, 4)], b"abcd"), "rejected_missing_item"),
        (raw_packet([]), "rejected_missing_item"),
        (packet(1, b"abcd") + b"junk", "rejected_size_mismatch"),
        (packet(1, b"abcd")[:-1], "rejected_size_mismatch"),
        (packet(1, b"abcd", length=3), "rejected_out_of_bounds"),
        (packet(1, b"abcd", length=2**40 - 1), "rejected_too_large"),
        (packet(1, b"abcd", length=None, offset=2**40 - 4), "rejected_too_large"),
        (packet(1, b"abcd", offset=4, length=12), "rejected_out_of_order"),
    ],
)
def test_a_bad_packet_is_counted_and_good_ones_are_not_disturbed(
    assemble: Assemble, data: bytes, reason: str
) -> None:
    first, *rest = pieces(1000, 3)
    result = assemble(first, data, *rest)
    assert result.counted() == {reason: 1}
    assert result.cnts == [1000]


def test_reserved_header_bits_are_ignored(assemble: Assemble) -> None:
    data = bytearray(packet(1, b"abcd"))
    data[4:6] = b"\xff\xff"
    assert assemble(bytes(data)).payload(0) == b"abcd"


def test_the_pointers_of_every_packet_may_come_in_any_order(assemble: Assemble) -> None:
    words = [addressed(0x1000, 0), immediate(4, 4), immediate(3, 0), immediate(2, 4), immediate(1, 9)]
    assert assemble(raw_packet(words, b"abcd")).cnts == [9]


def test_out_of_order_packets_are_rejected_by_default(assemble: Assemble) -> None:
    a, b, c = pieces(1, 3)
    result = assemble(a, c, b, c)
    assert result.payload(0) == b"\0" * 8 + b"\1" * 8 + b"\2" * 8
    assert result.counted() == {"rejected_out_of_order": 1}


def test_out_of_order_packets_are_accepted_when_allowed(assemble: Assemble) -> None:
    a, b, c, d = pieces(1, 4)
    result = assemble(d, b, a, c, allow_out_of_order=True)
    assert result.payload(0) == b"".join(bytes([index]) * 8 for index in range(4))
    assert result.counted() == {}


def test_duplicates_are_rejected(assemble: Assemble) -> None:
    a, b, c = pieces(1, 3)
    for allow in (False, True):
        result = assemble(a, b, b, a, c, allow_out_of_order=allow)
        assert result.is_complete() == [True]
        assert result.counted() == {"rejected_duplicate": 2}


def test_overlapping_packets_are_duplicates(assemble: Assemble) -> None:
    overlapping = packet(1, b"x" * 8, offset=4, length=24)
    a, b, c = pieces(1, 3)
    result = assemble(a, c, overlapping, b, allow_out_of_order=True)
    assert result.payload(0) == b"\0" * 8 + b"\1" * 8 + b"\2" * 8
    assert result.counted() == {"rejected_duplicate": 1}


def test_a_duplicate_among_out_of_order_packets_leaves_one_range(assemble: Assemble) -> None:
    a, b, c, _ = pieces(1, 4, size=1424)
    lost = assemble(a, b, b, keep_ranges=True)
    assert [getattr(heap, "payload_ranges", None) for heap in lost.heaps] == [[(0, 2848)]]
    full = assemble(b, a, b, c, keep_ranges=True, allow_out_of_order=True)
    assert [getattr(heap, "payload_ranges", None) for heap in full.heaps] == [[(0, 4272)]]


def test_the_heap_that_started_first_is_given_up(assemble: Assemble) -> None:
    ten, five, seven = (pieces(cnt, 2) for cnt in (10, 5, 7))
    result = assemble(ten[0], five[0], seven[0], ten[1], five[1], seven[1], max_heaps=2)
    # The second packet of heap 10 arrives after that was given up.
    assert list(zip(result.cnts, result.is_complete(), strict=True)) == [(10, False), (5, True), (7, True)]
    assert result.stats["incomplete_heaps_evicted"] == 1
    assert result.counted() == {"rejected_out_of_order": 1}


def test_each_substream_keeps_its_own_heaps(assemble: Assemble) -> None:
    first = [pieces(cnt, 2)[0] for cnt in range(8)]
    second = [pieces(cnt, 2)[1] for cnt in range(8)]
    result = assemble(*first, *second, max_heaps=2, substreams=4)
    assert result.is_complete() == [True] * 8
    result = assemble(*first, *second, max_heaps=1, substreams=4, allow_out_of_order=True)
    assert result.stats["incomplete_heaps_evicted"] >= 4


def test_a_heap_of_one_packet_needs_no_place(assemble: Assemble) -> None:
    a, b = pieces(1, 2)
    result = assemble(a, packet(2, b"abcd"), packet(3, b"efgh"), b, max_heaps=1)
    assert result.cnts == [2, 3, 1]
    assert result.is_complete() == [True] * 3


def test_incomplete_heaps_are_flushed_at_the_end(assemble: Assemble) -> None:
    result = assemble(pieces(1, 3)[0], pieces(2, 3)[0], keep_ranges=True)
    for heap in result.heaps:
        assert isinstance(heap, IncompleteHeap)
        assert heap.heap_length == 24
        assert heap.received_length == 8
        assert heap.payload_ranges == [(0, 8)]
    assert result.cnts == [1, 2]
    assert result.stats["incomplete_heaps_flushed"] == 2


def test_ranges_are_kept_only_when_asked_for(assemble: Assemble) -> None:
    (heap,) = assemble(pieces(1, 3)[0]).heaps
    assert isinstance(heap, IncompleteHeap)
    assert heap.payload_ranges == []


def test_an_incomplete_heap_still_has_its_immediate_items(assemble: Assemble) -> None:
    words = [immediate(0x1001, 9), addressed(0x1002, 0)]
    (heap,) = assemble(packet(1, b"abcd", words, length=100)).heaps
    assert isinstance(heap, IncompleteHeap)
    assert [(item.id, item.immediate_value) for item in heap.get_items()] == [(0x1001, 9)]


def test_heaps_without_length_complete_at_the_end(assemble: Assemble) -> None:
    parts = [packet(1, bytes([index]) * 100, offset=index * 100, length=None) for index in range(20)]
    result = assemble(*parts)
    assert result.payload(0) == b"".join(bytes([index]) * 100 for index in range(20))
    assert result.stats["incomplete_heaps_flushed"] == 0


def test_a_heap_without_length_and_with_a_hole_is_incomplete(assemble: Assemble) -> None:
    parts = [packet(1, b"x" * 8, offset=offset, length=None) for offset in (0, 16)]
    (heap,) = assemble(*parts, allow_out_of_order=True, keep_ranges=True).heaps
    assert isinstance(heap, IncompleteHeap)
    assert heap.heap_length == -1
    assert heap.payload_ranges == [(0, 8), (16, 24)]


def test_heaps_without_length_are_rejected_when_not_allowed(assemble: Assemble) -> None:
    result = assemble(packet(1, b"abcd", length=None), packet(2, b"abcd"), allow_unsized_heaps=False)
    assert result.cnts == [2]
    assert result.counted() == {"rejected_unsized": 1}


def test_the_length_may_come_later(assemble: Assemble) -> None:
    result = assemble(packet(1, b"a" * 8, length=None), packet(1, b"b" * 8, offset=8, length=16))
    assert result.payload(0) == b"a" * 8 + b"b" * 8


def test_a_length_that_changes_is_rejected(assemble: Assemble) -> None:
    result = assemble(
        packet(1, b"a" * 8, length=24),
        packet(1, b"b" * 8, offset=8, length=32),
        packet(1, b"c" * 8, offset=8, length=24),
        packet(1, b"d" * 8, offset=16, length=24),
    )
    assert result.payload(0) == b"a" * 8 + b"c" * 8 + b"d" * 8
    assert result.counted() == {"rejected_length_changed": 1}


def test_a_length_below_what_arrived_is_rejected(assemble: Assemble) -> None:
    result = assemble(
        packet(1, b"a" * 24, length=None),
        packet(1, b"", offset=0, length=16),
    )
    assert result.counted() == {"rejected_length_changed": 1}


def test_a_flavour_that_changes_within_a_heap_is_rejected(assemble: Assemble) -> None:
    result = assemble(
        packet(1, b"a" * 8, length=16),
        packet(1, b"b" * 8, offset=8, length=16, bits=48),
        packet(1, b"c" * 8, offset=8, length=16),
    )
    assert result.payload(0) == b"a" * 8 + b"c" * 8
    assert result.counted() == {"rejected_flavour_changed": 1}


@pytest.mark.parametrize("bits", range(8, 64, 8))
def test_the_flavour_is_taken_from_the_packets(assemble: Assemble, bits: int) -> None:
    (heap,) = assemble(packet(1, b"abcd", [addressed(5, 0, bits)], bits=bits)).heaps
    assert heap.flavour.heap_address_bits == bits


def test_bug_compat_is_taken_from_the_configuration(assemble: Assemble) -> None:
    (heap,) = assemble(packet(1, b"abcd"), bug_compat=4).heaps
    assert heap.flavour.bug_compat == 4


def test_the_stop_item_ends_the_stream_and_takes_its_heap_with_it(assemble: Assemble) -> None:
    stop = packet(2, b"abcd", [immediate(6, 2), addressed(0x1000, 0)])
    result = assemble(packet(1, b"abcd"), stop, packet(3, b"abcd"))
    assert result.cnts == [1]
    assert result.stats["heaps_discarded"] == 1
    assert result.counted() == {"rejected_stopped": 1}


def test_the_stop_item_is_delivered_when_asked_for(assemble: Assemble) -> None:
    stop = packet(2, b"abcd", [immediate(6, 2), addressed(0x1000, 0)])
    result = assemble(stop, packet(3, b"abcd"), stop_on_stop_item=False)
    assert result.cnts == [2, 3]
    assert [heap.is_end_of_stream() for heap in result.heaps] == [True, False]


def test_only_an_immediate_stop_item_stops(assemble: Assemble) -> None:
    result = assemble(packet(1, b"\0\0\0\0\0\2", [addressed(6, 0)]), packet(2, b"abcd"))
    assert result.cnts == [1, 2]


@pytest.mark.parametrize("value", [0, 1, 3, 4, 2**40 - 1])
def test_other_control_values_do_not_stop(assemble: Assemble, value: int) -> None:
    assert assemble(packet(1, b"abcd", [immediate(6, value)]), packet(2, b"abcd")).cnts == [1, 2]


def test_a_pointer_beyond_the_payload_makes_the_heap_incomplete(assemble: Assemble) -> None:
    result = assemble(packet(1, b"abcd", [addressed(0x1000, 100)]))
    assert result.is_complete() == [False]


def test_max_heap_size_limits_what_a_packet_can_claim(assemble: Assemble) -> None:
    result = assemble(packet(1, b"a" * 101, length=101), packet(2, b"a" * 100), max_heap_size=100)
    assert result.cnts == [2]
    assert result.counted() == {"rejected_too_large": 1}


def test_a_heap_without_length_grows_up_to_max_heap_size(assemble: Assemble) -> None:
    parts = [packet(1, b"x" * 40, offset=index * 40, length=None) for index in range(4)]
    result = assemble(*parts, max_heap_size=100)
    assert result.payload(0) == b"x" * 80
    assert result.counted() == {"rejected_too_large": 2}


@pytest.mark.parametrize("at_once", [True, False])
def test_item_pointers_without_end_are_refused(engine: str, at_once: bool) -> None:
    """Packets without payload could otherwise fill the memory, one heap being enough."""
    packets = [packet(1, b"", [immediate(0x1000 + index, index) for index in range(5)], length=8) for _ in range(4)]
    assembler = get_engine(engine).assembler(StreamConfig(max_heap_size=100), RingStreamConfig(contiguous_only=False))
    batches = [PacketBatch.of(packets)] if at_once else [PacketBatch.of([data]) for data in packets]
    assert [heap for batch in batches for heap in assembler.add(batch, 0.0)] == []
    (heap,) = assembler.flush()
    assert len(heap.pointers) == 10
    assert assembler.stats()["packets"] == 2
    assert assembler.stats()["rejected_too_large"] == 2


def test_a_heap_may_have_as_many_pointers_as_its_limit(assemble: Assemble) -> None:
    words = [immediate(0x1000 + index, index) for index in range(13)]
    result = assemble(
        packet(1, b"abcd", words), packet(2, b"abcd", words[:12]), packet(3, b"x" * 100), max_heap_size=100
    )
    assert result.cnts == [2, 3]
    assert result.counted() == {"rejected_too_large": 1}


class Stingy(MemoryAllocator):
    """Has no memory for large heaps."""

    def allocate(self, size: int) -> Bytes:
        if size > 100:
            raise MemoryError
        return np.empty(size, np.uint8)


def test_a_heap_that_gets_no_memory_is_counted(assemble: Assemble) -> None:
    result = assemble(packet(1, b"x" * 101), packet(2, b"x" * 100), memory_allocator=Stingy())
    assert result.cnts == [2]
    assert result.counted() == {"rejected_no_memory": 1}


def test_the_batch_memory_is_not_used_afterwards(engine: str) -> None:
    assembler = get_engine(engine).assembler(StreamConfig(), RingStreamConfig())
    data = as_bytes(bytearray(packet(1, b"abcd")))
    batch = PacketBatch(data, np.array([0], np.int64), np.array([len(data)], np.int64))
    (heap,) = assembler.add(batch, 0.0)
    data[:] = 0
    assert isinstance(heap, Heap)
    assert heap.payload.tobytes() == b"abcd"


def test_memory_that_a_transport_gives_away_is_adopted(engine: str) -> None:
    values = np.arange(100_000, dtype=np.uint8)
    heap = heap_of(values)
    batch = encode_heap(heap.layout(), heap.flavour, 1, 1472).copy()
    assert batch.adoptable
    assembler = get_engine(engine).assembler(StreamConfig(), RingStreamConfig())
    (received,) = assembler.add(batch, 0.0)
    assert isinstance(received, Heap)
    np.testing.assert_array_equal(received.payload, values)
    assert np.shares_memory(received.payload, batch.bodies[0])


def shuffled_heaps(draw: st.DrawFn) -> tuple[dict[int, bytes], list[bytes]]:
    heaps: dict[int, bytes] = {}
    packets: list[bytes] = []
    for cnt in draw(st.lists(st.integers(0, 2**40 - 1), unique=True, max_size=4)):
        payload = draw(st.binary(max_size=60))
        heaps[cnt] = payload
        cuts = sorted({0, len(payload), *draw(st.lists(st.integers(0, len(payload)), max_size=4))})
        spans = list(itertools.pairwise(cuts)) or [(0, 0)]
        packets += [packet(cnt, payload[a:b], offset=a, length=len(payload)) for a, b in spans]
    return heaps, draw(st.permutations(packets))


@given(st.composite(shuffled_heaps)(), st.data())
@settings(deadline=None)
def test_any_order_gives_the_same_heaps(
    engine: str, sent: tuple[dict[int, bytes], list[bytes]], data: st.DataObject
) -> None:
    heaps, packets = sent
    repeated = data.draw(st.lists(st.sampled_from(packets), max_size=3)) if packets else []
    config = StreamConfig(max_heaps=8, allow_out_of_order=True)
    assembler = get_engine(engine).assembler(config, RingStreamConfig())
    received = feed(assembler, [*packets, *repeated], data)
    complete = [heap for heap in received if isinstance(heap, Heap)]
    # A packet that comes again after its heap was finished starts that heap again.
    assert {heap.cnt: heap.payload.tobytes() for heap in complete} == heaps


def feed(assembler: HeapAssembler, packets: list[bytes], data: st.DataObject) -> list[ReceivedHeap]:
    """Feed packets in batches of any size."""
    received: list[ReceivedHeap] = []
    while packets:
        count = data.draw(st.integers(1, len(packets)))
        received += assembler.add(PacketBatch.of(packets[:count]), 0.0)
        packets = packets[count:]
    return received + assembler.flush()


@st.composite
def hostile_packets(draw: st.DrawFn) -> bytes:
    """Bytes that are almost a packet: any value may be anywhere."""
    small = st.integers(0, 40)
    anything = small | st.integers(0, 2**40 - 1)
    words = draw(
        st.lists(
            st.builds(immediate, st.integers(0, 7), anything) | st.builds(addressed, st.integers(0, 7), anything),
            max_size=6,
        )
    )
    payload = draw(st.binary(max_size=40))
    data = bytearray(
        draw(
            st.sampled_from(
                [
                    raw_packet(words, payload),
                    packet(draw(small), payload, words, offset=draw(small), length=draw(st.none() | small)),
                ]
            )
        )
    )
    for position, value in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=2)):
        data[position] = value
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@given(st.lists(hostile_packets(), max_size=40), st.data(), st.booleans(), st.booleans())
@settings(deadline=None)
def test_hostile_packets_are_counted_and_nothing_else(
    engine: str, packets: list[bytes], data: st.DataObject, out_of_order: bool, unsized: bool
) -> None:
    config = StreamConfig(
        max_heaps=2, allow_out_of_order=out_of_order, allow_unsized_heaps=unsized, max_heap_size=1000
    )
    assembler = get_engine(engine).assembler(config, RingStreamConfig(incomplete_keep_payload_ranges=True))
    heaps = feed(assembler, packets, data)
    result = Result(heaps, assembler.stats(), len(packets))
    for heap in result.heaps:
        if isinstance(heap, IncompleteHeap):
            assert sum(end - start for start, end in heap.payload_ranges) == heap.received_length
        else:
            assert len(heap.get_items()) <= 6 * len(packets)


def test_many_hostile_packets(engine: str) -> None:
    random = np.random.default_rng(5)
    good = packet(1, b"x" * 32, [addressed(0x1000, 0)], length=64)
    packets = []
    for _ in range(20_000):
        data = bytearray(good)
        for position in random.integers(0, len(data), random.integers(0, 4)):
            data[position] = random.integers(0, 256)
        packets.append(bytes(data[: random.integers(0, len(data) + 1)]) if random.integers(0, 2) else bytes(data))
    assembler = get_engine(engine).assembler(StreamConfig(), RingStreamConfig())
    heaps: list[ReceivedHeap] = []
    for start in range(0, len(packets), 100):
        heaps += assembler.add(PacketBatch.of(packets[start : start + 100]), 0.0)
    heaps += assembler.flush()
    Result(heaps, assembler.stats(), len(packets))
    assert assembler.stats()["packets"] > 100
    after = assembler.add(PacketBatch.of(pieces(2**39, 3)), 0.0)
    assert [heap.cnt for heap in after] == ([] if assembler.stopped else [2**39])


def test_a_claim_of_a_huge_heap_costs_no_memory(engine: str) -> None:
    assembler = get_engine(engine).assembler(StreamConfig(), RingStreamConfig())
    claim = packet(1, b"", [], length=2**37)
    assert assembler.add(PacketBatch.of([claim]), 0.0) == []
    assert assembler.stats()["rejected_too_large"] == 1


def test_struct_helpers_make_what_the_specification_shows() -> None:
    assert packet(1, b"", bits=48)[:8] == struct.pack(">Q", 0x5304_0206_0000_0004)
    assert SendHeap().flavour.heap_address_bits == 40
