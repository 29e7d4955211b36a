"""Packets in streams of bytes: found however they are read, whole however they are written."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport.protocol.constants import PAYLOAD_LENGTH_ID
from spead_transport.protocol.framing import frame_packets
from spead_transport.testing.packets import bytes_of, make_batch
from spead_transport.transport import PacketBatch, PacketFramer, PacketWriter, as_bytes

from ..wire import immediate, raw_packet

_SIZES = st.lists(st.integers(40, 3000), min_size=1, max_size=30)
#: How many bytes each read or write moves; 0 would be "not now".
_STEPS = st.lists(st.integers(0, 5000), max_size=60)


# ------------------------------------------------------------------------------------------------------- reading


def frame(data: bytes, steps: Sequence[int] = (), max_packet_size: int = 65536) -> list[bytes]:
    """The packets that a framer finds in `data`, read in pieces of these sizes and then in one."""
    framer = PacketFramer(max_packet_size)
    packets: list[bytes] = []
    position = 0
    for step in [*steps, len(data)]:
        while True:
            room = framer.room()
            assert len(room) > 0
            piece = data[position : position + min(step, len(room))]
            room[: len(piece)] = piece
            position += len(piece)
            packets += bytes_of(framer.packets(len(piece)))
            if step < len(data) or not piece:
                break
    return packets + bytes_of(framer.rest())


@given(sizes=_SIZES, steps=_STEPS)
def test_packets_are_found_however_they_are_read(sizes: list[int], steps: list[int]) -> None:
    sent = bytes_of(make_batch(sizes))
    assert frame(b"".join(sent), steps) == sent


@given(runs=st.lists(st.tuples(st.sampled_from([48, 60, 61]), st.integers(1, 40)), max_size=8))
def test_packets_of_equal_size_are_told_apart_from_others(runs: list[tuple[int, int]]) -> None:
    sizes = [size for size, count in runs for _ in range(count)]
    sent = bytes_of(make_batch(sizes))
    assert frame(b"".join(sent)) == sent


@pytest.mark.parametrize("count", [0, 1, 28, 29, 30, 1000])
def test_headers_of_any_length(count: int) -> None:
    others = [immediate(0x1000 + index, index) for index in range(count)]
    packet = raw_packet([*others[1:], immediate(PAYLOAD_LENGTH_ID, 20), *others[:1]], b"twenty bytes of data")
    assert frame(packet * 30) == [packet] * 30


def test_the_last_payload_length_counts() -> None:
    others = [immediate(0x1000, 0)] * 40
    for pointers in ([], others):
        packet = raw_packet([immediate(PAYLOAD_LENGTH_ID, 9), *pointers, immediate(PAYLOAD_LENGTH_ID, 4)], b"data")
        assert frame(packet) == [packet]


@pytest.mark.parametrize("num_items", [0, 1, 4, 1000, 0xFFFF])
def test_nothing_but_headers(num_items: int) -> None:
    header = struct.pack(">BBBBHH", 0x53, 4, 3, 5, 0, num_items)
    data = header * 10_000
    assert b"".join(frame(data)) == data


@given(junk=st.binary(max_size=400), steps=_STEPS)
def test_every_byte_is_handed_out(junk: bytes, steps: list[int]) -> None:
    assert b"".join(frame(junk, steps)) == junk


@given(words=st.integers(0, 300), rest=st.integers(0, 7), steps=_STEPS)
def test_packets_are_found_behind_junk(words: int, rest: int, steps: list[int]) -> None:
    sent = bytes_of(make_batch([100, 200, 300]))
    junk = [b"junkSunk"] * words + [b"\x53\4junk!"[:rest]] * (rest > 0)
    found = frame(b"".join([sent[0], *junk, sent[1], sent[2]]), steps)
    assert found == [sent[0], *junk, sent[1], sent[2]]


def test_headers_that_make_no_sense_are_junk() -> None:
    (good,) = bytes_of(make_batch([100]))
    for header in (
        struct.pack(">BBBBHH", 0x53, 4, pointer_bytes, address_bytes, 0, 4)
        for pointer_bytes in (0, 1, 3, 8, 255)
        for address_bytes in (0, 1, 5, 7, 8, 9, 255)
        if not (pointer_bytes + address_bytes == 8 and 1 <= address_bytes <= 7)
    ):
        assert frame(header + good) == [header, good]
        assert frame(b"junk" + header + good) == [b"junk" + header[:4], header[4:], good]


@pytest.mark.parametrize("cut", [1, 7, 8, 20, 48, 99])
def test_a_truncated_packet_is_handed_out_at_the_end(cut: int) -> None:
    sent = bytes_of(make_batch([100, 100]))
    assert frame(sent[0] + sent[1][:cut]) == [sent[0], sent[1][:cut]]


@given(steps=_STEPS)
def test_packets_too_large_are_skipped_with_the_packets_in_them(steps: list[int]) -> None:
    good, *inner = bytes_of(make_batch([100, 200, 300]))
    large = raw_packet([immediate(PAYLOAD_LENGTH_ID, 3000)], (b"".join(inner) * 6))
    assert frame(good + large + large + good, steps, max_packet_size=1000) == [good, large[:8], large[:8], good]
    assert frame(large[:-1], steps, max_packet_size=1000) == [large[:8]]
    assert frame(large + good, steps, max_packet_size=len(large)) == [large, good]


def test_a_claim_that_is_not_believed_is_junk() -> None:
    good = bytes_of(make_batch([100]))[0]
    claim = raw_packet([immediate(PAYLOAD_LENGTH_ID, 1 << 39)])
    many_items = struct.pack(">BBBBHH", 0x53, 4, 3, 5, 0, 0xFFFF)
    for junk in (claim, many_items):
        assert frame(junk + good, max_packet_size=1000)[-1] == good
    (large,) = bytes_of(make_batch([1001]))
    assert frame(large, max_packet_size=1001) == [large]
    assert large not in frame(large, max_packet_size=1000)


def test_the_memory_is_used_again() -> None:
    framer = PacketFramer(1000)
    (packet,) = bytes_of(make_batch([1000]))
    for _ in range(10_000):
        room = framer.room()
        room[:999] = packet[:999]
        assert not len(framer.packets(999))
        room = framer.room()
        room[:1] = packet[999:]
        assert bytes_of(framer.packets(1)) == [packet]


@given(sizes=_SIZES, limit=st.integers(1, 40))
def test_framing_is_limited(sizes: list[int], limit: int) -> None:
    data = as_bytes(b"".join(bytes_of(make_batch(sizes))) + b"junkjunk" * 20)
    offsets, found = frame_packets(data, limit=limit)
    assert found.tolist() == (sizes + [8] * 20)[:limit]
    assert offsets.tolist() == np.cumsum([0, *found])[:-1].tolist()


# ------------------------------------------------------------------------------------------------------- writing


class Sink:
    """Takes as many bytes as it is told to; ``None`` is a failure."""

    def __init__(self, takes: Sequence[int | None]) -> None:
        self.takes = list(takes)
        self.data = bytearray()

    def write(self, buffers: list[memoryview]) -> int:
        assert 0 < len(buffers) <= 1024
        take = self.takes.pop(0) if self.takes else 1 << 40
        if take is None:
            raise BrokenPipeError
        if not take:
            raise BlockingIOError
        taken = b"".join(buffers)[:take]
        self.data += taken
        return len(taken)


def write_all(writer: PacketWriter, batch: PacketBatch) -> None:
    while len(batch):
        batch = batch[writer.send(batch) :]


def _plain(batch: PacketBatch) -> PacketBatch:
    return batch


def _flat(batch: PacketBatch) -> PacketBatch:
    return batch.flatten()


def _shredded(batch: PacketBatch) -> PacketBatch:
    (body,) = batch.bodies
    return attrs.evolve(batch, bodies=tuple(np.array_split(body, 3000)))


@pytest.mark.parametrize("layout", [_plain, _flat, _shredded])
@given(sizes=_SIZES, takes=_STEPS)
def test_packets_are_written_in_whole(
    layout: Callable[[PacketBatch], PacketBatch], sizes: list[int], takes: list[int]
) -> None:
    batch = make_batch(sizes)
    sink = Sink(takes)
    write_all(PacketWriter(sink.write), layout(batch))
    assert bytes(sink.data) == b"".join(bytes_of(batch))


def test_large_batches_and_large_packets_are_written_in_whole() -> None:
    for sizes in ([60] * 20_000, [1472] * 1000, [3 << 20, 60, 1 << 20]):
        batch = make_batch(sizes)
        sink = Sink([100_001, 0, 77, 1 << 19, 1])
        write_all(PacketWriter(sink.write), batch)
        assert bytes(sink.data) == b"".join(bytes_of(batch))


def test_a_packet_that_was_partly_written_is_not_taken() -> None:
    batch = make_batch([100, 100, 100])
    sink = Sink([150, 0, 49, 1, 0])
    writer = PacketWriter(sink.write)
    assert writer.send(batch) == 1
    assert writer.send(batch[1:]) == 0
    assert writer.send(batch[1:]) == 0
    assert writer.send(batch[1:]) == 1  # the last byte, and then no room
    assert writer.send(batch[2:]) == 1
    assert bytes(sink.data) == b"".join(bytes_of(batch))


def test_a_packet_that_was_given_up_is_finished_all_the_same() -> None:
    first, second = make_batch([100, 100]), make_batch([90, 90], first_cnt=7)
    sink = Sink([150])
    writer = PacketWriter(sink.write)
    assert writer.send(first) == 1
    assert writer.send(second) == 2
    assert frame(bytes(sink.data)) == [*bytes_of(first), *bytes_of(second)]


def test_the_senders_memory_is_not_kept() -> None:
    batch = make_batch([100, 100])
    expected = bytes_of(batch)
    lent = attrs.evolve(batch, heads=batch.heads.copy(), bodies=(batch.bodies[0].copy(),))
    sink = Sink([150])
    writer = PacketWriter(sink.write)
    assert writer.send(lent) == 1
    for memory in (lent.heads, *lent.bodies):
        memory[:] = 0
    assert writer.send(batch[1:]) == 1
    assert frame(bytes(sink.data)) == expected


def test_empty_packets_need_no_writing() -> None:
    sink = Sink([0])
    writer = PacketWriter(sink.write)
    batch = PacketBatch.of([b"", b"x" * 50, b""])
    assert writer.send(batch) == 1
    assert writer.send(batch[1:]) == 2
    assert bytes(sink.data) == b"x" * 50


def test_a_failure_after_some_packets_is_raised_by_the_next_call() -> None:
    batch = make_batch([3000] * 200)
    writer = PacketWriter(Sink([1 << 40, None]).write)
    taken = writer.send(batch)
    assert 0 < taken < len(batch)
    for _ in range(2):
        with pytest.raises(BrokenPipeError):
            writer.send(batch[taken:])


def test_a_failure_at_the_first_packet_is_raised_at_once() -> None:
    with pytest.raises(BrokenPipeError):
        PacketWriter(Sink([None]).write).send(make_batch([100]))
