"""How fast transports carry large heaps in small packets. All are compared with the first."""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Semaphore
from typing import Final, TypeAlias

import numpy as np
from rich.console import Console
from rich.table import Table

from spead_transport import recv, send
from spead_transport.engine import engine_names
from spead_transport.testing import TransportUnderTest
from spead_transport.transport import get_transport_class

from .measure import rehearse
from .operation import Operation

__all__ = ["carry", "compare", "main"]

_HEAP_SIZE: Final = 1 << 20
_PACKET_SIZE: Final = 1472
#: Heaps under way at a time: few, so that memory is used again and stays in the caches, and that none is lost.
_WINDOW: Final = 2
_WINDOW_BETWEEN_PROCESSES: Final = 4  #: which take longer to wake each other up


@contextmanager
def carry(scheme: str, engine: str, *, processes: bool = False) -> Iterator[Operation]:
    """One thread sends heap by heap, or another process does; this one receives."""
    subject = TransportUnderTest(get_transport_class(scheme))
    with ExitStack() as stack:
        receiver = subject.open_receiver()
        incoming = stack.enter_context(recv.Stream(ring_config=recv.RingStreamConfig(heaps=64), engine=engine))
        incoming.add_reader(receiver)
        sending = _sending_process if processes else _sending_thread
        order, window = stack.enter_context(sending(scheme, subject.sender_url(receiver), engine))

        def run(n: int) -> None:
            order(n)
            for _ in range(n):
                incoming.get(timeout=10)
                window.release()

        yield Operation(run)


_Sending: TypeAlias = tuple[Callable[[int], object], Semaphore | threading.Semaphore]


@contextmanager
def _sending_thread(scheme: str, url: str, engine: str) -> Iterator[_Sending]:
    """What has a thread send so many heaps, and what is released for each that arrived."""
    window = threading.Semaphore(_WINDOW)
    with ThreadPoolExecutor(1) as executor, _sender(scheme, url, engine, window) as send_heaps:
        yield lambda n: executor.submit(send_heaps, n), window


@contextmanager
def _sending_process(scheme: str, url: str, engine: str) -> Iterator[_Sending]:
    """The same with a process, which ends with the block."""
    context = multiprocessing.get_context("spawn")
    window = context.Semaphore(_WINDOW_BETWEEN_PROCESSES)
    orders, there = context.Pipe()
    process = context.Process(target=_follow_orders, args=(scheme, url, engine, window, there), daemon=True)
    process.start()
    there.close()
    orders.recv()  # it is ready: the time that it takes to start is not to be measured
    try:
        yield orders.send, window
    finally:
        orders.close()
        process.join()


def _follow_orders(scheme: str, url: str, engine: str, window: Semaphore, orders: Connection) -> None:
    with _sender(scheme, url, engine, window) as send_heaps, suppress(EOFError):
        orders.send(None)
        while True:
            send_heaps(orders.recv())


@contextmanager
def _sender(
    scheme: str, url: str, engine: str, window: Semaphore | threading.Semaphore
) -> Iterator[Callable[[int], None]]:
    """What sends so many heaps, as far as the window admits."""
    group = send.ItemGroup()
    value = np.arange(_HEAP_SIZE).astype(np.uint8)
    group.add_item(0x1000, "data", "Some bytes", value.shape, value.dtype, value=value)
    heap = group.get_heap(descriptors="none", data="all")
    endpoint = get_transport_class(scheme).from_url(url).open_sender()
    with send.SyncStream(endpoint, send.StreamConfig(max_packet_size=_PACKET_SIZE), engine=engine) as outgoing:

        def send_heaps(n: int) -> None:
            for _ in range(n):
                window.acquire()
                outgoing.send_heap(heap)

        yield send_heaps


def compare(
    schemes: Sequence[str], engine: str, rounds: int, seconds: float, *, processes: bool = False
) -> dict[str, list[float]]:
    """Bytes per second of each transport in each round; they take turns, forwards and backwards."""
    rates: dict[str, list[float]] = {scheme: [] for scheme in schemes}
    with ExitStack() as stack:
        operations = {scheme: stack.enter_context(carry(scheme, engine, processes=processes)) for scheme in schemes}
        times = {scheme: rehearse(operation.measure, seconds) for scheme, operation in operations.items()}
        for i in range(rounds):
            for scheme in schemes if i % 2 == 0 else reversed(schemes):
                sample = operations[scheme].measure(times[scheme])
                rates[scheme].append(sample.times * _HEAP_SIZE / sample.seconds)
    return rates


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the transports and print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.transports", description=__doc__)
    parser.add_argument("schemes", nargs="*", help="(inproc cqueue, or with --processes udp shm tcp)")
    parser.add_argument("--processes", action="store_true", help="send from another process instead of a thread")
    parser.add_argument("--engine", choices=engine_names(), default="native", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=100, help="how often each one's turn comes (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.02, help="how long a turn lasts (%(default)s)")
    options = parser.parse_args(arguments)
    schemes = options.schemes or (["udp", "shm", "tcp"] if options.processes else ["inproc", "cqueue"])
    for scheme in schemes if options.processes else ():
        if get_transport_class(scheme).capabilities.reach == "process":
            parser.error(f"{scheme} does not reach other processes")
    rates = compare(schemes, options.engine, options.rounds, options.seconds, processes=options.processes)
    first = rates[schemes[0]]
    where = "between processes" if options.processes else "between threads"
    table = Table(
        title=f"Heaps of {_HEAP_SIZE} bytes in packets of {_PACKET_SIZE} {where}, {options.engine} engine, GB/s"
    )
    for heading in ("transport", "lowest", "median", "highest", f"speed / {schemes[0]}"):
        table.add_column(heading, justify="left" if heading == "transport" else "right")
    for scheme, own in rates.items():
        ratio = statistics.median(rate / other for rate, other in zip(own, first, strict=True))
        numbers = (f"{rate / 1e9:.2f}" for rate in (min(own), statistics.median(own), max(own)))
        table.add_row(scheme, *numbers, f"{ratio:.2f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
