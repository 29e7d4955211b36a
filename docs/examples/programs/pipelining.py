"""Prepare heaps while others are on their way, with asyncio: a few are in flight, each with memory of its own."""

import asyncio
from collections import deque

import numpy as np

import spead_transport as spead2
import spead_transport.recv.asyncio
import spead_transport.send.asyncio

SAMPLES = 10_000
HEAPS = 12
IN_FLIGHT = 2


def samples(heap: int, out: "np.ndarray[tuple[int], np.dtype[np.int32]]") -> None:
    """Do the work that takes time, into memory that no heap on its way uses."""
    np.multiply(np.arange(SAMPLES, dtype=np.int32), heap, out=out)


async def send(queue: spead2.InprocQueue, thread_pool: spead2.ThreadPool) -> int:
    config = spead2.send.StreamConfig(rate=0.0, max_heaps=IN_FLIGHT)
    stream = spead2.send.asyncio.InprocStream(thread_pool, [queue], config)
    group = spead2.send.ItemGroup()
    group.add_item(0x1000, "heap", "Number of the heap", (), format=[("u", 48)])
    group.add_item(0x1001, "samples", "What was computed", (SAMPLES,), dtype=np.int32)
    buffers = [np.zeros(SAMPLES, np.int32) for _ in range(IN_FLIGHT)]
    in_flight: deque[asyncio.Future[int]] = deque()
    nbytes = 0
    for heap in range(HEAPS):
        if len(in_flight) == IN_FLIGHT:
            nbytes += await in_flight.popleft()  # its buffer is free now
        buffer = buffers[heap % IN_FLIGHT]
        await asyncio.to_thread(samples, heap, buffer)
        group["heap"].value = heap
        group["samples"].value = buffer
        in_flight.append(stream.async_send_heap(group.get_heap()))
    nbytes += sum(await asyncio.gather(*in_flight))
    nbytes += await stream.async_send_heap(group.get_end())
    queue.stop()
    return nbytes


async def receive(queue: spead2.InprocQueue, thread_pool: spead2.ThreadPool) -> None:
    stream = spead2.recv.asyncio.Stream(thread_pool)
    stream.add_inproc_reader(queue)
    group = spead2.ItemGroup()
    async for heap in stream:
        assert isinstance(heap, spead2.recv.Heap)
        updated = group.update(heap)
        print(f"heap {updated['heap'].value}: sum {updated['samples'].value.sum(dtype=np.int64)}")


async def main() -> None:
    queue, thread_pool = spead2.InprocQueue(), spead2.ThreadPool()
    nbytes, _ = await asyncio.gather(send(queue, thread_pool), receive(queue, thread_pool))
    print(f"{nbytes} bytes sent")


if __name__ == "__main__":
    asyncio.run(main())
