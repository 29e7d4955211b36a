"""How fast transports carry large heaps in small packets. All are compared with the first."""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

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
_WINDOW: Final = 2  #: heaps under way at a time, so that memory is used again and stays in the caches


@contextmanager
def carry(scheme: str, engine: str) -> Iterator[Operation]:
    """One thread sends heap by heap, the other receives."""
    group = send.ItemGroup()
    value = np.arange(_HEAP_SIZE).astype(np.uint8)
    group.add_item(0x1000, "data", "Some bytes", value.shape, value.dtype, value=value)
    heap = group.get_heap(descriptors="none", data="all")
    window = threading.Semaphore(_WINDOW)
    subject = TransportUnderTest(get_transport_class(scheme))
    with ExitStack() as stack, ThreadPoolExecutor(1) as executor:
        receiver = subject.open_receiver()
        incoming = stack.enter_context(recv.Stream(ring_config=recv.RingStreamConfig(heaps=64), engine=engine))
        incoming.add_reader(receiver)
        config = send.StreamConfig(max_packet_size=_PACKET_SIZE)
        outgoing = stack.enter_context(send.SyncStream(subject.open_sender(receiver), config, engine=engine))

        def send_heaps(n: int) -> None:
            for _ in range(n):
                window.acquire()
                outgoing.send_heap(heap)

        def run(n: int) -> None:
            sending = executor.submit(send_heaps, n)
            for _ in range(n):
                incoming.get(timeout=10)
                window.release()
            sending.result()

        yield Operation(run)


def compare(schemes: Sequence[str], engine: str, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Bytes per second of each transport in each round; they take turns, forwards and backwards."""
    rates: dict[str, list[float]] = {scheme: [] for scheme in schemes}
    with ExitStack() as stack:
        operations = {scheme: stack.enter_context(carry(scheme, engine)) for scheme in schemes}
        times = {scheme: rehearse(operation.measure, seconds) for scheme, operation in operations.items()}
        for i in range(rounds):
            for scheme in schemes if i % 2 == 0 else reversed(schemes):
                sample = operations[scheme].measure(times[scheme])
                rates[scheme].append(sample.times * _HEAP_SIZE / sample.seconds)
    return rates


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the transports and print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.transports", description=__doc__)
    parser.add_argument("schemes", nargs="*", default=["inproc", "cqueue"], help="(inproc cqueue)")
    parser.add_argument("--engine", choices=engine_names(), default="native", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=100, help="how often each one's turn comes (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.02, help="how long a turn lasts (%(default)s)")
    options = parser.parse_args(arguments)
    rates = compare(options.schemes, options.engine, options.rounds, options.seconds)
    first = rates[options.schemes[0]]
    table = Table(title=f"Heaps of {_HEAP_SIZE} bytes in packets of {_PACKET_SIZE}, {options.engine} engine, GB/s")
    for heading in ("transport", "lowest", "median", "highest", f"speed / {options.schemes[0]}"):
        table.add_column(heading, justify="left" if heading == "transport" else "right")
    for scheme, own in rates.items():
        ratio = statistics.median(rate / other for rate, other in zip(own, first, strict=True))
        numbers = (f"{rate / 1e9:.2f}" for rate in (min(own), statistics.median(own), max(own)))
        table.add_row(scheme, *numbers, f"{ratio:.2f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
