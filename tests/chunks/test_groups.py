"""Groups: streams that fill the same chunks, and wait for each other or not.

There is no comparison with spead2 here: a program that reads its statistics in a loop, to see how far streams are,
hangs now and then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from spead_transport import Empty, InprocQueue, Stopped, ThreadPool, recv
from spead_transport.engine import engine_names
from spead_transport.engine.python import PythonEngine
from spead_transport.recv import ChunkStreamConfig, ChunkStreamGroupConfig

from .common import LAYOUT, bytes_of, chunk_of, heap, present_in

Mode = ChunkStreamGroupConfig.EvictionMode


class Group:
    """Two streams with a queue each. What is sent has been taken in, or waits, when :meth:`send` returns."""

    def __init__(self, mode: Mode, *, max_chunks: int = 2, free: int = 20, size: int = 2) -> None:
        self.data, self.free = recv.ChunkRingbuffer(50), recv.ChunkRingbuffer(50)
        config = ChunkStreamGroupConfig(max_chunks=max_chunks, eviction_mode=mode)
        self.group = recv.ChunkStreamRingGroup(config, self.data, self.free)
        for _ in range(free):
            self.group.add_free_chunk(chunk_of())
        self.pool = ThreadPool(2)
        self.queues = [InprocQueue() for _ in range(size)]
        self.sent = [0] * size
        for stream_id, queue in enumerate(self.queues):
            stream_config = recv.StreamConfig(stream_id=stream_id)
            member = self.group.emplace_back(self.pool, stream_config, ChunkStreamConfig(place=LAYOUT))
            member.add_inproc_reader(queue)

    def send(self, index: int, *packets: bytes, waits: bool = False) -> None:
        stats = self.group[index].stats
        for packet in packets:
            self.queues[index].add_packet(packet)
        self.sent[index] += len(packets)
        blocked = stats["worker_blocked"]
        while self.group[index].stats["packets"] < self.sent[index]:
            if waits and self.group[index].stats["worker_blocked"] > blocked:
                return
        assert not waits, "the stream should wait"

    def settle(self, index: int) -> None:
        """Wait until what was sent has been taken in."""
        self.send(index)

    def end(self, index: int) -> None:
        self.queues[index].stop()

    def chunks(self) -> list[Any]:
        """The chunks that have come so far."""
        found: list[Any] = []
        while True:
            try:
                chunk = self.data.get_nowait()
            except (Empty, Stopped):
                return found
            found.append((chunk.chunk_id, present_in(chunk)))

    def close(self) -> None:
        self.group.stop()
        self.pool.stop()


def fixture_of(mode: Mode) -> Iterator[Group]:
    group = Group(mode)
    yield group
    group.close()
    vars(group).clear()  # pytest keeps what a fixture gave for longer than the check for leaks likes


@pytest.fixture(params=Mode)
def either(request: pytest.FixtureRequest) -> Iterator[Group]:
    yield from fixture_of(request.param)


@pytest.fixture
def lossy() -> Iterator[Group]:
    yield from fixture_of(Mode.LOSSY)


@pytest.fixture
def lossless() -> Iterator[Group]:
    yield from fixture_of(Mode.LOSSLESS)


def test_streams_fill_the_same_chunks(either: Group) -> None:
    either.send(0, heap(1, 0, 0), heap(2, 0, 2))
    either.send(1, heap(3, 0, 1), heap(4, 1, 1))
    assert either.chunks() == []
    either.end(0)
    either.end(1)
    chunks = list(either.data)
    assert [(chunk.chunk_id, chunk.stream_id) for chunk in chunks] == [(0, 0), (1, 1)]
    assert [present_in(chunk) for chunk in chunks] == [[1, 1, 1, 0], [0, 1, 0, 0]]
    assert bytes_of(chunks[0])[:3] == [1, 3, 2]


def test_a_chunk_leaves_when_all_have_passed_it(either: Group) -> None:
    either.send(0, heap(1, 0), heap(2, 1))
    either.send(1, heap(1, 0, 1), heap(2, 1, 1))
    assert either.chunks() == []
    if either.group.config.eviction_mode is Mode.LOSSY:
        either.send(0, heap(3, 2))
        assert either.chunks() == [(0, [1, 1, 0, 0])]
    else:
        either.send(0, heap(3, 2), waits=True)
        assert either.chunks() == []
    either.send(1, heap(3, 2, 1))
    either.settle(0)
    assert either.chunks() in ([(0, [1, 1, 0, 0])], [])


def test_lossy_does_not_wait(lossy: Group) -> None:
    lossy.send(0, heap(1, 0))
    lossy.send(1, heap(2, 0, 1))
    lossy.send(0, heap(3, 1), heap(4, 2))
    assert lossy.chunks() == [(0, [1, 1, 0, 0])]
    lossy.send(1, heap(5, 0, 2), heap(6, 1, 1))
    assert lossy.group[1].stats["too_old_heaps"] == 1
    lossy.end(0)
    lossy.end(1)
    assert [present_in(chunk) for chunk in lossy.data] == [[1, 1, 0, 0], [1, 0, 0, 0]]


def test_lossless_waits_for_the_slowest(lossless: Group) -> None:
    lossless.send(0, heap(1, 0))
    lossless.send(1, heap(2, 0, 1))
    lossless.send(0, heap(3, 1))
    lossless.send(0, heap(4, 2), waits=True)
    lossless.send(1, heap(5, 0, 2))
    assert lossless.chunks() == []
    lossless.send(1, heap(6, 2, 1))
    lossless.settle(0)
    assert lossless.chunks() == [(0, [1, 1, 1, 0])]
    assert [member.stats["too_old_heaps"] for member in lossless.group] == [0, 0]


def test_lossless_waits_for_a_stream_that_has_not_begun(lossless: Group) -> None:
    lossless.send(0, heap(1, 0), heap(2, 1))
    lossless.send(0, heap(3, 2), waits=True)
    lossless.send(1, heap(4, 0, 1), heap(5, 1, 1), heap(6, 2, 1))
    lossless.settle(0)
    assert lossless.chunks() == [(0, [1, 1, 0, 0])]


def test_lossless_does_not_wait_for_a_stream_that_has_ended(lossless: Group) -> None:
    lossless.send(0, heap(1, 0), heap(2, 1))
    lossless.send(0, heap(3, 2), waits=True)
    lossless.end(1)
    lossless.settle(0)
    assert lossless.chunks() == [(0, [1, 0, 0, 0])]
    lossless.end(0)
    assert [chunk.chunk_id for chunk in lossless.data] == [1, 2]


def test_a_group_may_hold_more_chunks_than_its_streams() -> None:
    for mode in Mode:
        group = Group(mode, max_chunks=4)
        group.send(0, *(heap(cnt, cnt) for cnt in range(4)))
        assert group.chunks() == []
        group.send(1, heap(9, 2, 1))
        assert group.chunks() == [(0, [1, 0, 0, 0])]
        group.send(1, heap(10, 3, 1))
        assert group.chunks() == [(1, [1, 0, 0, 0])]
        group.close()
        assert [present_in(chunk) for chunk in group.data] == [[1, 1, 0, 0], [1, 1, 0, 0]]


@pytest.mark.parametrize("mode", Mode)
def test_many_heaps(mode: Mode) -> None:
    group = Group(mode, size=4, free=3)
    try:
        for index, queue in enumerate(group.queues):
            for number in range(50):
                queue.add_packet(heap(number, number, index))
            queue.stop()
        seen: list[int] = []
        present = 0
        for chunk in group.data:
            seen.append(chunk.chunk_id)
            present += sum(present_in(chunk))
            group.group.add_free_chunk(chunk)
        assert seen == list(range(50))
        lost = sum(member.stats["too_old_heaps"] for member in group.group)
        assert present + lost == 200
        if mode is Mode.LOSSLESS:
            assert lost == 0
    finally:
        group.close()


def test_a_group_is_a_sequence(either: Group) -> None:
    group = either.group
    assert isinstance(group, Sequence)
    assert len(group) == 2
    assert group[0] is group[-2]
    assert list(group) == [group[0], group[1]]
    assert group[0:1] == [group[0]]
    assert group.index(group[1]) == 1
    assert group[0] in group
    with pytest.raises(IndexError):
        group[2]
    assert isinstance(group[0], recv.ChunkStreamGroupMember)
    assert [member.config.stream_id for member in group] == [0, 1]


def test_streams_are_added_before_the_group_begins(either: Group) -> None:
    config = ChunkStreamConfig(place=LAYOUT)
    with pytest.raises(ValueError, match="must not be larger"):
        either.group.emplace_back(either.pool, None, ChunkStreamConfig(place=LAYOUT, max_chunks=3))
    either.send(0, heap(1, 0))
    with pytest.raises(RuntimeError, match="has received"):
        either.group.emplace_back(either.pool, None, config)


def test_stopping_a_group(either: Group) -> None:
    either.send(0, heap(1, 0))
    either.group.stop()
    either.group.stop()
    assert [chunk.chunk_id for chunk in either.data] == [0]
    with pytest.raises(RuntimeError, match="stopped"):
        either.group.emplace_back(either.pool, None, ChunkStreamConfig(place=LAYOUT))


def test_a_group_without_streams_stops_its_ring() -> None:
    data, free = recv.ChunkRingbuffer(1), recv.ChunkRingbuffer(1)
    with recv.ChunkStreamRingGroup(ChunkStreamGroupConfig(), data, free) as group:
        assert not group
    with pytest.raises(Stopped):
        data.get(timeout=30)


def test_streams_of_a_group_have_one_engine(either: Group) -> None:
    class Other(PythonEngine):
        name = "other"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spead_transport.recv.chunks.receiving_engine", lambda name, config: Other())
        with pytest.raises(ValueError, match="the other engine cannot receive"):
            either.group.emplace_back(either.pool, None, ChunkStreamConfig(place=LAYOUT))
    assert len(either.group) == 2


def test_streams_of_both_engines_share_rings() -> None:
    """Each engine's streams take chunks from rings that were made by either."""
    data, free = recv.ChunkRingbuffer(1), recv.ChunkRingbuffer(4)
    config = ChunkStreamConfig(place=LAYOUT, max_chunks=1)
    streams = [recv.ChunkRingStream(None, None, config, data, free, engine=name) for name in engine_names()]
    for _ in range(2):
        free.put(chunk_of())
    for stream in streams:
        queue = InprocQueue()
        for number in range(10):
            queue.add_packet(heap(number, number))
        queue.stop()
        stream.add_inproc_reader(queue)
    seen = []
    for chunk in data:
        assert present_in(chunk) == [1, 0, 0, 0]
        assert bytes_of(chunk)[0] == chunk.chunk_id
        seen.append(chunk.chunk_id)
        free.put(chunk)
    assert sorted(seen) == sorted(list(range(10)) * len(streams))
