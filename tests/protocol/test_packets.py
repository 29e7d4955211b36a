"""Cutting heaps into packets, and taking packets apart."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spead_transport.protocol import packets as packets_module
from spead_transport.protocol.batch import PacketBatch
from spead_transport.protocol.framing import frame_packets, oversized
from spead_transport.protocol.layout import HeapLayout
from spead_transport.protocol.packets import (
    DecodedPackets,
    decode_headers,
    decode_packet,
    encode_heap,
    plan_packets,
)
from spead_transport.protocol.rejection import PacketError, Rejection

from ..wire import addressed, immediate
from . import wire

# ---------------------------------------------------------------------------------------------------- encoding


def _layout(num_pointers: int, sizes: list[int], bits: int) -> HeapLayout:
    pointers = wire.words(*(immediate(7 + number % 100, number % 256, bits) for number in range(num_pointers)))
    blocks = tuple(np.arange(size, dtype=np.int64).astype(np.uint8) for size in sizes if size)
    return HeapLayout(pointers, blocks, sum(sizes))


@given(
    st.integers(0, 200),
    st.lists(st.integers(0, 3000), max_size=3),
    st.sampled_from(wire.ADDRESS_BITS),
    st.integers(56, 2000),
    st.booleans(),
    st.integers(0, 255),
)
def test_encode_heap(
    num_pointers: int, sizes: list[int], bits: int, max_packet_size: int, repeat: bool, cnt: int
) -> None:
    """What every heap in packets must be, however it is cut."""
    layout = _layout(num_pointers, sizes, bits)
    flavour = wire.flavour(bits)
    try:
        batch = encode_heap(layout, flavour, cnt, max_packet_size, repeat)
    except ValueError as error:
        too_small = repeat and max_packet_size - max_packet_size % 8 < 8 * (num_pointers + 7)
        too_large = bits <= 16 and layout.payload_size + 8 * num_pointers + 1 >= 1 << bits
        assert too_small or too_large, error  # noqa: PT017 - no error is right as well
        return
    payload = b"".join(block.tobytes() for block in layout.payload)
    pointers: list[int] = []
    seen = b""
    for data in batch.packets():
        assert len(data) <= max_packet_size
        packet = decode_packet(data)
        assert (packet.flavour, packet.heap_cnt) == (flavour, cnt)
        assert packet.payload_offset == len(seen)
        assert len(packet.payload) > 0
        seen += packet.payload.tobytes()
        assert packet.heap_length == batch.body_sizes.sum()
        if repeat and pointers:
            assert packet.pointers.tolist() == pointers
        else:
            pointers += packet.pointers.tolist()
    padding = seen[len(payload) :]
    assert seen[: len(payload)] == payload
    assert not any(padding)
    null = [addressed(0, len(payload), bits)] if padding else []
    assert pointers == layout.pointers.tolist() + null


def test_cut_of_a_small_heap() -> None:
    (data,) = encode_heap(_layout(0, [], 40), wire.flavour(), 3, 1472).packets()
    assert data.tobytes() == wire.packet([addressed(0, 0)], b"\0", cnt=3)


def test_bodies_are_the_heaps_own_memory() -> None:
    layout = _layout(2, [1000, 2000], 40)
    batch = encode_heap(layout, wire.flavour(), 1, 1472)
    assert all(body is block for body, block in zip(batch.bodies, layout.payload, strict=True))


def test_a_plan_is_not_changed_by_its_use() -> None:
    layout = _layout(50, [10], 40)
    first = [packet.tobytes() for packet in encode_heap(layout, wire.flavour(), 1, 200).packets()]
    encode_heap(_layout(50, [10], 40), wire.flavour(), (1 << 40) - 1, 200).heads[:] = 0
    assert [packet.tobytes() for packet in encode_heap(layout, wire.flavour(), 1, 200).packets()] == first


@pytest.mark.parametrize("max_packet_size", [-1472, -1, 0, 7, 8, 48, 55])
def test_packets_too_small(max_packet_size: int) -> None:
    with pytest.raises(ValueError, match=r"packet size is too small: .* needs at least 56"):
        plan_packets(1, 100, 40, max_packet_size, False)


def test_smallest_packets() -> None:
    plan = plan_packets(5, 1000, 40, 63, False)
    assert plan.head_sizes.tolist()[:6] == [48] * 5 + [40]
    assert plan.body_sizes.max() == 16


def test_repeated_pointers_need_room() -> None:
    assert len(plan_packets(5, 100, 40, 96, True).head_sizes) == 7
    with pytest.raises(ValueError, match="needs at least 96"):
        plan_packets(5, 100, 40, 95, True)


@pytest.mark.parametrize("bits", wire.ADDRESS_BITS[:-1])
def test_largest_heap(bits: int) -> None:
    """Only a plan: such a heap need not exist."""
    largest = min((1 << bits) - 1, 1 << 32)
    plan = plan_packets(1, largest, bits, 1 << 30, False)
    assert int(plan.body_sizes.sum()) == largest
    if largest == (1 << bits) - 1:
        with pytest.raises(ValueError, match=f"too large for {bits}-bit addresses"):
            plan_packets(1, largest + 1, bits, 1 << 30, False)


def test_more_pointers_than_a_header_can_count() -> None:
    """The count of item pointers has 16 bits, whatever the packet size."""
    layout = _layout(70_000, [10], 40)
    packets = [packet.tobytes() for packet in encode_heap(layout, wire.flavour(), 1, 1 << 20).packets()]
    assert len(packets) == 2
    assert wire.join(packets).pointers.tolist()[:70_000] == layout.pointers.tolist()
    with pytest.raises(ValueError, match="65531"):
        encode_heap(layout, wire.flavour(), 1, 1 << 20, True)


# ---------------------------------------------------------------------------------------------------- decoding

_GOOD = wire.packet([addressed(0x1000, 0), immediate(0x1001, 5)], b"abcdefgh")


def _rejection(data: bytes) -> Rejection:
    with pytest.raises(PacketError) as caught:
        decode_packet(wire.to_bytes(data))
    assert isinstance(caught.value, ValueError)
    return caught.value.reason


def _changed(position: int, value: int) -> bytes:
    data = bytearray(_GOOD)
    data[position] = value
    return bytes(data)


BAD: list[tuple[bytes, Rejection]] = [
    (b"", Rejection.TRUNCATED),
    (_GOOD[:7], Rejection.TRUNCATED),
    (_GOOD[:8], Rejection.TRUNCATED),
    (_GOOD[:55], Rejection.TRUNCATED),
    (_changed(7, 255), Rejection.TRUNCATED),
    (_changed(0, 0x54), Rejection.MAGIC),
    (_changed(1, 5), Rejection.VERSION),
    (_changed(2, 4), Rejection.FLAVOUR),
    (_changed(3, 4), Rejection.FLAVOUR),
    (struct.pack(">BBBBHH", 0x53, 4, 8, 0, 0, 0), Rejection.FLAVOUR),
    (struct.pack(">BBBBHH", 0x53, 4, 0, 8, 0, 0), Rejection.FLAVOUR),
    (struct.pack(">BBBBHH", 0x53, 4, 255, 9, 0, 0), Rejection.FLAVOUR),
    (struct.pack(">BBBBHH", 0x53, 4, 3, 5, 0, 0), Rejection.MISSING_ITEM),
    (_changed(8, 0), Rejection.MISSING_ITEM),  # heap cnt no longer immediate
    (_changed(24, 0), Rejection.MISSING_ITEM),
    (_changed(32, 0), Rejection.MISSING_ITEM),
    (_GOOD + b"x", Rejection.SIZE_MISMATCH),
    (_GOOD[:-1], Rejection.SIZE_MISMATCH),
    (wire.packet([], b"abc", heap_length=2), Rejection.OUT_OF_BOUNDS),
    (wire.packet([], b"abc", heap_length=3, offset=1), Rejection.OUT_OF_BOUNDS),
    (wire.packet([], b"abc", bits=56, heap_length=3, offset=(1 << 56) - 1), Rejection.OUT_OF_BOUNDS),
]


@pytest.mark.parametrize(("data", "reason"), BAD)
def test_bad_packets(data: bytes, reason: Rejection) -> None:
    assert _rejection(data) == reason
    for count in (1, 100):
        decoded = decode_headers(PacketBatch.of([data] * count))
        assert decoded.reason.tolist() == [reason] * count


@pytest.mark.parametrize("count", [1, 2, 23, 24, 100])
def test_good_packets(count: int) -> None:
    stop = wire.packet([immediate(6, 2)], b"x", cnt=9, offset=3, heap_length=-1)
    decoded = decode_headers(PacketBatch.of([_GOOD, stop] * count))
    assert decoded.reason.tolist() == [0, 0] * count
    assert decoded.heap_address_bits.tolist() == [40, 40] * count
    assert decoded.header_size.tolist() == [56, 40] * count
    assert decoded.heap_cnt.tolist() == [1, 9] * count
    assert decoded.heap_length.tolist() == [8, -1] * count
    assert decoded.payload_offset.tolist() == [0, 3] * count
    assert decoded.payload_size.tolist() == [8, 1] * count
    assert decoded.stops.tolist() == [False, True] * count
    assert [None if found is None else found.tolist() for found in decoded.pointers] == [
        [addressed(0x1000, 0), immediate(0x1001, 5)],
        [immediate(6, 2)],
    ] * count


def test_reserved_bits_of_the_header_are_ignored() -> None:
    data = bytearray(_GOOD)
    data[4:6] = b"\xff\xff"
    assert decode_packet(wire.to_bytes(bytes(data))).payload.tobytes() == b"abcdefgh"


def test_items_of_every_packet_in_any_order_the_last_one_counting() -> None:
    pointers = [immediate(4, 3), immediate(3, 9), immediate(3, 1), immediate(1, 7), immediate(1, 8)]
    data = struct.pack(">BBBBHH5Q", 0x53, 4, 3, 5, 0, 5, *pointers) + b"abc"
    packet = decode_packet(wire.to_bytes(data), 2)
    assert (packet.heap_cnt, packet.heap_length, packet.payload_offset) == (8, -1, 1)
    assert packet.flavour == wire.flavour(40, 2)
    assert not len(packet.pointers)


@st.composite
def _hostile_packets(draw: st.DrawFn) -> bytes:
    """Anything from noise to a valid packet."""
    kind = draw(st.sampled_from(["noise", "valid", "changed", "cut", "built"]))
    if kind == "noise":
        return draw(st.binary(max_size=100))
    bits = draw(st.sampled_from(wire.ADDRESS_BITS))
    extra = draw(st.lists(st.integers(0, (1 << 64) - 1), max_size=4))
    payload = draw(st.binary(max_size=20))
    if kind == "built":
        items = st.builds(
            immediate, st.integers(0, 6), st.one_of(st.integers(0, 40), st.just((1 << bits) - 1)), st.just(bits)
        )
        pointers = draw(st.lists(st.one_of(items, items, items, st.integers(0, (1 << 64) - 1)), max_size=8))
        count = draw(st.sampled_from([len(pointers)] * 3 + [len(pointers) + 1]))
        return (
            struct.pack(f">BBBBHH{len(pointers)}Q", 0x53, 4, 8 - bits // 8, bits // 8, 0, count, *pointers) + payload
        )
    data = bytearray(wire.packet(extra, payload, bits=bits, heap_length=draw(st.sampled_from([-1, None, 255]))))
    if kind == "changed":
        for _ in range(draw(st.integers(1, 3))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    elif kind == "cut":
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data)


def _rows(decoded: DecodedPackets) -> list[tuple[Any, ...]]:
    """The decoded packets, each as far as it may be used."""
    table = zip(
        decoded.reason.tolist(),
        decoded.heap_address_bits.tolist(),
        decoded.header_size.tolist(),
        decoded.heap_cnt.tolist(),
        decoded.heap_length.tolist(),
        decoded.payload_offset.tolist(),
        decoded.payload_size.tolist(),
        decoded.stops.tolist(),
        [None if found is None else found.tolist() for found in decoded.pointers],
        strict=True,
    )
    return [row if row[0] == Rejection.NONE else row[:1] for row in table]


@given(st.lists(_hostile_packets(), min_size=1, max_size=6), st.data())
@example([wire.packet([], bits=8)], None)
def test_few_and_many_agree(packets: list[bytes], data: st.DataObject | None) -> None:
    """The two decoders find the same in any bytes, wherever the packets are cut into head and body."""
    few = decode_headers(PacketBatch.of(packets))
    many = decode_headers(PacketBatch.of(packets * 24))
    assert _rows(many) == _rows(few) * 24
    cuts = [data.draw(st.integers(0, len(packet))) if data else 0 for packet in packets]
    for repeat in (1, 24):
        split = _split(packets * repeat, cuts * repeat)
        assert _rows(decode_headers(split)) == _rows(few) * repeat
    for packet, row in zip(packets, _rows(few), strict=True):
        if row[0] == Rejection.NONE:
            one = decode_packet(wire.to_bytes(packet))
            assert (one.flavour.heap_address_bits, one.heap_cnt, one.heap_length) == (row[1], row[3], row[4])
            assert len(one.payload) == row[6]
            assert row[4] < 0 or row[5] + row[6] <= row[4]
        else:
            assert _rejection(packet) == row[0]


def _split(packets: list[bytes], cuts: list[int]) -> PacketBatch:
    """The packets with the first bytes of each as its head and the rest as its body."""
    heads = PacketBatch.of([packet[:cut] for packet, cut in zip(packets, cuts, strict=True)])
    bodies = PacketBatch.of([packet[cut:] for packet, cut in zip(packets, cuts, strict=True)])
    return PacketBatch(
        heads.heads, heads.head_offsets, heads.head_sizes, (bodies.heads,), bodies.head_offsets, bodies.head_sizes
    )


def test_empty_batch() -> None:
    assert not len(decode_headers(PacketBatch.of([])).reason)


def test_the_tests_reach_both_decoders() -> None:
    assert 6 < packets_module._WORTH_VECTORS <= 24  # pyright: ignore[reportPrivateUsage]


# ---------------------------------------------------------------------------------------------------- framing


def _frames(data: bytes, **options: int) -> list[tuple[int, int]]:
    offsets, sizes = frame_packets(wire.to_bytes(data), **options)
    return list(zip(offsets.tolist(), sizes.tolist(), strict=True))


@given(st.lists(_hostile_packets().filter(lambda data: _is_valid(data)), max_size=6), st.integers(1, 4))
def test_valid_packets_are_framed(packets: list[bytes], repeat: int) -> None:
    packets *= repeat
    starts = np.cumsum([0, *map(len, packets)]).tolist()
    expected = [(start, len(packet)) for start, packet in zip(starts, packets, strict=False)]
    data = b"".join(packets)
    assert _frames(data) == expected
    assert _frames(data + _GOOD[:-1]) == expected
    for limit in (0, 1, 3):
        assert _frames(data, limit=limit) == expected[:limit]
    if packets:
        assert _frames(data, start=len(packets[0])) == expected[1:]


def _is_valid(data: bytes) -> bool:
    return bool(decode_headers(PacketBatch.of([data])).reason[0] == Rejection.NONE)


@given(st.binary(max_size=300))
def test_anything_is_framed_without_gaps(data: bytes) -> None:
    end = 0
    for start, size in _frames(data):
        assert start == end
        assert size >= 8
        end += size
    assert end <= len(data)


@given(st.integers(1, 100), st.integers(0, 3))
def test_junk_is_skipped_word_by_word(words: int, plausible: int) -> None:
    junk = b"\0nothing" * words + (b"\x53\x04" + b"\xff" * 6) * plausible
    assert _frames(junk + _GOOD) == [
        *((8 * number, 8) for number in range(words + plausible)),
        (len(junk), len(_GOOD)),
    ]


def test_what_cannot_start_a_packet_that_large() -> None:
    huge = bytearray(wire.packet([], b"", heap_length=-1))
    huge[-5:] = (1 << 39).to_bytes(5, "big")
    assert _frames(bytes(huge)) == []  # the rest may come
    assert _frames(bytes(huge), max_packet_size=1 << 20)[0] == (0, 8)
    assert _frames(_GOOD * 3, max_packet_size=len(_GOOD)) == [
        (len(_GOOD) * number, len(_GOOD)) for number in range(3)
    ]


def test_packets_too_large_end_the_search() -> None:
    assert _frames(_GOOD, max_packet_size=len(_GOOD) - 1) == []
    data = wire.to_bytes(_GOOD)
    assert oversized(data, 0, len(_GOOD) - 1) == len(_GOOD)
    assert oversized(data, 0, len(_GOOD)) == 0
    assert [oversized(data[:size], 0, 50) for size in (7, 8, 39)] == [0, 0, 0]


def test_packets_alike_but_for_their_sizes() -> None:
    sizes = [10] * 40 + [11, 10, 12] + [10] * 40
    packets = [wire.packet([addressed(0x1000, 0)], bytes(size), cnt=number) for number, size in enumerate(sizes)]
    assert [size for _, size in _frames(b"".join(packets))] == [len(packet) for packet in packets]
