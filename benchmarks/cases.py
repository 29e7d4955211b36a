"""What is measured. Each case makes a function that does something `n` times; only its calls are timed.

Settings are those at which spead2 does best: memory from a pool for large heaps, a large ring, many small heaps in
a call.
"""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from itertools import islice
from types import ModuleType
from typing import Any, Final, TypeAlias

import attrs
import numpy as np

__all__ = ["CASES", "LIMITS", "Case", "Operate"]

#: Does it that many times.
Operate: TypeAlias = Callable[[int], None]
#: A stream, heap or item group of whichever library is being measured.
Theirs: TypeAlias = Any

_MIB: Final = 1 << 20
_ETHERNET: Final = 1472  #: bytes of UDP payload in an Ethernet frame
_JUMBO: Final = 8972  #: the same in a jumbo frame
_RING: Final = 64  #: heaps that may wait
_GROUP: Final = 512  #: small heaps that are sent in one call
_WINDOW: Final = 2  #: heaps under way over UDP at a time: so few that no socket buffer overflows
_PATIENCE: Final = 5.0  #: seconds


@attrs.frozen
class Case:
    """Something to measure.

    Parameters
    ----------
    name
        What is done.
    prepare
        Given a library, makes the function that does it.
    nbytes
        Payload in bytes of each time, if that is what matters.
    """

    name: str
    prepare: Callable[[ModuleType], AbstractContextManager[Operate]]
    nbytes: int = 0


# -------------------------------------------------------------------------------------------------------- streams


def _heap(library: ModuleType, nbytes: int) -> Theirs:
    group = library.send.ItemGroup()
    group.add_item(0x1000, "data", "Some bytes", (nbytes,), dtype=np.uint8, value=np.arange(nbytes).astype(np.uint8))
    return group.get_heap(descriptors="none", data="all")


def _send_config(library: ModuleType, packet_size: int, max_heaps: int = _RING) -> Theirs:
    return library.send.StreamConfig(max_packet_size=packet_size, max_heaps=max_heaps)


def _receive_config(library: ModuleType, heap_size: int) -> Theirs:
    config = library.recv.StreamConfig(max_heaps=4)
    if hasattr(library, "MemoryPool"):
        count = _RING + 16
        config.memory_allocator = library.MemoryPool(heap_size, heap_size + 4096, count, count)
    return config


def _receiver(
    library: ModuleType, stack: ExitStack, config: Theirs, ring: int = _RING, kind: str = "Stream"
) -> Theirs:
    classes = library.recv.asyncio if kind == "asyncio" else library.recv
    stream = classes.Stream(library.ThreadPool(), config, library.recv.RingStreamConfig(heaps=ring))
    stack.callback(stream.stop)
    return stream


@contextmanager
def _inproc(library: ModuleType, *, heap_size: int, packet_size: int) -> Iterator[Operate]:
    """One thread sends heap by heap, the other receives."""
    with ExitStack() as stack, ThreadPoolExecutor(1) as executor:
        queue = library.InprocQueue()
        receiver = _receiver(library, stack, _receive_config(library, heap_size))
        receiver.add_inproc_reader(queue)
        sender = library.send.InprocStream(library.ThreadPool(), [queue], _send_config(library, packet_size))
        stack.callback(queue.stop)
        heap = _heap(library, heap_size)
        # The queue has no bound: the sender keeps to a window, so that memory is used again and stays in the caches.
        window = threading.Semaphore(_WINDOW)

        def send(n: int) -> None:
            for _ in range(n):
                window.acquire()
                sender.send_heap(heap)

        def operate(n: int) -> None:
            sending = executor.submit(send, n)
            for _ in range(n):
                receiver.get()
                window.release()
            sending.result()

        yield operate


@contextmanager
def _inproc_small(library: ModuleType, *, heap_size: int) -> Iterator[Operate]:
    """Small heaps, many in one call; then receive them all."""
    with ExitStack() as stack:
        queue = library.InprocQueue()
        # Heaps this small are received faster without a pool, by spead2 too.
        receiver = _receiver(library, stack, library.recv.StreamConfig(max_heaps=4), ring=2 * _GROUP)
        receiver.add_inproc_reader(queue)
        config = _send_config(library, _JUMBO, max_heaps=_GROUP)
        sender = library.send.InprocStream(library.ThreadPool(), [queue], config)
        stack.callback(queue.stop)
        group = [library.send.HeapReference(_heap(library, heap_size)) for _ in range(_GROUP)]
        heaps = library.send.HeapReferenceList(group)
        serial = library.send.GroupMode.SERIAL

        def operate(n: int) -> None:
            while n > 0:
                count = min(n, _GROUP)
                sender.send_heaps(heaps if count == _GROUP else heaps[:count], serial)
                for _ in islice(receiver, count):
                    pass
                n -= count

        yield operate


@contextmanager
def _udp(library: ModuleType, *, heap_size: int, packet_size: int) -> Iterator[Operate]:
    """One thread sends heap by heap, no more at a time than the socket's buffer can hold; the other receives."""
    with ExitStack() as stack, ThreadPoolExecutor(1) as executor:
        receiver = _receiver(library, stack, _receive_config(library, heap_size))
        port = _free_port()
        receiver.add_udp_reader(port, max_size=packet_size + 8, buffer_size=64 * _MIB, bind_hostname="127.0.0.1")
        sender = library.send.UdpStream(
            library.ThreadPool(), [("127.0.0.1", port)], _send_config(library, packet_size), buffer_size=4 * _MIB
        )
        heap = _heap(library, heap_size)
        window = threading.Semaphore(_WINDOW)

        def send(n: int) -> None:
            for _ in range(n):
                window.acquire()
                sender.send_heap(heap)

        def operate(n: int) -> None:
            sending = executor.submit(send, n)
            try:
                for _ in range(n):
                    _wait_readable(receiver.fd)
                    receiver.get()
                    window.release()
            finally:
                window.release(n)  # lets the other thread end when a heap was lost
            sending.result()
            for _ in range(n):
                window.acquire()

        yield operate


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_readable(fd: int) -> None:
    """Not all libraries have a timeout: without it, a lost heap would end in waiting for ever."""
    if not select.select([fd], [], [], _PATIENCE)[0]:
        raise TimeoutError("a heap was lost on the way; is the machine busy?")


# ------------------------------------------------------------------------------------------------- one way only


@contextmanager
def _send_only(library: ModuleType, *, heap_size: int, packet_size: int) -> Iterator[Operate]:
    """Heaps to packets, into memory."""
    heap = _heap(library, heap_size)
    thread_pool = library.ThreadPool()

    def operate(n: int) -> None:
        # A new stream now and then: what was sent stays in memory.
        for start in range(0, n, 16):
            sender = library.send.BytesStream(thread_pool, _send_config(library, packet_size))
            for _ in range(min(16, n - start)):
                sender.send_heap(heap)
            sender.getvalue()

    yield operate


@contextmanager
def _receive_only(library: ModuleType, *, heap_size: int, packet_size: int) -> Iterator[Operate]:
    """Packets that lie in memory to heaps."""
    stream = library.send.BytesStream(library.ThreadPool(), _send_config(library, packet_size))
    heap = _heap(library, heap_size)
    for _ in range(16):
        stream.send_heap(heap)
    packets = stream.getvalue()
    config = _receive_config(library, heap_size)

    def operate(n: int) -> None:
        for start in range(0, n, 16):
            count = min(16, n - start)
            with ExitStack() as stack:
                receiver = _receiver(library, stack, config)
                receiver.add_buffer_reader(packets)
                for _ in range(count):
                    receiver.get()

    yield operate


# ------------------------------------------------------------------------------------------------------- latency


@contextmanager
def _latency(library: ModuleType) -> Iterator[Operate]:
    """Send a small heap, receive it, and so on."""
    with ExitStack() as stack:
        queue = library.InprocQueue()
        receiver = _receiver(library, stack, _receive_config(library, 1024))
        receiver.add_inproc_reader(queue)
        sender = library.send.InprocStream(library.ThreadPool(), [queue], _send_config(library, _ETHERNET))
        stack.callback(queue.stop)
        heap = _heap(library, 1024)

        def operate(n: int) -> None:
            for _ in range(n):
                sender.send_heap(heap)
                receiver.get()

        yield operate


@contextmanager
def _latency_asyncio(library: ModuleType) -> Iterator[Operate]:
    """The same, awaiting both."""
    with asyncio.Runner() as runner, ExitStack() as stack:
        queue = library.InprocQueue()

        async def make() -> tuple[Theirs, Theirs]:
            receiver = _receiver(library, stack, _receive_config(library, 1024), kind="asyncio")
            receiver.add_inproc_reader(queue)
            config = _send_config(library, _ETHERNET)
            return receiver, library.send.asyncio.InprocStream(library.ThreadPool(), [queue], config)

        receiver, sender = runner.run(make())
        stack.callback(queue.stop)
        heap = _heap(library, 1024)

        async def exchange(n: int) -> None:
            for _ in range(n):
                await sender.async_send_heap(heap)
                await receiver.get()

        yield lambda n: runner.run(exchange(n))


# --------------------------------------------------------------------------------------------------------- items


@contextmanager
def _items(library: ModuleType, *, count: int) -> Iterator[Operate]:
    """Make a heap of all items, and update a receiver's items from such a heap."""
    group = library.send.ItemGroup()
    for i in range(count):
        value = np.arange(16, dtype=np.float32)
        group.add_item(0x1000 + i, f"item{i}", "An array", (16,), dtype=np.float32, value=value)
    received = library.ItemGroup()
    received.update(_through(library, group.get_heap(descriptors="all", data="all")))
    arrived = _through(library, group.get_heap(descriptors="none", data="all"))

    def operate(n: int) -> None:
        for _ in range(n):
            group.get_heap(descriptors="none", data="all")
            received.update(arrived)

    yield operate


def _through(library: ModuleType, heap: Theirs) -> Theirs:
    """The heap as it arrives."""
    stream = library.send.BytesStream(library.ThreadPool(), _send_config(library, _JUMBO))
    stream.send_heap(heap)
    receiver = library.recv.Stream(library.ThreadPool())
    receiver.add_buffer_reader(stream.getvalue())
    arrived = receiver.get()
    receiver.stop()
    return arrived


# -------------------------------------------------------------------------------------------------------- limits


def _memcpy(nbytes: int) -> Operate:
    source = np.ones(nbytes, np.uint8)
    target = np.empty_like(source)

    def operate(n: int) -> None:
        for _ in range(n):
            np.copyto(target, source)

    return operate


#: What the machine can do, with whatever library.
LIMITS: Final[dict[str, tuple[Operate, int]]] = {
    "memcpy, 1 MiB": (_memcpy(_MIB), _MIB),
    "memcpy, 64 MiB": (_memcpy(64 * _MIB), 64 * _MIB),
}

CASES: Final = (
    *(
        Case(f"{name}, 1 MiB heaps, {size} B packets", partial(prepare, heap_size=_MIB, packet_size=size), _MIB)
        for name, prepare in (
            ("inproc", _inproc),
            ("udp", _udp),
            ("send only", _send_only),
            ("receive only", _receive_only),
        )
        for size in (_ETHERNET, _JUMBO)
    ),
    Case("inproc, 1 KiB heaps, batched", partial(_inproc_small, heap_size=1024)),
    Case("latency of a heap", _latency),
    Case("latency of a heap, asyncio", _latency_asyncio),
    Case("get_heap and update, 1 item", partial(_items, count=1)),
    Case("get_heap and update, 32 items", partial(_items, count=32)),
)
