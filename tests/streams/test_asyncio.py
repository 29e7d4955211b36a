"""Sending and receiving with asyncio."""

from __future__ import annotations

import asyncio
import errno
import gc
import weakref
from functools import partial

import numpy as np
import pytest

from spead_transport import ClosedError, Empty, InprocQueue, Stopped, ThreadPool, TransportError, recv, send
from spead_transport.send import GroupMode, HeapReference, StreamConfig

from ..items import heap_of
from ..wire import packet

PATIENCE = 30


def sender(engine: str, queue: InprocQueue, **config: object) -> send.asyncio.InprocStream:
    settings = StreamConfig(**config)  # type: ignore[arg-type]
    return send.asyncio.InprocStream(ThreadPool(), [queue], settings, engine=engine)


async def test_a_mode_that_is_none_is_refused(engine: str) -> None:
    async with sender(engine, InprocQueue()) as stream:
        with pytest.raises(TypeError, match="not 'serial'"):
            stream.async_send_heaps([send.HeapReference(heap_of())], "serial")  # type: ignore[arg-type]


async def test_heaps_arrive_in_the_order_of_the_calls(engine: str) -> None:
    queue = InprocQueue()
    async with sender(engine, queue, max_heaps=500) as stream:
        heap = heap_of()
        futures = [stream.async_send_heap(heap) for _ in range(500)]
        done: list[int] = []
        for index, future in enumerate(futures):
            future.add_done_callback(partial(lambda index, _: done.append(index), index))
        sizes = await asyncio.gather(*futures)
        assert len(set(sizes)) == 1
        assert done == list(range(500))
    queue.stop()
    async with recv.asyncio.Stream(ThreadPool(), engine=engine) as receiver:
        receiver.add_inproc_reader(queue)
        assert [heap.cnt async for heap in receiver] == list(range(1, 501))
        with pytest.raises(Stopped):
            await receiver.get()


async def test_a_stream_of_heaps_that_have_arrived_is_iterable(engine: str) -> None:
    queue = InprocQueue()
    async with sender(engine, queue) as stream:
        assert stream.queues == [queue]
        await stream.async_send_heap(heap_of())
    queue.stop()
    async with recv.asyncio.Stream(ThreadPool(), engine=engine) as receiver:
        receiver.add_inproc_reader(queue)
        assert [heap.cnt for heap in receiver] == [1]


async def test_groups(engine: str) -> None:
    queue = InprocQueue()
    async with sender(engine, queue, max_heaps=10) as stream:
        heaps = [HeapReference(heap_of()) for _ in range(3)]
        size = await stream.async_send_heaps(heaps, GroupMode.ROUND_ROBIN)
        assert size == 3 * await stream.async_send_heap(heap_of())
        with pytest.raises(OSError, match="no heaps") as caught:
            await stream.async_send_heaps([], GroupMode.SERIAL)
        assert caught.value.errno == errno.EINVAL


async def test_a_task_that_only_sends_lets_others_run(engine: str) -> None:
    queue = InprocQueue()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    async with sender(engine, queue) as stream:
        for _ in range(20):
            await stream.async_send_heap(heap_of())
    counter.cancel()
    assert turns >= 20


async def test_more_than_max_heaps_fails_that_future(engine: str) -> None:
    queue = InprocQueue(max_bytes=2000)
    async with sender(engine, queue, max_heaps=2) as stream:
        await stream.async_send_heap(heap_of(np.zeros(1500, np.uint8)))
        waiting = [stream.async_send_heap(heap_of(np.zeros(9000, np.uint8))) for _ in range(2)]
        with pytest.raises(OSError, match="max_heaps") as caught:
            await stream.async_send_heap(heap_of())
        assert caught.value.errno == errno.EAGAIN
        async with recv.asyncio.Stream(ThreadPool(), engine=engine) as receiver:
            receiver.add_inproc_reader(queue)
            for _ in range(3):
                await asyncio.wait_for(receiver.get(), PATIENCE)
        await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)


async def test_flush_waits_for_what_was_sent(engine: str) -> None:
    queue = InprocQueue()
    async with sender(engine, queue, max_heaps=10, rate=1e6, burst_size=1000) as stream:
        futures = [stream.async_send_heap(heap_of(np.zeros(2000, np.uint8))) for _ in range(5)]
        assert not all(future.done() for future in futures)
        await asyncio.wait_for(stream.async_flush(), PATIENCE)
        assert all(future.done() for future in futures)
        futures = [stream.async_send_heap(heap_of(np.zeros(2000, np.uint8))) for _ in range(5)]
        stream.flush(timeout=PATIENCE)
        await stream.async_flush()
        await asyncio.gather(*futures)


async def test_cancelling_a_future_does_not_stop_the_heap(engine: str) -> None:
    queue = InprocQueue()
    async with sender(engine, queue, max_heaps=10, rate=1e6, burst_size=1000) as stream:
        futures = [stream.async_send_heap(heap_of(np.zeros(2000, np.uint8))) for _ in range(5)]
        for future in futures[::2]:
            future.cancel()
        await asyncio.wait_for(stream.async_flush(), PATIENCE)
    queue.stop()
    with recv.Stream(ThreadPool(), engine=engine) as receiver:
        receiver.add_inproc_reader(queue)
        assert [heap.cnt for heap in receiver] == [1, 2, 3, 4, 5]


async def test_closing_fails_what_waits(engine: str) -> None:
    queue = InprocQueue(max_bytes=2000)
    stream = sender(engine, queue)
    await stream.async_send_heap(heap_of(np.zeros(1500, np.uint8)))
    waiting = stream.async_send_heap(heap_of(np.zeros(9000, np.uint8)))
    stream.close()
    with pytest.raises(ClosedError):
        await asyncio.wait_for(waiting, PATIENCE)
    with pytest.raises(ClosedError):
        await stream.async_send_heap(heap_of())


async def test_errors_of_the_transport_reach_the_future(engine: str) -> None:
    queue = InprocQueue()
    queue.stop()
    async with sender(engine, queue) as stream:
        with pytest.raises(TransportError) as caught:
            await stream.async_send_heap(heap_of())
        assert caught.value.errno == errno.ECANCELED


async def test_a_stream_that_is_forgotten_still_sends(engine: str) -> None:
    queue = InprocQueue()
    stream = sender(engine, queue, max_heaps=10, rate=1e6, burst_size=1000)
    futures = [stream.async_send_heap(heap_of(np.zeros(2000, np.uint8))) for _ in range(5)]
    del stream
    gc.collect()
    await asyncio.wait_for(asyncio.gather(*futures), PATIENCE)


def test_a_stream_may_outlive_its_loop(engine: str) -> None:
    """The first loop is closed before it had a turn to finish the futures."""
    stream = sender(engine, InprocQueue(), max_heaps=10, rate=1e6, burst_size=1000)

    async def send() -> asyncio.Future[int]:
        for _ in range(4):
            stream.async_send_heap(heap_of(np.zeros(2000, np.uint8)))
        return stream.async_send_heap(heap_of())

    async def send_and_wait() -> None:
        await asyncio.wait_for(await send(), PATIENCE)
        await asyncio.wait_for(stream.async_flush(), PATIENCE)

    first = asyncio.new_event_loop()
    left = first.run_until_complete(send())
    stream.flush(timeout=PATIENCE)
    first.close()
    asyncio.run(send_and_wait())
    assert left.done()
    statistics = stream.statistics()
    assert (statistics.heaps_sent, statistics.heaps_waiting) == (10, 0)
    stream.close()


def test_sending_needs_a_running_loop(engine: str) -> None:
    stream = sender(engine, InprocQueue())

    async def send() -> int:
        return await stream.async_send_heap(heap_of())

    for _ in range(2):
        with pytest.raises(RuntimeError, match="no running event loop"):
            stream.async_send_heap(heap_of())
        asyncio.run(send())
    assert stream.statistics().heaps_sent == 2
    stream.close()


def test_a_stream_is_garbage_together_with_what_waited_for_it(engine: str) -> None:
    """The loop is closed before it had a turn to finish the future, whose callback refers to the stream."""
    stream = sender(engine, InprocQueue())

    async def begin(stream: send.asyncio.InprocStream) -> None:
        stream.async_send_heap(heap_of()).add_done_callback(lambda _: stream.close())

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin(stream))
    loop.close()
    garbage = weakref.ref(stream)
    del stream
    gc.collect()
    assert garbage() is None


async def test_statistics_count_what_is_sent_before_the_future_is_done(engine: str) -> None:
    async with sender(engine, InprocQueue()) as stream:
        future = stream.async_send_heap(heap_of())
        assert (stream.statistics().heaps_sent, future.done()) == (1, False)
        assert await future == stream.statistics().bytes_sent


async def test_waiting_gets_are_served_in_order(engine: str) -> None:
    queue = InprocQueue()
    async with recv.asyncio.Stream(ThreadPool(), engine=engine) as receiver:
        receiver.add_inproc_reader(queue)
        tasks = [asyncio.create_task(receiver.get()) for _ in range(10)]
        await asyncio.sleep(0)
        for cnt in range(10):
            queue.add_packet(packet(cnt, b"x"))
        heaps = await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert [heap.cnt for heap in heaps] == list(range(10))


@pytest.mark.parametrize("worker", [False, True])
async def test_a_cancelled_get_loses_no_heap(engine: str, worker: bool) -> None:
    from spead_transport_inproc import InprocReceiver

    queue = InprocQueue()
    received: list[int] = []
    async with recv.asyncio.Stream(ThreadPool(), engine=engine) as receiver:
        receiver.add_reader(InprocReceiver(queue), worker=worker)
        for cnt in range(50):
            task = asyncio.create_task(receiver.get())
            for _ in range(cnt % 4):
                await asyncio.sleep(0)
            queue.add_packet(packet(cnt, b"x"))  # arrives as the task is cancelled
            for _ in range(cnt % 3):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                received.append(task.result().cnt)
        queue.stop()
        received += [heap.cnt async for heap in receiver]
    assert received == list(range(50))


async def test_cancelled_waiters_do_not_disturb_the_end(engine: str) -> None:
    queue = InprocQueue()
    async with recv.asyncio.Stream(ThreadPool(), engine=engine) as receiver:
        receiver.add_inproc_reader(queue)
        tasks = [asyncio.create_task(receiver.get()) for _ in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[2].cancel()
        queue.stop()
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
        assert [type(result) for result in results] == [
            Stopped,
            asyncio.CancelledError,
            asyncio.CancelledError,
            Stopped,
        ]


async def test_a_task_that_only_receives_lets_others_run(engine: str) -> None:
    queue = InprocQueue()
    received = 0
    seen: set[int] = set()

    async def look() -> None:
        while True:
            seen.add(received)
            await asyncio.sleep(0)

    for cnt in range(1000):
        queue.add_packet(packet(cnt, b"x"))
    queue.stop()
    async with recv.asyncio.Stream(ThreadPool(), engine=engine) as receiver:
        receiver.add_inproc_reader(queue)
        looking = asyncio.create_task(look())
        async for heap in receiver:
            assert heap.cnt == received
            received += 1
        looking.cancel()
    assert received == 1000
    assert len(seen) > 5


def test_a_stream_may_wait_in_several_loops(engine: str) -> None:
    queue = InprocQueue()
    stream = recv.asyncio.Stream(ThreadPool(), engine=engine)
    stream.add_inproc_reader(queue)

    async def receive(cnt: int) -> None:
        waiting = asyncio.create_task(stream.get())
        await asyncio.sleep(0)
        queue.add_packet(packet(cnt, b"x"))
        assert (await asyncio.wait_for(waiting, PATIENCE)).cnt == cnt

    with asyncio.Runner() as first, asyncio.Runner() as second:
        for cnt in range(10):
            (first if cnt % 3 else second).run(receive(cnt))
    asyncio.run(receive(10))
    stream.stop()


async def test_a_stream_that_is_forgotten_stops_although_it_was_waited_for(engine: str) -> None:
    queue = InprocQueue()
    stream = recv.asyncio.Stream(ThreadPool(), engine=engine)
    stream.add_inproc_reader(queue)
    fd = stream.fd
    waiting = asyncio.create_task(stream.get())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    forgotten = weakref.ref(stream)
    del stream, waiting
    gc.collect()
    assert forgotten() is None
    loop = asyncio.get_running_loop()
    for _ in range(2):
        await asyncio.sleep(0)
    assert not loop.remove_reader(fd)


async def test_get_can_be_given_a_time_limit(engine: str) -> None:
    async with recv.asyncio.Stream(ThreadPool(), engine=engine) as receiver:
        receiver.add_inproc_reader(InprocQueue())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await receiver.get()
        with pytest.raises(Empty):
            receiver.get_nowait()


async def test_open_functions(engine: str) -> None:
    async with (
        recv.asyncio.open_receiver("udp://127.0.0.1:0", engine=engine) as receiver,
        send.asyncio.open_sender(receiver.urls[0], engine=engine) as stream,
    ):
        await stream.async_send_heap(heap_of(), 12)
        heap = await asyncio.wait_for(receiver.get(), PATIENCE)
        assert heap.cnt == 12
