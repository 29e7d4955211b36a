"""Heaps that are given up because they are old, or complete because the next one starts."""

from __future__ import annotations

import logging
import weakref
from typing import Any

import numpy as np
import pytest
from spead_transport_inproc import InprocReceiver

from spead_transport import Empty, InprocQueue, ThreadPool, open_receiver, recv
from spead_transport.engine import get_engine
from spead_transport.engine.interface import HeapAssembler
from spead_transport.engine.python import PythonEngine
from spead_transport.engine.python.workers import Wait, Within, _Loop
from spead_transport.engine.selection import ENVIRONMENT_VARIABLE
from spead_transport.protocol.batch import PacketBatch
from spead_transport.recv import RingStreamConfig, StreamConfig
from spead_transport.transport import EventReadiness

from ..wire import packet


@pytest.fixture(autouse=True)
def _chosen_engine(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine of assemblers, and of streams where nothing else is said."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, engine)


def assembler(**config: Any) -> HeapAssembler:
    return get_engine().assembler(StreamConfig(**config), RingStreamConfig())


def half(cnt: int, **arguments: Any) -> bytes:
    return packet(cnt, b"x" * 8, length=16, **arguments)


def unsized(cnt: int, offset: int = 0) -> bytes:
    return packet(cnt, bytes([cnt]) * 8, offset=offset, length=None)


def test_old_heaps_are_given_up_in_their_order() -> None:
    engine = assembler(max_heap_age=2.0, max_heaps=8)
    assert engine.next_expiry == np.inf
    assert engine.add(PacketBatch.of([half(5), half(3)]), 10.0) == []
    assert engine.add(PacketBatch.of([half(4)]), 11.0) == []
    assert engine.next_expiry == 12.0
    assert engine.expire(11.999) == []
    assert [heap.cnt for heap in engine.expire(12.0)] == [5, 3]
    assert engine.next_expiry == 13.0
    assert [heap.cnt for heap in engine.expire(1e9)] == [4]
    assert engine.next_expiry == np.inf
    assert engine.stats()["incomplete_heaps_evicted"] == 3


def test_the_age_counts_from_the_first_packet() -> None:
    engine = assembler(max_heap_age=2.0)
    engine.add(PacketBatch.of([packet(1, b"x" * 8, length=24)]), 10.0)
    engine.add(PacketBatch.of([packet(1, b"x" * 8, offset=8, length=24)]), 11.5)
    assert [heap.cnt for heap in engine.expire(12.0)] == [1]


def test_a_heap_that_is_complete_does_not_age() -> None:
    engine = assembler(max_heap_age=2.0)
    engine.add(PacketBatch.of([half(1)]), 10.0)
    assert len(engine.add(PacketBatch.of([half(1, offset=8)]), 11.0)) == 1
    assert engine.expire(99.0) == []


def test_an_old_heap_without_length_is_complete() -> None:
    engine = assembler(max_heap_age=2.0)
    engine.add(PacketBatch.of([unsized(1)]), 10.0)
    (heap,) = engine.expire(12.0)
    assert isinstance(heap, recv.Heap)
    assert engine.stats()["incomplete_heaps_evicted"] == 0


def test_heaps_do_not_age_by_default() -> None:
    engine = assembler()
    engine.add(PacketBatch.of([half(1)]), 10.0)
    assert engine.next_expiry == np.inf
    assert engine.expire(1e9) == []


def test_a_stream_gives_up_old_heaps_though_nothing_more_arrives() -> None:
    queue = InprocQueue()
    config = StreamConfig(max_heap_age=0.02)
    ring = RingStreamConfig(contiguous_only=False)
    with recv.Stream(ThreadPool(), config, ring) as stream:
        stream.add_inproc_reader(queue)
        queue.add_packet(half(7))
        heap = stream.get(timeout=30)
        assert isinstance(heap, recv.IncompleteHeap)
        assert heap.cnt == 7
        queue.add_packet(packet(8, b"abcd"))
        assert stream.get(timeout=30).cnt == 8


async def test_asyncio_too() -> None:
    queue = InprocQueue()
    config = StreamConfig(max_heap_age=0.02)
    ring = RingStreamConfig(contiguous_only=False)
    async with recv.asyncio.Stream(ThreadPool(), config, ring) as stream:
        stream.add_inproc_reader(queue)
        queue.add_packet(half(7))
        assert (await stream.get()).cnt == 7


def test_a_reader_that_the_caller_drives_ages_with_each_call() -> None:
    queue = InprocQueue()
    config = StreamConfig(max_heap_age=1e-9)
    ring = RingStreamConfig(contiguous_only=False)
    with recv.Stream(ThreadPool(), config, ring) as stream:
        stream.add_reader(InprocReceiver(queue), worker=False)
        queue.add_packet(half(7))
        with pytest.raises(Empty):
            stream.get_nowait()
        assert stream.get(timeout=30).cnt == 7


def test_timers_of_a_busy_reader_do_not_pile_up() -> None:
    readiness = EventReadiness()

    class Busy:
        """Waits for a readiness that is always reported, and for a time that is always put off."""

        steps = 0

        def step(self) -> Wait | None:
            self.steps += 1
            return Within(readiness, 1000.0 + self.steps) if self.steps < 100 else None

    busy = Busy()
    reference = weakref.ref(busy)
    readiness.set()
    loop = _Loop(EventReadiness())
    loop.step(busy)
    while busy.steps < 100:
        assert len(loop._timers) == 1
        assert list(loop.wait()) == [busy]
        loop.step(busy)
    del busy
    assert reference() is None, "a timer that was given up must not keep its task alive"


def test_a_heap_without_length_is_complete_when_the_next_starts() -> None:
    engine = assembler(sequential_heaps=True)
    heaps = engine.add(PacketBatch.of([unsized(1), unsized(1, 8), unsized(2), unsized(2, 8), packet(3, b"a")]), 0.0)
    assert [heap.cnt for heap in heaps] == [1, 2, 3]
    assert all(isinstance(heap, recv.Heap) for heap in heaps)
    assert [len(heap.payload) for heap in heaps if isinstance(heap, recv.Heap)] == [16, 16, 1]
    assert engine.flush() == []
    stats = engine.stats()
    assert (stats["incomplete_heaps_evicted"], stats["incomplete_heaps_flushed"]) == (0, 0)


def test_a_heap_with_a_length_or_a_hole_is_not() -> None:
    engine = assembler(sequential_heaps=True, allow_out_of_order=True)
    assert engine.add(PacketBatch.of([half(1), unsized(2, 8), half(3)]), 0.0) == []
    assert [isinstance(heap, recv.IncompleteHeap) for heap in engine.flush()] == [True] * 3


def test_each_substream_has_its_own_sequence() -> None:
    engine = assembler(sequential_heaps=True, substreams=2)
    first = PacketBatch.of([unsized(1), unsized(2), unsized(1, 8), unsized(2, 8)])
    assert engine.add(first, 0.0) == []
    assert [heap.cnt for heap in engine.add(PacketBatch.of([unsized(3)]), 0.0)] == [1]


def test_without_the_setting_interleaved_heaps_stay_whole() -> None:
    engine = assembler()
    assert engine.add(PacketBatch.of([unsized(1), unsized(2), unsized(1, 8), unsized(2, 8)]), 0.0) == []
    assert [len(heap.payload) for heap in engine.flush() if isinstance(heap, recv.Heap)] == [16, 16]


@pytest.mark.parametrize("age", [-1.0, float("nan"), float("inf")])
def test_impossible_ages(age: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        StreamConfig(max_heap_age=age)
    with pytest.raises(TypeError, match="max_heap_age"):
        StreamConfig(max_heap_age="old")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_the_settings_in_a_url() -> None:
    with open_receiver("inproc://aging?max_heap_age=250ms&sequential_heaps=true") as stream:
        assert stream.config.max_heap_age == 0.25
        assert stream.config.sequential_heaps


def test_an_engine_that_does_not_keep_the_setting_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Simple(PythonEngine):
        name = "simple"
        receives = frozenset({"sequential_heaps"})

        def receive_runner(self, *arguments: Any, **named: Any) -> Any:
            raise AssertionError("this engine must not be used")

    simple = {None: Simple(), "python": get_engine("python")}
    monkeypatch.setattr("spead_transport.engine.selection.get_engine", simple.__getitem__)
    with caplog.at_level(logging.INFO), recv.Stream(config=StreamConfig(max_heap_age=1.0, sequential_heaps=True)):
        assert "the simple engine does not keep max_heap_age: the python engine receives" in caplog.text
