"""The ways to say where heaps go, and what happens when they say nonsense."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy

from spead_transport import recv
from spead_transport.recv import ChunkLayout, ChunkStreamConfig, HeapsToPlace, StreamStatConfig

from ..wire import immediate, packet
from .common import (
    CHUNK,
    HEAP_SIZE,
    INDEX,
    LAYOUT,
    PLACE,
    Circuit,
    bytes_of,
    chunk_of,
    heap,
    placed_by,
    present_in,
    receive,
)

PACKETS = [heap(cnt, cnt // 4, cnt % 4) for cnt in range(10)]


def vectorised(heaps: HeapsToPlace) -> None:
    heaps.chunk_id[:] = heaps.items[:, 0]
    heaps.heap_index[:] = heaps.items[:, 1]
    heaps.heap_offset[:] = heaps.heap_index * HEAP_SIZE


class Settings(ctypes.Structure):
    """The user data of the compiled callback."""

    _fields_ = (("heap_size", ctypes.c_uint64), ("calls", ctypes.c_uint64))


def check(place: Any) -> None:
    chunks, stats = receive(PACKETS, place)
    assert [chunk.chunk_id for chunk in chunks] == [0, 1, 2]
    assert [present_in(chunk) for chunk in chunks] == [[1] * 4, [1] * 4, [1, 1, 0, 0]]
    assert [bytes_of(chunk) for chunk in chunks] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0xEE, 0xEE]]
    assert stats["heaps"] == 10


@pytest.mark.parametrize(
    "place",
    [LAYOUT, vectorised, PLACE, scipy.LowLevelCallable(PLACE, signature="void (void *, size_t)")],
    ids=["layout", "vectorised", "ctypes", "LowLevelCallable"],
)
def test_all_ways_lead_to_the_same_chunks(place: Any) -> None:
    check(place)


def test_compiled_code(library: ctypes.CDLL) -> None:
    check(scipy.LowLevelCallable(library.place, signature="void (void *, size_t)"))


def test_compiled_code_with_user_data(library: ctypes.CDLL) -> None:
    settings = Settings(heap_size=HEAP_SIZE)
    user_data = ctypes.cast(ctypes.pointer(settings), ctypes.c_void_p)
    signature = "void (void *, size_t, void *)"
    check(scipy.LowLevelCallable(library.place_with_settings, user_data=user_data, signature=signature))
    assert settings.calls == 10


def test_a_tuple_with_the_capsule(library: ctypes.CDLL) -> None:
    callable_ = scipy.LowLevelCallable(library.place, signature="void (void *, size_t)")
    check((tuple.__getitem__(callable_, 0), callable_))


def wrong_type() -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda address: 0)


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        (3, TypeError, "ChunkLayout"),
        ((), TypeError, "capsule"),
        ((1, 2), TypeError, "capsule"),
        (wrong_type(), ValueError, "argtypes"),
        (scipy.LowLevelCallable(wrong_type(), signature="int (void *)"), ValueError, "signature 'int"),
    ],
)
def test_what_cannot_be_a_placement(place: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ChunkStreamConfig(place=place)
    config = ChunkStreamConfig()
    with pytest.raises(error, match=message):
        config.place = place
    assert config.place is None


def test_a_placement_is_needed() -> None:
    ring = recv.ChunkRingbuffer(1)
    with pytest.raises(ValueError, match="place is not set"):
        recv.ChunkRingStream(None, None, ChunkStreamConfig(), ring, ring)
    assert not ring.remove_producer(), "a stream that does not come into being is no producer"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("heap_offset", 49),
        ("heap_offset", 2**63 + 5),
        ("heap_index", 4),
        ("heap_index", 2**64 - 1),
        ("extra_size", 9),
        ("extra_offset", 57),
        ("extra_offset", 2**64 - 4),
    ],
)
def test_a_heap_that_is_placed_outside_is_counted_and_touches_nothing(
    field: str, value: int, caplog: pytest.LogCaptureFixture
) -> None:
    def place(data: Any) -> None:
        data.chunk_id = data.items[0]
        data.extra_size = 8
        setattr(data, field, value)

    block = np.full(3 * 64, 0xEE, np.uint8)
    present, extra = np.full(12, 9, np.uint8), np.full(3 * 64, 0xEE, np.uint8)

    def chunk() -> recv.Chunk:
        return recv.Chunk(data=block[64:128], present=present[4:8], extra=extra[64:128])

    chunks, stats = receive([heap(1, 0)], placed_by(place), free=1, chunk=chunk, max_heap_extra=8, max_chunks=1)
    assert (stats["misplaced_heaps"], stats["heaps"]) == (1, 1)
    assert [chunk.chunk_id for chunk in chunks] == [0]
    assert block.tolist() == [0xEE] * len(block)
    assert extra.tolist() == [0xEE] * len(extra)
    assert present.tolist() == [9] * 4 + [0] * 4 + [9] * 4
    assert "outside its chunk" in caplog.text


@pytest.mark.parametrize("index", [-1, 3, 1 << 62])
def test_packets_must_be_inside_too(index: int) -> None:
    layout = ChunkLayout(items={"chunk": CHUNK}, chunk_id="chunk", heap_index=str(index), heap_offset="0")
    _, stats = receive([heap(1, 0, size=8), heap(1, 0, size=8, offset=8)], layout, presence=8)
    assert stats["misplaced_heaps"] == 1


def test_an_empty_packet_behind_a_heap_is_not_present() -> None:
    packets = [heap(1, 0, 0, size=8), heap(1, 0, 0, size=0, offset=16), heap(1, 0, 0, size=8, offset=8)]
    layout = ChunkLayout(items={"chunk": CHUNK}, chunk_id="chunk", heap_index="2", heap_offset="0")
    chunks, _ = receive(packets, layout, presence=8, allow_out_of_order=True)
    assert present_in(chunks[-1]) == [0, 0, 1, 1]


def test_a_function_that_raises_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def place(heaps: HeapsToPlace) -> None:
        raise ZeroDivisionError("no place")

    chunks, stats = receive(PACKETS, place)
    assert chunks == []
    assert (stats["misplaced_heaps"], stats["heaps"], stats["packets"]) == (10, 10, 10)
    assert "ZeroDivisionError: no place" in caplog.text


def test_heaps_that_are_not_placed_are_rejected() -> None:
    chunks, stats = receive(PACKETS, lambda heaps: None)
    assert chunks == []
    assert stats["rejected_heaps"] == 10


def test_what_a_placement_is_told() -> None:
    seen: list[Any] = []

    def place(heaps: HeapsToPlace) -> None:
        vectorised(heaps)
        seen.append((len(heaps), heaps.items.tolist(), [bytes(packet) for packet in heaps.packets]))

    packets = [heap(5, 0, 1, size=8), heap(6, 0, 2), heap(5, 0, 1, size=8, offset=8), heap(7, None)]
    receive(packets, place, items=[CHUNK, INDEX, 1, 2, 3, 4, 0x7777])
    assert [row for _, rows, _ in seen for row in rows] == [
        [0, 1, 5, 16, 0, 8, -1],
        [0, 2, 6, 16, 0, 16, -1],
        [-1, -1, 7, 16, 0, 16, -1],
    ]
    assert [packet for _, _, found in seen for packet in found] == [packets[0], packets[1], packets[3]]


@pytest.mark.parametrize("bits", [8, 24, 40, 48, 56])
def test_items_of_any_flavour(bits: int) -> None:
    seen: list[list[int]] = []
    words = [immediate(0x41, 200, bits), 0x42 << bits | 3]
    receive(
        [packet(3, b"abcd", words, bits=bits)],
        lambda heaps: seen.extend(heaps.items.tolist()),
        items=[0x41, 0x42, 1],
    )
    assert seen == [[200, -1, 3]], "an item in the payload has no immediate value"


def test_extra_data() -> None:
    def place(heaps: HeapsToPlace) -> None:
        vectorised(heaps)
        heaps.extra[:, :2] = heaps.items[:, 1:] * 16
        heaps.extra_offset[:] = heaps.heap_index * 2
        heaps.extra_size[:] = 2

    chunks, _ = receive(
        PACKETS[:3], place, max_heap_extra=4, chunk=lambda: chunk_of(extra=np.full(8, 0xEE, np.uint8)), max_chunks=1
    )
    assert np.asarray(chunks[0].extra).tolist() == [0, 0, 16, 16, 32, 32, 0xEE, 0xEE]


def test_extra_data_of_compiled_code() -> None:
    def place(data: Any) -> None:
        data.chunk_id = data.items[0]
        data.extra[0], data.extra[1] = 1, 2
        data.extra_offset, data.extra_size = 3, 2

    chunks, _ = receive(
        [heap(1, 0)], placed_by(place), max_heap_extra=2, chunk=lambda: chunk_of(extra=bytearray(5)), max_chunks=1
    )
    assert bytes(chunks[0].extra) == b"\0\0\0\1\2"


def test_extra_data_without_memory_for_it() -> None:
    def place(heaps: HeapsToPlace) -> None:
        vectorised(heaps)
        heaps.extra_size[:] = 1

    _, stats = receive([heap(1, 0)], place, max_heap_extra=4)
    assert stats["misplaced_heaps"] == 1


def statistics(place: Callable[[recv.StreamConfig], Any]) -> recv.StreamStats:
    config = recv.StreamConfig()
    config.add_stat("bytes")
    config.add_stat("largest", StreamStatConfig.Mode.MAXIMUM)
    return receive(PACKETS, place(config), config=config)[1]


def test_statistics_of_the_users_own() -> None:
    def make(config: recv.StreamConfig) -> Any:
        first, second = config.get_stat_index("bytes"), config.get_stat_index("largest")

        def place(heaps: HeapsToPlace) -> None:
            vectorised(heaps)
            heaps.batch_stats[first] += HEAP_SIZE * len(heaps)
            heaps.batch_stats[second] = max(heaps.items[:, 0])
            heaps.batch_stats[:first] = 1000  # those of the core are its own

        return place

    stats = statistics(make)
    assert (stats["bytes"], stats["largest"]) == (160, 2)
    assert (stats["heaps"], stats["too_old_heaps"]) == (10, 0)


def test_statistics_of_compiled_code() -> None:
    def make(config: recv.StreamConfig) -> Any:
        index = config.get_stat_index("bytes")

        def place(data: Any) -> None:
            data.batch_stats[index] += HEAP_SIZE

        return placed_by(place)

    assert statistics(make)["bytes"] == 160


def test_the_indices_of_statistics() -> None:
    config = recv.StreamConfig()
    index = config.add_stat("mine")
    with Circuit(config=config) as circuit:
        names = [stat.name for stat in circuit.stream.config.stats]
        assert names[index : index + 3] == ["mine", "too_old_heaps", "rejected_heaps"]
        assert circuit.stream.stats.config[index + 1].name == "too_old_heaps"
    assert [stat.name for stat in config.stats][-1] == "mine", "the stream takes a copy"
