"""Rings of chunks, and the chunks: the same calls to this package and to spead2, and what is new here."""

from __future__ import annotations

import asyncio
import gc
import select
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spead_transport import Empty, Full, Stopped, recv
from spead_transport.engine import get_engine
from spead_transport.engine.chunks import ChunkRingCore

from ..interop.common import PACKAGES
from .common import chunk_of


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Any:
    return PACKAGES[request.param]


def polls(fd: int) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(0))


def test_chunks_go_through_in_order(package: Any) -> None:
    ring = package.recv.ChunkRingbuffer(2)
    first, second = chunk_of(package), chunk_of(package)
    assert (ring.maxsize, ring.qsize(), ring.empty(), ring.full()) == (2, 0, True, False)
    assert (polls(ring.data_fd), polls(ring.space_fd)) == (False, True)
    ring.put(first)
    assert (ring.qsize(), ring.empty(), ring.full()) == (1, False, False)
    ring.put_nowait(second)
    assert ring.full()
    assert (polls(ring.data_fd), polls(ring.space_fd)) == (True, False)
    with pytest.raises(package.Full):
        ring.put_nowait(chunk_of(package))
    assert ring.get() is first
    assert ring.get_nowait() is second
    with pytest.raises(package.Empty):
        ring.get_nowait()


def test_a_stopped_ring(package: Any) -> None:
    ring = package.recv.ChunkRingbuffer(2)
    chunk = chunk_of(package)
    ring.put(chunk)
    assert ring.stop()
    with pytest.raises(package.Stopped):
        ring.put(chunk_of(package))
    with pytest.raises(package.Stopped):
        ring.put_nowait(chunk_of(package))
    assert list(ring) == [chunk]
    for get in (ring.get, ring.get_nowait):
        with pytest.raises(package.Stopped):
            get()
    assert polls(ring.data_fd)


def test_producers_are_counted(package: Any) -> None:
    ring = package.recv.ChunkRingbuffer(2)
    ring.add_producer()
    ring.add_producer()
    assert not ring.remove_producer()
    with pytest.raises(package.Empty):
        ring.get_nowait()
    assert ring.remove_producer()
    with pytest.raises(package.Stopped):
        ring.get()


def test_a_chunk_as_it_is_made(package: Any) -> None:
    chunk = package.recv.Chunk()
    assert (chunk.chunk_id, chunk.stream_id) == (-1, 0)
    assert (chunk.data, chunk.present, chunk.extra) == (None, None, None)
    data = np.zeros((2, 3), np.complex64)
    chunk = package.recv.Chunk(chunk_id=5, stream_id=6, data=data, present=bytearray(2), extra=np.zeros(3, bool))
    assert (chunk.chunk_id, chunk.stream_id) == (5, 6)
    assert chunk.data is data
    chunk.data = None
    assert chunk.data is None


MISTAKES: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "no data": (lambda p: p.recv.ChunkRingbuffer(1).put(p.recv.Chunk()), ValueError),
    "no present": (lambda p: p.recv.ChunkRingbuffer(1).put(p.recv.Chunk(data=bytearray(1))), ValueError),
    "no chunk": (lambda p: p.recv.ChunkRingbuffer(1).put("chunk"), TypeError),
    "memory that cannot be written to": (lambda p: p.recv.Chunk(data=bytes(3)), BufferError),
    "the same for present": (lambda p: p.recv.Chunk(present=bytes(3)), BufferError),
    "positional arguments": (lambda p: p.recv.Chunk(5), TypeError),
    "a negative size": (lambda p: p.recv.ChunkRingbuffer(-1), TypeError),
    "max_chunks 0": (lambda p: p.recv.ChunkStreamConfig(max_chunks=0), ValueError),
    "negative max_chunks": (lambda p: p.recv.ChunkStreamConfig(max_chunks=-1), TypeError),
    "packets of 0 bytes": (lambda p: p.recv.ChunkStreamConfig().enable_packet_presence(0), ValueError),
    "max_chunks 0 of a group": (lambda p: p.recv.ChunkStreamGroupConfig(max_chunks=0), ValueError),
    "a number for place": (lambda p: p.recv.ChunkStreamConfig(place=5), TypeError),
    "a tuple without a capsule": (lambda p: p.recv.ChunkStreamConfig(place=(1, 2)), TypeError),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_same_exception_for_the_same_mistake(package: Any, mistake: str) -> None:
    make, error = MISTAKES[mistake]
    with pytest.raises(error):
        make(package)


def test_defaults_are_the_same(package: Any) -> None:
    config = package.recv.ChunkStreamConfig()
    assert (config.items, config.max_chunks, config.place, config.max_heap_extra) == ([], 2, None, 0)
    assert config.packet_presence_payload_size == 0
    assert config.enable_packet_presence(100) is config
    assert config.packet_presence_payload_size == 100
    config.disable_packet_presence()
    assert config.packet_presence_payload_size == 0
    group = package.recv.ChunkStreamGroupConfig()
    assert (group.max_chunks, group.eviction_mode) == (2, package.recv.ChunkStreamGroupConfig.EvictionMode.LOSSY)
    assert package.recv.ChunkStreamConfig.DEFAULT_MAX_CHUNKS == 2
    assert package.recv.ChunkStreamGroupConfig.DEFAULT_MAX_CHUNKS == 2
    group.max_chunks = 4
    group.eviction_mode = package.recv.ChunkStreamGroupConfig.EvictionMode.LOSSLESS
    assert group.max_chunks == 4


# ------------------------------------------------------------------------------------------------------ only here


def test_a_ring_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="maxsize"):
        recv.ChunkRingbuffer(0)


def test_memory_that_is_not_contiguous_is_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        recv.Chunk(data=np.zeros((4, 4), np.uint8)[:, 1])


def test_a_producer_too_many_is_no_producer() -> None:
    ring = recv.ChunkRingbuffer(1)
    assert not ring.remove_producer()
    ring.add_producer()
    assert ring.remove_producer()


def test_only_the_first_stop_counts() -> None:
    ring = recv.ChunkRingbuffer(1)
    assert ring.stop()
    assert not ring.stop()


def test_waiting_has_limits() -> None:
    ring = recv.ChunkRingbuffer(1)
    with pytest.raises(Empty, match=r"0\.01"):
        ring.get(timeout=0.01)
    ring.put(chunk_of())
    with pytest.raises(Full, match=r"0\.01"):
        ring.put(chunk_of(), timeout=0.01)


def test_waiting_ends_when_there_is_something() -> None:
    ring = recv.ChunkRingbuffer(1)
    timer = threading.Timer(0.02, ring.put, (chunk_of(),))
    timer.start()
    assert ring.get(timeout=30).chunk_id == -1
    timer.join()
    ring.put(chunk_of())
    timer = threading.Timer(0.02, ring.get)
    timer.start()
    ring.put(chunk_of(), timeout=30)
    timer.join()
    timer = threading.Timer(0.02, ring.stop)
    timer.start()
    with pytest.raises(Stopped):
        ring.put(chunk_of(), timeout=30)
    timer.join()


def test_several_threads_share_a_ring() -> None:
    ring = recv.ChunkRingbuffer(3)
    got: list[recv.Chunk] = []

    def take() -> None:
        got.extend(ring)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    chunks = [chunk_of() for _ in range(100)]
    for chunk in chunks:
        ring.put(chunk, timeout=30)
    ring.stop()
    for thread in threads:
        thread.join()
    assert sorted(map(id, got)) == sorted(map(id, chunks))
    statistics = ring.statistics()
    assert (statistics.put, statistics.taken, statistics.waiting) == (100, 100, 0)
    assert 1 <= statistics.peak <= 3


# -------------------------------------------------------------------------------------------------------- asyncio


async def test_asyncio_rings_wait(package: Any) -> None:
    ring = package.recv.asyncio.ChunkRingbuffer(1)
    chunks = [chunk_of(package) for _ in range(5)]

    async def put() -> None:
        for chunk in chunks:
            await ring.put(chunk)
        ring.stop()

    task = asyncio.create_task(put())
    assert [chunk async for chunk in ring] == chunks
    await task
    with pytest.raises(package.Stopped):
        await ring.get()


async def test_a_cancelled_call_takes_nothing() -> None:
    ring = recv.asyncio.ChunkRingbuffer(1)
    getting = asyncio.create_task(ring.get())
    await asyncio.sleep(0)
    chunk = chunk_of()
    ring.put_nowait(chunk)
    getting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await getting
    assert await ring.get() is chunk
    await ring.put(chunk)
    putting = asyncio.create_task(ring.put(chunk_of()))
    await asyncio.sleep(0)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert ring.qsize() == 1


async def test_asyncio_waiters_are_served_in_order() -> None:
    ring = recv.asyncio.ChunkRingbuffer(3)
    waiters = [asyncio.create_task(ring.get()) for _ in range(3)]
    await asyncio.sleep(0)
    chunks = [chunk_of() for _ in waiters]
    for chunk in chunks:
        ring.put_nowait(chunk)
    assert await asyncio.gather(*waiters) == chunks


class Waiting:
    """Waits for a ring that it has, as a stream does."""

    def __init__(self, ring: ChunkRingCore) -> None:
        self.ring = ring
        self.woken = 0
        self.callback = self.wake

    def wake(self) -> None:
        self.woken += 1


@pytest.mark.parametrize("wanted", ["data", "space"])
def test_a_ring_and_who_waits_for_it_are_garbage_together(engine: str, wanted: str) -> None:
    ring = get_engine(engine).chunk_ring(1)
    waiting = Waiting(ring)
    if wanted == "data":
        assert ring.request(waiting.callback) is None
    else:
        ring.put_nowait(recv.Chunk(data=np.zeros(1, np.uint8), present=np.zeros(1, np.uint8)))
        assert not ring.offer(recv.Chunk(data=np.zeros(1, np.uint8), present=np.zeros(1, np.uint8)), waiting.callback)
    garbage = weakref.ref(waiting)
    del ring, waiting
    gc.collect()
    assert garbage() is None


def test_who_waits_for_a_ring_stays_as_long_as_the_ring(engine: str) -> None:
    ring = get_engine(engine).chunk_ring(1)
    waiting = Waiting(ring)
    woken = waiting.__dict__
    assert ring.request(waiting.callback) is None
    del waiting
    gc.collect()
    ring.put_nowait(recv.Chunk(data=np.zeros(1, np.uint8), present=np.zeros(1, np.uint8)))
    assert woken["woken"] == 1
