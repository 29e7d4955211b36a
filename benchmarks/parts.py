"""Parts of the way of a heap: one end alone, one heap at a time, its items."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Final

import numpy as np

from .library import Library, Theirs, ring_for
from .operation import Operation
from .streams import patiently

__all__ = ["asynchronous_latency", "items", "latency", "outstanding", "packets_of", "receive_only", "send_only"]

_JUMBO: Final = 8972
_ETHERNET: Final = 1472
_KIB: Final = 1024
_HELD: Final = 32 << 20  #: bytes of packets in memory
_RING: Final = 1024  #: heaps that may wait for the user, if they are small
_MOST_HELD: Final = 1 << 14  #: heaps whose packets are in memory


# ------------------------------------------------------------------------------------------------- one end alone


@contextmanager
def send_only(library: Library, *, heap_size: int, packet_size: int) -> Iterator[Operation]:
    """Heaps to packets, into memory. A new stream now and then: what was sent stays in memory."""
    heap = library.heap(heap_size)
    thread_pool = library.module.ThreadPool()
    config = library.send_config(packet_size)
    held = _HELD // heap_size

    def run(heaps: int) -> None:
        for _ in range(heaps // held):
            sender = library.module.send.BytesStream(thread_pool, config)
            for _ in range(held):
                sender.send_heap(heap)
            sender.getvalue()

    yield Operation(run, step=held)


@contextmanager
def receive_only(library: Library, *, heap_size: int, packet_size: int, interleaved: int = 1) -> Iterator[Operation]:
    """Packets that lie in memory to heaps, so many of which are incomplete at a time."""
    held = max(interleaved, min(_MOST_HELD, _HELD // heap_size))
    packets = packets_of(library, heap_size, packet_size, held, interleaved)
    ring = max(ring_for(heap_size), min(_RING, _HELD // heap_size // 2))
    config = library.receive_config(heap_size, ring, max_heaps=max(4, interleaved))

    def run(heaps: int) -> None:
        for _ in range(heaps // held):
            receiver = library.receiver(config, ring)
            with patiently(receiver):
                receiver.add_buffer_reader(packets)
                arrived = sum(1 for _ in receiver)
            if arrived != held:
                raise RuntimeError(f"{arrived} of {held} heaps were received")

    yield Operation(run, step=held)


def packets_of(library: Library, heap_size: int, packet_size: int, heaps: int, interleaved: int) -> bytes:
    """The packets of heaps, those of so many heaps by turns."""
    streams = library.module.send
    sender = streams.BytesStream(library.module.ThreadPool(), library.send_config(packet_size, interleaved))
    references = [streams.HeapReference(library.heap(heap_size)) for _ in range(interleaved)]
    group = streams.HeapReferenceList(references)
    for _ in range(heaps // interleaved):
        sender.send_heaps(group, streams.GroupMode.ROUND_ROBIN)
    packets: bytes = sender.getvalue()
    return packets


# ------------------------------------------------------------------------------------------------------- latency


@contextmanager
def latency(library: Library) -> Iterator[Operation]:
    """Send a small heap, receive it, and so on."""
    with ExitStack() as stack:
        receiver = library.receiver(library.receive_config(_KIB))
        stack.callback(receiver.stop)
        sender = _inproc_sender(library, library.module.send, receiver, stack)
        heap = library.heap(_KIB)

        def run(heaps: int) -> None:
            for _ in range(heaps):
                sender.send_heap(heap)
                receiver.get()

        yield Operation(run)


@contextmanager
def asynchronous_latency(library: Library) -> Iterator[Operation]:
    """The same, awaiting both."""
    with asyncio.Runner() as runner, ExitStack() as stack:
        receiver, sender = runner.run(_asynchronous_pair(library, stack))
        heap = library.heap(_KIB)

        async def exchange(heaps: int) -> None:
            for _ in range(heaps):
                await sender.async_send_heap(heap)
                await receiver.get()

        yield Operation(lambda heaps: runner.run(exchange(heaps)))


@contextmanager
def outstanding(library: Library, *, sends: int) -> Iterator[Operation]:
    """With so many sends that are not awaited yet, while another task receives."""
    with asyncio.Runner() as runner, ExitStack() as stack:
        receiver, sender = runner.run(_asynchronous_pair(library, stack))
        heap = library.heap(_KIB)

        async def receive(heaps: int) -> None:
            for _ in range(heaps):
                await receiver.get()

        async def exchange(heaps: int) -> None:
            receiving = asyncio.create_task(receive(heaps))
            futures: deque[asyncio.Future[int]] = deque()
            for _ in range(heaps):
                if len(futures) == sends:
                    await futures.popleft()
                futures.append(sender.async_send_heap(heap))
            await asyncio.gather(receiving, *futures)

        yield Operation(lambda heaps: runner.run(exchange(heaps)))


async def _asynchronous_pair(library: Library, stack: ExitStack) -> tuple[Theirs, Theirs]:
    receiver = library.receiver(library.receive_config(_KIB), asynchronous=True)
    stack.callback(receiver.stop)
    return receiver, _inproc_sender(library, library.module.send.asyncio, receiver, stack)


def _inproc_sender(library: Library, classes: Theirs, receiver: Theirs, stack: ExitStack) -> Theirs:
    queue = library.module.InprocQueue()
    stack.callback(queue.stop)
    library.add_queue(receiver, queue)
    return classes.InprocStream(library.module.ThreadPool(), [queue], library.send_config(_ETHERNET))


# --------------------------------------------------------------------------------------------------------- items


@contextmanager
def items(library: Library, *, count: int) -> Iterator[Operation]:
    """Make a heap of all items, and update a receiver's items from such a heap."""
    group = library.module.send.ItemGroup()
    for i in range(count):
        value = np.arange(16, dtype=np.float32)
        group.add_item(0x1000 + i, f"item{i}", "An array", (16,), dtype=np.float32, value=value)
    received = library.module.ItemGroup()
    received.update(_through(library, group.get_heap(descriptors="all", data="all")))
    arrived = _through(library, group.get_heap(descriptors="none", data="all"))

    def run(times: int) -> None:
        for _ in range(times):
            group.get_heap(descriptors="none", data="all")
            received.update(arrived)

    yield Operation(run)


def _through(library: Library, heap: Theirs) -> Theirs:
    """The heap as it arrives."""
    stream = library.module.send.BytesStream(library.module.ThreadPool(), library.send_config(_JUMBO))
    stream.send_heap(heap)
    receiver = library.module.recv.Stream(library.module.ThreadPool())
    receiver.add_buffer_reader(stream.getvalue())
    (arrived,) = islice(receiver, 1)
    receiver.stop()
    return arrived
