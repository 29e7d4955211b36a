"""Receive streams and say what is in them."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any, Final

import attrs
import click

from ..engine.thread_pool import ThreadPool
from ..protocol.descriptor import Descriptor
from ..protocol.item_group import ItemGroup
from ..protocol.received import Heap
from ..recv.asyncio import Stream, open_receiver
from . import arguments
from .arguments import Arguments, MemoryArguments, ReceiverArguments, SocketArguments
from .running import give_up_on_errors, log_to_stderr, progress, run

__all__ = ["recv", "report"]

_log: Final = logging.getLogger("spead_transport")


@attrs.frozen(kw_only=True)
class _OutputArguments(Arguments):
    """What to show, and how long."""

    values: bool
    descriptors: bool
    max_heaps: int | None


@attrs.define
class _Source:
    """A stream and what became of it."""

    name: str
    urls: list[str]
    output: _OutputArguments
    heaps: int = 0

    async def receive(self, receiver: ReceiverArguments, memory: MemoryArguments | None, pool: ThreadPool) -> None:
        """Receive until the stream ends, or there were enough heaps."""
        group = ItemGroup()
        config = receiver.config(memory.pool() if memory else None)
        async with open_receiver(
            *self.urls, config=config, ring_config=receiver.ring_config(), thread_pool=pool
        ) as stream:
            for url in stream.urls:
                _log.info("receiving at %s", url)
            try:
                while self.output.max_heaps is None or self.heaps < self.output.max_heaps:
                    heap = await anext(stream)
                    if isinstance(heap, Heap):
                        self.heaps += 1
                        self._show(heap, group)
            except StopAsyncIteration:
                pass
            finally:
                stream.stop()
                click.echo(f"Shutting down stream {self.name} after {self.heaps} heaps")
                click.echo(report(stream))

    def _show(self, heap: Heap, group: ItemGroup) -> None:
        click.echo(f"Received heap {heap.cnt} on stream {self.name}")
        try:
            if self.output.descriptors:
                for raw in heap.get_descriptors():
                    click.echo(_describe(Descriptor.from_raw(raw, heap.flavour)))
            for name, item in group.update(heap).items():
                click.echo(f"{name} = {item.value}" if self.output.values else name)
        except ValueError as error:
            _log.warning("heap %d: %s", heap.cnt, error)


def _describe(descriptor: Descriptor) -> str:
    return (
        f"    Descriptor for {descriptor.name} ({descriptor.id:#x})\n"
        f"      description: {descriptor.description}\n"
        f"      format:      {descriptor.format}\n"
        f"      dtype:       {descriptor.dtype}\n"
        f"      shape:       {descriptor.shape}"
    )


def report(stream: Stream) -> str:
    """The stream's statistics: the classic ones always, others if there is something to tell."""
    stats, drops = stream.stats, stream.drops()
    classic = len(stream.config.stats)
    lines = [f"{name}: {count}" for index, (name, count) in enumerate(stats.items()) if index < classic or count]
    return "\n".join([*lines, *(f"  {reason}: {count}" for reason, count in drops.items() if count)])


def source_url(source: str, sockets: SocketArguments, packet: int | None) -> str:
    """Where to receive: a URL, the name of a file with captured packets, host:port, or a port only."""
    if "://" in source:
        sockets.check_url(source, packet=packet)
        return source
    if source.isascii() and source.isdecimal():
        return sockets.url([f":{source}"], max_packet_size=packet)
    if Path(source).is_file():
        sockets.check_url(source, packet=packet)
        return Path(source).absolute().as_uri().replace("file://", "pcap://", 1)
    return sockets.url([source], max_packet_size=packet)


async def _work(
    sources: list[_Source], receiver: ReceiverArguments, memory: MemoryArguments | None, pool: ThreadPool
) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(source.receive(receiver, memory, pool))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


@click.command(
    "recv",
    params=[
        click.Argument(["sources"], metavar="SOURCE|URL...", nargs=-1, required=True),
        arguments.log_level(),
        click.Option(["--values"], is_flag=True, help="Show the items' values."),
        click.Option(["--descriptors"], is_flag=True, help="Show descriptors."),
        click.Option(["--max-heaps"], type=click.IntRange(min=0), help="Stop after so many heaps."),
        click.Option(["--joint"], is_flag=True, help="All sources are one stream."),
        click.Option(["--tcp"], is_flag=True, help="Use TCP instead of UDP."),
        arguments.pyspead(),
        *arguments.receiver(),
        click.Option(["--mem-pool"], is_flag=True, help="Take the heaps' memory from a pool."),
        click.Option(
            ["--mem-lower"], type=int, default=16 << 10, show_default=True, help="Smallest heap that the pool is for."
        ),
        click.Option(
            ["--mem-upper"], type=int, default=32 << 20, show_default=True, help="Largest heap that the pool is for."
        ),
        *arguments.memory_pool(),
        click.Option(["--packet"], type=arguments.POSITIVE, help="Largest packet to accept, in bytes."),
        *arguments.sockets(),
    ],
)
def recv(sources: tuple[str, ...], log: str, joint: bool, mem_pool: bool, packet: int | None, **given: Any) -> None:
    """Receive from one or several sources, and say what arrives.

    A source is a host:port or a port, for UDP or with --tcp for TCP, the name of a file of captured packets, or a URL
    of any transport.
    """
    log_to_stderr(log)
    sockets, output = SocketArguments.pick(given), _OutputArguments.pick(given)
    memory = MemoryArguments.pick(given) if mem_pool else None
    with give_up_on_errors():
        urls = [source_url(source, sockets, packet) for source in sources]
        if joint:
            streams = [_Source(",".join(sources), urls, output)]
        else:
            streams = [_Source(name, [url], output) for name, url in zip(sources, urls, strict=True)]
        with (
            sockets.thread_pool() as pool,
            progress(lambda: f"{sum(stream.heaps for stream in streams)} heaps"),
        ):
            code = run(_work(streams, ReceiverArguments.pick(given), memory, pool))
    sys.exit(code)
