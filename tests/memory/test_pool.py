"""The pool: limits, what comes back and when, refilling in the background, counting."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from spead_transport import InprocQueue, MemoryAllocator, MemoryPool, ThreadPool, recv
from spead_transport.transport import BufferLike

from ..interop.common import PACKAGES
from ..wire import addressed, packet


class Counting(MemoryAllocator):
    """Ordinary memory, and how much of it was asked for."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.called = threading.Condition()

    def allocate(self, size: int) -> BufferLike:
        with self.called:
            self.sizes.append(size)
            self.called.notify_all()
        return bytearray(size)

    def wait_for(self, count: int) -> None:
        with self.called:
            assert self.called.wait_for(lambda: len(self.sizes) >= count, 30)


def test_initial_blocks_are_made_at_once() -> None:
    allocator = Counting()
    pool = MemoryPool(10, 100, 5, 3, allocator)
    assert allocator.sizes == [100] * 3
    assert (pool.statistics().free, pool.statistics().made) == (3, 3)


def test_memory_is_used_again() -> None:
    pool = MemoryPool(10, 100, 5, 1)
    first = pool.allocate(50)
    assert len(first) == 50
    address = first.ctypes.data
    del first
    assert pool.allocate(100).ctypes.data == address


def test_a_view_keeps_the_memory_out_of_the_pool() -> None:
    pool = MemoryPool(10, 100, 5, 1)
    memory = pool.allocate(96)
    view = memory[:80].view(np.uint32).reshape(4, 5)[1:, 2]
    del memory
    assert pool.statistics().lent == 1
    del view
    assert (pool.statistics().lent, pool.statistics().free) == (0, 1)


def test_memory_in_a_reference_cycle_comes_back() -> None:
    pool = MemoryPool(10, 100, 5, 1)
    cycle: list[Any] = [pool.allocate(10)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert pool.statistics().free == 1


def test_no_more_than_max_free_blocks_are_kept() -> None:
    pool = MemoryPool(10, 100, 2, 0)
    pool.warn_on_empty = False
    lent = [pool.allocate(20) for _ in range(5)]
    lent.clear()
    statistics = pool.statistics()
    assert (statistics.free, statistics.released, statistics.made_when_empty, statistics.peak_lent) == (2, 3, 5, 5)
    assert statistics.made == statistics.free + statistics.lent + statistics.released


@pytest.mark.parametrize("size", [0, 9, 101, 5000])
def test_other_sizes_go_to_the_allocator(size: int) -> None:
    allocator = Counting()
    pool = MemoryPool(10, 100, 5, 0, allocator)
    assert len(pool.allocate(size)) == size
    assert allocator.sizes == [size]
    assert pool.statistics().requests_out_of_range == 1
    assert pool.statistics().requests == 0


def test_limits_are_included() -> None:
    pool = MemoryPool(10, 100, 5, 2)
    kept = [pool.allocate(10), pool.allocate(100)]
    assert pool.statistics().lent == len(kept)


def test_an_empty_pool_warns_unless_told_not_to(caplog: pytest.LogCaptureFixture) -> None:
    pool = MemoryPool(10, 100, 5, 0)
    assert pool.warn_on_empty
    pool.warn_on_empty = False
    kept = [pool.allocate(10)]
    assert not caplog.records
    pool.warn_on_empty = True
    kept += [pool.allocate(10), pool.allocate(10)]
    assert len(caplog.records) == 1, "whoever sends must not be able to flood the log"
    assert caplog.records[0].levelno == logging.WARNING
    assert "is empty" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((10, 5, 3, 1), ValueError, "lower=10 must not be larger than upper=5"),
        ((0, 0, 3, 1), ValueError, "upper"),
        ((1, 10, 3, 4), ValueError, "initial=4"),
        ((-1, 10, 3, 1), TypeError, "lower"),
        ((1, 10, -3, 1), TypeError, "max_free"),
        ((1, 10, 3.5, 1), TypeError, "max_free"),
        ((1, 10, 3, 1, "heap"), TypeError, "allocator"),
        ((ThreadPool(), 1, 10, 3, 1, 4), ValueError, "low_water=4"),
        ((ThreadPool(), 1, 10, 3, 1), TypeError, "low_water"),
    ],
)
def test_arguments_are_checked(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MemoryPool(*arguments)


def test_arguments_may_be_named() -> None:
    assert MemoryPool(lower=1, upper=10, max_free=3, initial=1, allocator=None).statistics().free == 1
    with ThreadPool() as threads:
        pool = MemoryPool(thread_pool=threads, lower=1, upper=10, max_free=3, initial=1, low_water=1)
        assert pool.statistics().free == 1
    with pytest.raises(TypeError, match="thread_pool"):
        MemoryPool(thread_pool=None, lower=1, upper=10, max_free=3, initial=1, low_water=1)  # type: ignore[call-overload]  # pyright: ignore


def test_the_pool_is_refilled_in_the_background() -> None:
    allocator = Counting()
    with ThreadPool() as threads:
        pool = MemoryPool(threads, 10, 100, 5, 2, 2, allocator)
        kept = [pool.allocate(50)]
        allocator.wait_for(3)
        kept.append(pool.allocate(50))
        allocator.wait_for(4)
    statistics = pool.statistics()
    assert statistics.made_when_empty == 0
    assert statistics.made == statistics.free + statistics.lent + statistics.released
    assert statistics.made_in_background == 2
    assert len(kept) == 2


def test_refilling_stops_at_low_water() -> None:
    allocator = Counting()
    with ThreadPool() as threads:
        pool = MemoryPool(threads, 10, 100, 9, 0, 3, allocator)
        pool.warn_on_empty = False
        kept = pool.allocate(50)
        allocator.wait_for(4)
    assert len(allocator.sizes) == 4
    assert pool.statistics().free == 3
    assert len(kept) == 50


class Exhausted(Counting):
    """Has memory for one block."""

    def allocate(self, size: int) -> BufferLike:
        memory = super().allocate(size)
        if len(self.sizes) > 1:
            raise MemoryError("all memory is gone")
        return memory


def test_a_refill_without_memory_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    allocator = Exhausted()
    with ThreadPool() as threads:
        pool = MemoryPool(threads, 10, 100, 5, 1, 1, allocator)
        memory = pool.allocate(10)
        allocator.wait_for(2)
    assert "all memory is gone" in caplog.text
    with pytest.raises(MemoryError):
        pool.allocate(10)
    assert len(memory) == 10


def test_a_stopped_thread_pool_is_refused() -> None:
    threads = ThreadPool()
    threads.stop()
    with pytest.raises(RuntimeError, match="stopped"):
        MemoryPool(threads, 10, 100, 5, 1, 1)


def test_memory_may_outlive_the_pool() -> None:
    memory = MemoryPool(10, 100, 5, 1).allocate(10)
    gc.collect()
    memory[:] = 7
    assert memory.tolist() == [7] * 10


def test_threads_share_a_pool() -> None:
    pool = MemoryPool(1, 100, 4, 4)
    pool.warn_on_empty = False

    def use() -> None:
        for number in range(500):
            memory = pool.allocate(64)
            memory[:] = number & 0xFF
            assert (memory == number & 0xFF).all()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statistics = pool.statistics()
    assert statistics.requests == 2000
    assert statistics.lent == 0
    assert statistics.free <= 4
    assert statistics.made == statistics.free + statistics.released


def payload_of(heap: recv.Heap | recv.IncompleteHeap) -> bytes:
    assert isinstance(heap, recv.Heap)
    return heap.payload.tobytes()


def test_heaps_take_their_memory_from_the_pool_and_give_it_back(engine: str) -> None:
    pool = MemoryPool(1, 1000, 3, 3)
    queue = InprocQueue()
    for cnt in range(20):
        queue.add_packet(packet(cnt, bytes([cnt]) * 500))
    queue.stop()
    config = recv.StreamConfig(memory_allocator=pool)
    ring = recv.RingStreamConfig(heaps=1)
    with recv.Stream(ThreadPool(), config, ring, engine=engine) as stream:
        stream.add_inproc_reader(queue)
        for cnt in range(20):
            assert payload_of(stream.get(timeout=30)) == bytes([cnt]) * 500
    del stream
    gc.collect()
    statistics = pool.statistics()
    assert statistics.requests == 20
    assert statistics.lent == 0


def test_the_interpreter_ends_while_memory_is_lent() -> None:
    code = (
        "import spead_transport as st\n"
        "threads = st.ThreadPool()\n"
        "pool = st.MemoryPool(threads, 1, 100, 5, 1, 3)\n"
        "lent = [pool.allocate(10), pool.allocate(10)]\n"
        "threads = None\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Exception" not in done.stderr


@pytest.mark.parametrize(
    ("name", "in_background"),
    [("ours", False), ("spead2", False), ("ours", True)],  # spead2 refuses the thread pool that its manual asks for
)
def test_the_classic_arguments(name: str, in_background: bool) -> None:
    package = PACKAGES[name]
    threads = package.ThreadPool()
    allocator = package.MmapAllocator(0, True)
    pool = (
        package.MemoryPool(threads, 100, 1000, 4, 2, 1, allocator)
        if in_background
        else package.MemoryPool(100, 1000, 4, 2, allocator=allocator)
    )
    assert pool.warn_on_empty
    pool.warn_on_empty = False
    config = package.recv.StreamConfig(memory_allocator=pool)
    stream = package.recv.Stream(threads, config, package.recv.RingStreamConfig(heaps=10))
    stream.add_buffer_reader(b"".join(packet(cnt, bytes([cnt]) * 500, [addressed(0x1000, 0)]) for cnt in range(8)))
    received = [bytes(heap.get_items()[0]) for heap in stream]
    assert received == [bytes([cnt]) * 500 for cnt in range(8)]
    stream.stop()
    threads.stop()
