"""Heaps from a sender to a receiver: as many as can be, and never more under way than the transport can hold."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Final, TypeAlias

import attrs

from .library import Library, Theirs, ring_for
from .operation import LostError, Operation

__all__ = ["Link", "carried", "inproc", "patiently", "tcp", "udp"]

_MIB: Final = 1 << 20
_LOOPBACK: Final = "127.0.0.1"
_BATCH: Final = _MIB  #: bytes of heaps in one call
_MOST_IN_BATCH: Final = 512  #: heaps in one call
_UNDER_WAY: Final = 2  #: calls at least, but …
_WINDOW: Final = 2 * _MIB  #: … otherwise so few bytes that memory is used again while it is in the caches
_UDP_BUFFER: Final = 64 * _MIB
_UDP_SEND_BUFFER: Final = 4 * _MIB
_TCP_BUFFER: Final = _MIB // 2  #: what stays in the caches is faster
_OVERHEAD: Final = 8  #: the kernel counts that many bytes per byte of small datagrams, at most, against a buffer
_PATIENCE: Final = 20.0  #: seconds

#: Makes a sender with a configuration.
MakeSender: TypeAlias = Callable[[Theirs], Theirs]
#: Adds a reader to a receiver, and tells how to make the sender for it, and how many bytes may be under way.
Link: TypeAlias = Callable[[Library, Theirs, int, ExitStack], tuple[MakeSender, int]]


# --------------------------------------------------------------------------------------------------- transports


def inproc(library: Library, receiver: Theirs, packet_size: int, stack: ExitStack) -> tuple[MakeSender, int]:
    """Through a queue in memory."""
    queue = library.module.InprocQueue()
    stack.callback(queue.stop)
    library.add_queue(receiver, queue)
    streams = library.module.send
    return lambda config: streams.InprocStream(library.module.ThreadPool(), [queue], config), 0


def udp(library: Library, receiver: Theirs, packet_size: int, stack: ExitStack) -> tuple[MakeSender, int]:
    """Over the loopback interface."""
    with socket.socket(type=socket.SOCK_DGRAM) as target:
        target.bind((_LOOPBACK, 0))
        buffer = _set_receive_buffer(target, _UDP_BUFFER)
        address = target.getsockname()
        receiver.add_udp_reader(target, packet_size + 8)

    def make(config: Theirs) -> Theirs:
        streams = library.module.send
        return streams.UdpStream(library.module.ThreadPool(), [address], config, buffer_size=_UDP_SEND_BUFFER)

    return make, buffer // _OVERHEAD


def tcp(library: Library, receiver: Theirs, packet_size: int, stack: ExitStack) -> tuple[MakeSender, int]:
    """Over the loopback interface, too."""
    with socket.create_server((_LOOPBACK, 0)) as acceptor:
        _set_receive_buffer(acceptor, _TCP_BUFFER)
        address = acceptor.getsockname()
        receiver.add_tcp_reader(acceptor, packet_size + 8)

    def make(config: Theirs) -> Theirs:
        streams = library.module.send
        return streams.TcpStream(library.module.ThreadPool(), [address], config, buffer_size=_TCP_BUFFER)

    return make, 0


def _set_receive_buffer(target: socket.socket, nbytes: int) -> int:
    """Give it a buffer of so many bytes, or as many as the system allows; returns how many it then has."""
    force = 33  # SO_RCVBUFFORCE of Linux: for root
    try:
        target.setsockopt(socket.SOL_SOCKET, force, nbytes)
    except PermissionError:
        target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, nbytes)
    return target.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


# ------------------------------------------------------------------------------------------------------ carrying


@contextmanager
def carried(
    library: Library, link: Link, *, heap_size: int, packet_size: int, receiving_only: bool = False
) -> Iterator[Operation]:
    """One thread sends, small heaps in batches, and the other receives.

    The processors' time is that of both, or of the threads that are there before the sender is.
    """
    batch = max(1, min(_MOST_IN_BATCH, _BATCH // heap_size))
    with ExitStack() as stack:
        ring = max(ring_for(heap_size), 4 * batch)
        receiver = library.receiver(library.receive_config(heap_size, ring), ring)
        stack.callback(receiver.stop)
        make_sender, capacity = link(library, receiver, packet_size, stack)
        cpu = _cpu_of(_threads()) if receiving_only else time.process_time
        sender = make_sender(library.send_config(packet_size, max(4, batch)))
        executor = stack.enter_context(ThreadPoolExecutor(1))
        window = _window(batch * (heap_size + 72 * -(-heap_size // packet_size)), capacity)
        flow = _Flow(receiver, library.sending(sender, library.heap(heap_size), batch), batch, window, executor)
        yield Operation(flow.run, cpu, batch)


def _window(batch_bytes: int, capacity: int) -> int:
    """How many calls may be under way, where a transport holds `capacity` bytes; 0 if it holds any number."""
    wanted = max(_UNDER_WAY, _WINDOW // batch_bytes)
    return max(1, min(wanted, capacity // batch_bytes)) if capacity else wanted


@attrs.frozen
class _Flow:
    """Sends heaps in one thread and receives them in another, with so many calls under way at most."""

    receiver: Theirs
    send: Callable[[], object]
    batch: int
    window: int
    executor: ThreadPoolExecutor

    def run(self, heaps: int) -> None:
        calls = heaps // self.batch
        window = threading.Semaphore(self.window)
        with patiently(self.receiver):
            sending = self.executor.submit(self._send, calls, window)
            try:
                for _ in range(calls):
                    for _ in islice(self.receiver, self.batch):
                        pass
                    window.release()
            finally:
                window.release(calls)  # lets the other thread end when a heap was lost
            sending.result()

    def _send(self, calls: int, window: threading.Semaphore) -> None:
        for _ in range(calls):
            window.acquire()
            self.send()


@contextmanager
def patiently(*receivers: Theirs) -> Iterator[None]:
    """Stop the receivers if what is done with them takes very long: not all libraries have a timeout.

    Raises
    ------
    LostError
        If that happened.
    """
    late = threading.Event()

    def give_up() -> None:
        late.set()
        for receiver in receivers:
            receiver.stop()

    timer = threading.Timer(_PATIENCE, give_up)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
    if late.is_set():
        raise LostError(f"heaps were lost on the way: not all of them came within {_PATIENCE:g} s")


def _threads() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/task")]


def _cpu_of(threads: list[int]) -> Callable[[], float]:
    """The processors' time of some threads, in seconds, as clock_gettime(2) knows it of every thread."""
    clocks = [~thread << 3 | 6 for thread in threads]  # MAKE_THREAD_CPUCLOCK(thread, CPUCLOCK_SCHED) of Linux
    return lambda: sum(map(time.clock_gettime, clocks))
