"""Batches of packets: whatever blocks they are in, they hold the same packets."""

from __future__ import annotations

import array
import mmap
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport.protocol.batch import (
    Bytes,
    PacketBatch,
    as_bytes,
    scatter,
    strided_rows,
    uniform_runs,
)

from . import wire


def _contents(batch: PacketBatch) -> list[bytes]:
    return [packet.tobytes() for packet in batch.packets()]


def _offsets(values: list[int]) -> Any:
    return np.array(values, np.int64)


@st.composite
def batches(draw: st.DrawFn) -> tuple[PacketBatch, list[bytes]]:
    """A batch with heads and bodies anywhere in their blocks, bodies across block ends included."""
    heads = draw(st.binary(max_size=40))
    blocks = draw(st.lists(st.binary(max_size=20), max_size=4))
    joined = b"".join(blocks)

    def parts(size: int) -> st.SearchStrategy[tuple[int, int]]:
        return st.integers(0, size).flatmap(lambda start: st.tuples(st.just(start), st.integers(0, size - start)))

    table = draw(st.lists(st.tuples(parts(len(heads)), parts(len(joined))), max_size=10))
    batch = PacketBatch(
        wire.to_bytes(heads),
        _offsets([head[0] for head, _ in table]),
        _offsets([head[1] for head, _ in table]),
        tuple(wire.to_bytes(block) for block in blocks),
        _offsets([body[0] for _, body in table]),
        _offsets([body[1] for _, body in table]),
        destination=draw(st.integers(0, 3)),
    )
    packets = [
        heads[head_at : head_at + head_size] + joined[body_at : body_at + body_size]
        for (head_at, head_size), (body_at, body_size) in table
    ]
    return batch, packets


@given(batches())
def test_contents(made: tuple[PacketBatch, list[bytes]]) -> None:
    batch, packets = made
    assert len(batch) == len(packets)
    assert _contents(batch) == packets
    assert batch.sizes.tolist() == [len(packet) for packet in packets]
    assert batch.nbytes == sum(map(len, packets))
    assert b"".join(batch.buffers()) == b"".join(packets)


@given(batches())
def test_flatten(made: tuple[PacketBatch, list[bytes]]) -> None:
    batch, packets = made
    flat = batch.flatten()
    assert _contents(flat) == packets
    assert flat.heads.tobytes() == b"".join(packets)
    assert not flat.body_sizes.any()
    assert flat.destination == batch.destination
    assert flat.adoptable


@given(batches())
def test_copy(made: tuple[PacketBatch, list[bytes]]) -> None:
    batch, packets = made
    copy = batch.copy()
    for block in (batch.heads, *batch.bodies):
        block[:] = 0
    assert _contents(copy) == packets
    assert copy.adoptable
    assert copy.destination == batch.destination


def test_copy_of_a_small_part_leaves_the_rest() -> None:
    block = np.zeros(1 << 20, np.uint8)
    copy = PacketBatch.strided(block, 1000)[3:5].copy()
    assert len(copy.heads) + sum(map(len, copy.bodies)) == 2000


@given(st.lists(batches(), min_size=1, max_size=4))
def test_concatenate(made: list[tuple[PacketBatch, list[bytes]]]) -> None:
    joined = PacketBatch.concatenate(batch for batch, _ in made)
    assert _contents(joined) == [packet for _, packets in made for packet in packets]
    assert joined.destination == made[0][0].destination
    assert not joined.adoptable
    assert _contents(joined.flatten()) == _contents(joined)


def test_concatenate_is_adoptable_if_all_are() -> None:
    ours = PacketBatch.of([b"abc"]).copy()
    assert PacketBatch.concatenate([ours, ours.copy()]).adoptable
    assert not PacketBatch.concatenate([ours, PacketBatch.of([b"abc"])]).adoptable
    assert PacketBatch.concatenate([ours]) is ours


@given(batches(), st.data())
def test_take(made: tuple[PacketBatch, list[bytes]], data: st.DataObject) -> None:
    batch, packets = made
    index = data.draw(st.slices(len(packets)))
    assert _contents(batch[index]) == packets[index]
    rows = data.draw(st.lists(st.integers(0, len(packets) - 1), max_size=10)) if packets else []
    assert _contents(batch.take(_offsets(rows))) == [packets[row] for row in rows]
    assert _contents(batch.take(_offsets(rows)).flatten()) == [packets[row] for row in rows]


@given(st.lists(st.binary(max_size=20), max_size=10), st.integers(0, 5))
def test_of_packets(packets: list[bytes], destination: int) -> None:
    batch = PacketBatch.of(packets, destination)
    assert _contents(batch) == packets
    assert batch.destination == destination


@given(st.binary(max_size=50), st.integers(1, 60))
def test_strided(data: bytes, stride: int) -> None:
    batch = PacketBatch.strided(wire.to_bytes(data), stride)
    assert _contents(batch) == [data[start : start + stride] for start in range(0, len(data), stride)]


def test_strided_references() -> None:
    block = np.zeros(100, np.uint8)
    assert PacketBatch.strided(block, 10).heads is block


# ------------------------------------------------------------------------------------------------- as_bytes


@pytest.mark.parametrize(
    "buffer",
    [
        b"abcd",
        bytearray(b"abcd"),
        memoryview(b"xabcd")[1:],
        array.array("B", b"abcd"),
        np.frombuffer(b"abcd", ">u2"),
        np.frombuffer(b"abcd", np.uint8).reshape((2, 2)),
        np.frombuffer(b"abcd", "S4").reshape(()),
    ],
)
def test_as_bytes(buffer: Any) -> None:
    view = as_bytes(buffer)
    assert view.dtype == np.uint8
    assert view.shape == (4,)
    assert view.tobytes() == b"abcd"


def test_as_bytes_references() -> None:
    data = bytearray(b"abcd")
    as_bytes(data)[0] = ord("x")
    assert data == b"xbcd"
    with mmap.mmap(-1, 10) as memory:
        view = as_bytes(memory)
        view[3] = 7
        assert memory[3] == 7
        del view


@pytest.mark.parametrize("buffer", [b"", bytearray(), np.zeros((0, 3), ">u4"), memoryview(b"")])
def test_as_bytes_of_nothing(buffer: Any) -> None:
    assert as_bytes(buffer).shape == (0,)


@pytest.mark.parametrize("buffer", [memoryview(b"abcd")[::2], np.zeros(4, np.uint16)[::2], np.zeros((2, 3)).T])
def test_as_bytes_of_gaps(buffer: Any) -> None:
    with pytest.raises(ValueError, match="contiguous"):
        as_bytes(buffer)


# -------------------------------------------------------------------------------------------------- scattering


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), max_size=12), st.integers(0, 3))
def test_scatter(parts: list[tuple[int, int]], gap: int) -> None:
    source = np.arange(40, dtype=np.uint8)
    start, size = _offsets([part[0] for part in parts]), _offsets([part[1] for part in parts])
    at = np.cumsum(size + gap) - size
    target: Bytes = np.full(int((size + gap).sum()) + 1, 255, np.uint8)
    expected = target.copy()
    for index in range(len(parts)):
        expected[at[index] : at[index] + size[index]] = source[start[index] : start[index] + size[index]]
    scatter(target, at, source, start, size)
    np.testing.assert_array_equal(target, expected)


def test_uniform_runs() -> None:
    at, start, size = _offsets([0, 10, 20, 30, 35]), _offsets([5, 25, 45, 65, 0]), _offsets([10, 10, 10, 5, 5])
    assert list(uniform_runs(at, start, size)) == [(0, 3), (3, 4), (4, 5)]
    assert list(uniform_runs(at[:1], start[:1], size[:1])) == [(0, 1)]
    assert list(uniform_runs(at[:0], start[:0], size[:0])) == []


@pytest.mark.parametrize(
    ("start", "stride", "count", "width"), [(-1, 1, 1, 1), (0, -1, 2, 1), (0, 5, 3, 1), (0, 0, 1, 11)]
)
def test_strided_rows_stay_in_their_block(start: int, stride: int, count: int, width: int) -> None:
    block = np.zeros(10, np.uint8)
    with pytest.raises(ValueError, match="strides"):
        strided_rows(block, start, stride, count, width)
    assert strided_rows(block, 1, 4, 3, 1).shape == (3, 1)
