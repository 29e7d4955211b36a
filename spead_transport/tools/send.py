"""Send test data."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import attrs
import click
import numpy as np

from ..engine.thread_pool import ThreadPool
from ..protocol.generator import ItemGroup
from ..protocol.outgoing import Heap
from ..send.asyncio import AsyncStream, open_sender
from . import arguments
from .arguments import Arguments, SenderArguments, SocketArguments
from .running import give_up_on_errors, log_to_stderr, progress, run

__all__ = ["Sent", "end", "send", "send_heaps"]

#: How long, in seconds, the end of the stream may take to go out after an interruption.
_PARTING: Final = 1.0
_FIRST_ID: Final = 0x1000


@attrs.frozen(kw_only=True)
class _DataArguments(Arguments):
    """What to send."""

    heap_size: int
    items: int
    dtype: str
    heaps: int | None
    descriptors: int | None

    def item_group(self, sender: SenderArguments) -> ItemGroup:
        """Items that fill a heap, as far as whole elements do.

        Raises
        ------
        ValueError, TypeError
            If the type is none, or not even one element fits.
        """
        dtype = np.dtype(self.dtype)
        elements = self.heap_size // (self.items * dtype.itemsize) if dtype.itemsize else 0
        if not elements:
            raise ValueError(f"--heap-size {self.heap_size} is too small for {self.items} items of type {dtype}")
        group = ItemGroup(flavour=sender.flavour())
        for index in range(self.items):
            value = np.zeros(elements, dtype)
            group.add_item(
                _FIRST_ID + index, f"test_item_{index}", "A test item", (elements,), dtype=dtype, value=value
            )
        return group


@attrs.define
class Sent:
    """What went out so far."""

    started: float = attrs.field(factory=time.monotonic)
    heaps: int = 0
    nbytes: int = 0
    seconds: float = 0.0

    def note(self, nbytes: int) -> None:
        """A heap went out."""
        self.heaps += 1
        self.nbytes += nbytes
        self.seconds = time.monotonic() - self.started

    @property
    def rate(self) -> float:
        """In bits per second."""
        return self.nbytes * 8 / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        return f"Sent {self.nbytes} bytes in {self.seconds:.6f}s, {self.rate / 1e9:.6f} Gb/s"


async def send_heaps(stream: AsyncStream, heaps: Iterator[Heap], sent: Sent) -> None:
    """Send heaps to the stream's destinations in turn, keeping as many in flight as it allows, and count them."""
    in_flight: deque[asyncio.Future[int]] = deque()
    limit = stream.config.max_heaps
    try:
        for index, heap in enumerate(heaps):
            if len(in_flight) == limit:
                sent.note(await in_flight.popleft())
            in_flight.append(stream.async_send_heap(heap, substream_index=index % stream.num_substreams))
        while in_flight:
            sent.note(await in_flight.popleft())
    finally:
        for future in in_flight:
            future.cancel()  # nobody will ask for their results


async def end(stream: AsyncStream, heap: Heap, seconds: float | None) -> None:
    """Tell each destination that the stream ends, if that takes no longer than `seconds`."""
    async with asyncio.timeout(seconds):
        for index in range(stream.num_substreams):
            await stream.async_flush()
            await stream.async_send_heap(heap, substream_index=index)


def _heaps(group: ItemGroup, data: _DataArguments, num_substreams: int) -> Iterator[Heap]:
    """The heaps, which are two in truth: with descriptors and without."""
    described = group.get_heap(descriptors="all", data="all")
    plain = group.get_heap(descriptors="none", data="all")
    for index in itertools.count() if data.heaps is None else range(data.heaps):
        turn = index // num_substreams
        yield described if turn == 0 or (data.descriptors and turn % data.descriptors == 0) else plain


async def _work(
    url: str, sender: SenderArguments, pool: ThreadPool, group: ItemGroup, data: _DataArguments, sent: Sent
) -> None:
    async with open_sender(url, config=sender.config(), thread_pool=pool) as stream:
        try:
            await send_heaps(stream, _heaps(group, data, stream.num_substreams), sent)
        except asyncio.CancelledError:
            with suppress(TimeoutError):
                await end(stream, group.get_end(), _PARTING)
            raise
        await end(stream, group.get_end(), None)


def target_url(targets: tuple[str, ...], sockets: SocketArguments, ttl: int | None) -> str:
    """Where to send: the only URL, or one for all of host:port."""
    urls = [target for target in targets if "://" in target]
    if not urls:
        if sockets.tcp and ttl is not None:
            raise ValueError("--ttl is for UDP only")
        return sockets.url(targets, **({} if ttl is None else {"ttl": ttl}))
    if len(targets) > 1:
        raise ValueError(f"expected one URL, or several of host:port, not {' '.join(targets)}; a URL may have a list")
    sockets.check_url(urls[0], ttl=ttl)
    return urls[0]


@click.command(
    "send",
    params=[
        click.Argument(["targets"], metavar="HOST:PORT|URL...", nargs=-1, required=True),
        arguments.heap_size(),
        click.Option(["--items"], type=arguments.POSITIVE, default=1, show_default=True, help="Items of a heap."),
        click.Option(["--dtype"], default="<c8", show_default=True, help="NumPy data type of the items."),
        click.Option(["--heaps"], type=click.IntRange(min=0), help="Heaps to send; without end if not given."),
        click.Option(
            ["--descriptors"],
            type=arguments.POSITIVE,
            metavar="N",
            help="Describe the items again in every Nth heap; only in the first one if not given.",
        ),
        arguments.log_level(),
        click.Option(["--tcp"], is_flag=True, help="Use TCP instead of UDP."),
        arguments.pyspead(),
        click.Option(
            ["--packet"], type=arguments.POSITIVE, default=1472, show_default=True, help="Largest packet, in bytes."
        ),
        click.Option(
            ["--rate"], type=click.FloatRange(min=0), default=0.0, metavar="Gb/s", help="Rate; 0 has no limit."
        ),
        *arguments.sender(),
        *arguments.sockets(),
    ],
)
def send(targets: tuple[str, ...], log: str, ttl: int | None, **given: Any) -> None:
    """Send test data to one or several destinations, which take turns.

    A destination is a host:port, for UDP or with --tcp for TCP, or a URL of any transport.
    """
    log_to_stderr(log)
    data, sender = _DataArguments.pick(given), SenderArguments.pick(given)
    sockets = SocketArguments.pick(given)
    with give_up_on_errors():
        group = data.item_group(sender)
        sent = Sent()
        with (
            sockets.thread_pool() as pool,
            progress(lambda: f"{sent.heaps} heaps, {sent}"),
        ):
            code = run(_work(target_url(targets, sockets, ttl), sender, pool, group, data, sent))
    click.echo(sent)
    sys.exit(code)
