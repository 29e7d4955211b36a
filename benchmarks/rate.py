"""How precisely streams keep their rates, and how large their bursts are."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import entry_points
from typing import Final, cast

import attrs
import numpy as np
import spead2
import spead2.send
from rich.console import Console
from rich.table import Table

from spead_transport import send
from spead_transport.send.asyncio import AsyncStream
from spead_transport.transport import Capabilities, EventReadiness, PacketBatch, PacketSender, Readiness

__all__ = ["Clocked", "Keeping", "judge", "measure", "measure_peer"]

#: Bytes in a heap, for a rate in bytes per second: so many heaps per second that the number hardly matters.
_HEAPS_PER_SECOND: Final = 500
_LARGEST_HEAP: Final = 1 << 20
_MEGABIT: Final = 1e6 / 8
#: Bits per second; 0 is unlimited.
_RATES: Final = (1e6, 10e6, 100e6, 1e9, 2e9, 5e9, 10e9, 0.0)
_GAP: Final = 1e-6


class Clocked(PacketSender):
    """Takes every packet at once and notes when, so that nothing but the stream itself limits its rate."""

    def __init__(self) -> None:
        super().__init__("clocked:", Capabilities(lossy=False, ordered=True, reach="process"))
        self._writable = EventReadiness()
        self._writable.set()
        self.times: list[float] = []
        self.sizes: list[int] = []

    @property
    def writable(self) -> Readiness:
        return self._writable

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            self.times.append(time.perf_counter())
            self.sizes.append(batch.nbytes)
            return len(batch)

    def _release_resources(self) -> None:
        self._writable.wake()


@attrs.frozen
class Keeping:
    """What became of a rate."""

    wanted: float  #: bytes per second; 0 is unlimited
    rate: float  #: bytes per second
    largest: int  #: most bytes that went without a gap

    @property
    def error(self) -> float:
        """Relative to the rate."""
        return self.rate / self.wanted - 1 if self.wanted else 0.0


def measure(wanted: float, seconds: float, engine: str, style: str) -> Keeping:
    """Send for `seconds` at a rate, with blocking calls (``sync``) or with heaps in flight (``asyncio``)."""
    sender, config = Clocked(), send.StreamConfig(rate=wanted)
    group = send.ItemGroup()
    size = _heap_size(wanted)
    group.add_item(0x1000, "x", "Nothing in particular", (size,), np.uint8, value=np.zeros(size, np.uint8))
    heap = group.get_heap(descriptors="none")
    if style == "sync":
        with send.SyncStream(sender, config, engine=engine) as stream:
            for _ in _until(seconds):
                stream.send_heap(heap)
    else:
        asyncio.run(_send(sender, heap, seconds, engine, config))
    return judge(wanted, np.array(sender.times), np.array(sender.sizes))


def measure_peer(wanted: float, seconds: float) -> Keeping:
    """The same with spead2, blocking, over UDP to a socket that nobody reads. How large its bursts are is unknown."""
    with socket.socket(type=socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        config = spead2.send.StreamConfig(rate=wanted)
        stream = spead2.send.UdpStream(spead2.ThreadPool(), [sink.getsockname()], config)
        group = spead2.send.ItemGroup()
        size = _heap_size(wanted)
        group.add_item(0x1000, "x", "Nothing in particular", (size,), np.uint8, value=np.zeros(size, np.uint8))
        heap = group.get_heap(descriptors="none")
        ends: list[float] = []
        sizes: list[int] = []
        for _ in _until(seconds):
            sizes.append(cast(int, stream.send_heap(heap)))  # the stubs say None
            ends.append(time.perf_counter())
    return Keeping(wanted, sum(sizes[1:]) / (ends[-1] - ends[0]), 0)


async def _send(
    sender: PacketSender, heap: send.Heap, seconds: float, engine: str, config: send.StreamConfig
) -> None:
    in_flight: deque[asyncio.Future[int]] = deque()
    async with AsyncStream(sender, config, engine=engine) as stream:
        for _ in _until(seconds):
            if len(in_flight) == config.max_heaps:
                await in_flight.popleft()
            in_flight.append(stream.async_send_heap(heap))


def _heap_size(wanted: float) -> int:
    return int(min(max(wanted / _HEAPS_PER_SECOND, 1024), _LARGEST_HEAP)) if wanted else _LARGEST_HEAP


def _until(seconds: float) -> Iterator[None]:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield


def judge(wanted: float, times: np.ndarray, sizes: np.ndarray) -> Keeping:
    """The rate from the first packet to the last: the last burst's time is not over yet."""
    rate = float(sizes[:-1].sum() / (times[-1] - times[0]))
    bursts = np.split(sizes, np.flatnonzero(np.diff(times) > _gap(wanted)) + 1)
    return Keeping(wanted, rate, max(int(burst.sum()) for burst in bursts))


def _gap(wanted: float) -> float:
    """What counts as a pause between bursts: a tenth of what a packet takes at the rate."""
    return max(0.1 * 1472 / wanted, _GAP) if wanted else _GAP


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all rates; the best of several rounds counts, because a machine is late when it does other things."""
    parser = argparse.ArgumentParser(prog="benchmarks.rate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each rate is tried (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long (%(default)s)")
    parser.add_argument("--only", help="only this engine, or spead2")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title="Best of each rate's rounds")
    for heading in (
        "engine",
        "style",
        "wanted Mbit/s",
        "kept Mbit/s",
        "error %",
        "errors of all rounds %",
        "burst kB",
    ):
        table.add_column(heading, justify="left" if heading in ("library", "style") else "right")
    contenders: list[tuple[str, str, Callable[[float, float], Keeping]]] = [
        ("spead2", "sync", measure_peer),
        *(
            (engine, style, partial(measure, engine=engine, style=style))
            for engine in sorted(entry_points(group="spead_transport.engines").names)
            for style in ("sync", "asyncio")
        ),
    ]
    for name, style, operate in contenders:
        for bits in _RATES if name in (options.only or name) else ():
            rounds = [operate(bits / 8, options.seconds) for _ in range(options.rounds)]
            table.add_row(name, style, *_row(sorted(rounds, key=lambda keeping: abs(keeping.error))))
    console.print(table)
    return 0


def _row(rounds: Sequence[Keeping]) -> Iterator[str]:
    best = rounds[0] if rounds[0].wanted else max(rounds, key=lambda keeping: keeping.rate)
    yield f"{best.wanted / _MEGABIT:.0f}" if best.wanted else "unlimited"
    yield f"{best.rate / _MEGABIT:.1f}"
    yield f"{best.error * 100:+.2f}" if best.wanted else ""
    yield " ".join(f"{keeping.error * 100:+.1f}" for keeping in rounds) if best.wanted else ""
    yield f"{best.largest / 1000:.0f}" if best.wanted and best.largest else ""


if __name__ == "__main__":
    sys.exit(main())
