"""Find the highest rate that another host receives without loss.

The *agent* receives and the *master* sends, trial after trial. Beside the data they have a TCP connection, on which
they talk in lines of JSON: the master sends a :class:`Trial` and later ``{"finish": true}``; the agent answers with
the URL at which it receives, and with what arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import attrs
import cattrs
import click
import numpy as np

from ..engine.thread_pool import ThreadPool, parse_range_list
from ..protocol.generator import ItemGroup
from ..protocol.outgoing import Heap
from ..recv.asyncio import Stream, open_receiver
from ..send.asyncio import open_sender
from ..transport import Endpoint, EndpointRange, Endpoints, split_url, transport_from_url
from . import arguments
from .arguments import Arguments, MemoryArguments, ReceiverArguments, SenderArguments, SocketArguments
from .running import give_up_on_errors, log_to_stderr, run
from .send import Sent, end, send_heaps

__all__ = ["Trial", "bench", "search"]

#: In seconds: how long after the last heap of a trial the agent still waits for more.
_PATIENCE: Final = 0.5
#: In seconds: how long either side waits for the other's answer.
_ANSWER: Final = 30.0
#: What an agent lets a master ask for, in bytes.
_MOST_MEMORY: Final = 4 << 30
#: The search ends when it is so close, relative to the rate.
_PRECISION: Final = 0.02
#: In bits per second: below that nothing arrives at all.
_LOWEST_RATE: Final = 1e6
_converter: Final = cattrs.Converter(forbid_extra_keys=True)


@attrs.frozen(kw_only=True)
class Trial:
    """How the agent is to receive."""

    url: str
    heap_size: int
    receiver: ReceiverArguments
    mem_max_free: int
    mem_initial: int
    affinity: str | None
    threads: int

    def check(self) -> None:
        """Refuse what no master should ask for.

        Raises
        ------
        ValueError
            If the transport does not cross hosts (an agent does not open files for others), or sizes are absurd.
        """
        if transport_from_url(self.url).capabilities.reach != "network":
            raise ValueError(f"{self.url}: expected a transport between hosts")
        if not 0 < self.heap_size <= _MOST_MEMORY:
            raise ValueError(f"expected a heap size up to {_MOST_MEMORY} bytes, not {self.heap_size}")
        if max(self.mem_initial, self.mem_max_free, 1) * self.heap_size > _MOST_MEMORY:
            raise ValueError(f"expected at most {_MOST_MEMORY} bytes of memory for {self.mem_initial} heaps and more")

    def open(self, pool: ThreadPool) -> Stream:
        """Start to receive."""
        memory = MemoryArguments(
            mem_lower=self.heap_size,
            mem_upper=self.heap_size + 4096,
            mem_max_free=self.mem_max_free,
            mem_initial=self.mem_initial,
        )
        return open_receiver(
            self.url,
            config=self.receiver.config(memory.pool()),
            ring_config=self.receiver.ring_config(),
            thread_pool=pool,
        )


@attrs.frozen
class Outcome:
    """What the agent received in a trial."""

    heaps: int
    stats: dict[str, int]


class _Line:
    """The connection between master and agent: a message is a line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")
        await self._writer.drain()

    async def hear(self, seconds: float | None = _ANSWER) -> dict[str, Any]:
        """The next message.

        Raises
        ------
        ConnectionError
            If the other side is gone.
        ValueError
            If it sends something else than lines of JSON, or says that something is wrong.
        """
        async with asyncio.timeout(seconds):
            line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the other side closed the connection")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError(f"expected a JSON object, not {line[:80]!r}")
        if "error" in message:
            raise ValueError(f"the agent says: {message['error']}")
        return message

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


# ----------------------------------------------------------------------------------------------------------- agent


async def _agent(port: int) -> None:
    async with await asyncio.start_server(_serve, sock=_listen(port)) as server:
        click.echo(f"Listening on port {server.sockets[0].getsockname()[1]}")
        await server.serve_forever()


def _listen(port: int) -> socket.socket:
    """One socket for IPv4 and IPv6, if the system has both, so that there is one port."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    line = _Line(reader, writer)
    try:
        while True:
            await _receive_trial(line)
    except ConnectionError:
        pass  # the master has finished
    except (ValueError, OSError, cattrs.BaseValidationError) as error:
        with contextlib.suppress(ConnectionError):
            await line.say({"error": f"{type(error).__name__}: {_reasons(error)}"})
    finally:
        await line.close()


def _reasons(error: BaseException) -> str:
    return "; ".join(cattrs.transform_error(error)) if isinstance(error, cattrs.BaseValidationError) else str(error)


async def _receive_trial(line: _Line) -> None:
    trial = _converter.structure(await line.hear(None), Trial)
    trial.check()
    with ThreadPool(trial.threads, parse_range_list(trial.affinity or "")) as pool:
        async with trial.open(pool) as stream:
            await line.say({"url": stream.urls[0]})
            counting = asyncio.create_task(_count(stream))
            try:
                await line.hear(None)
                heaps = await _settle(stream, counting)
            finally:
                counting.cancel()
            await line.say(_converter.unstructure(Outcome(heaps, dict(stream.stats))))


async def _count(stream: Stream) -> int:
    count = 0
    async for heap in stream:
        count += not heap.is_end_of_stream()
    return count


async def _settle(stream: Stream, counting: asyncio.Task[int]) -> int:
    """The number of heaps, when the stream has ended, or nothing more comes: the packet that ends it may be lost."""
    packets = -1
    while not counting.done() and packets != stream.stats["packets"]:
        packets = stream.stats["packets"]
        await asyncio.wait([counting], timeout=_PATIENCE)
    stream.stop()
    return await counting


# ---------------------------------------------------------------------------------------------------------- master


@attrs.frozen(kw_only=True)
class _MasterArguments(Arguments):
    """What the trials are."""

    heap_size: int
    quiet: bool
    seconds: float
    data_url: str | None
    multicast: str | None


@attrs.frozen
class _Master:
    """Runs trials with an agent."""

    agent: Endpoint
    line: _Line
    what: _MasterArguments
    trial: Trial
    sender: SenderArguments
    sockets: SocketArguments
    ttl: int | None
    pool: ThreadPool

    async def attempt(self, rate: float) -> tuple[Sent, bool]:
        """Send at `rate` bytes per second (0: as fast as it goes); what was sent, and whether all of it arrived."""
        await self.line.say(_converter.unstructure(self.trial))
        url = self._destination(str((await self.line.hear())["url"]))
        group = ItemGroup(flavour=self.sender.flavour())
        data = np.zeros(self.what.heap_size, np.uint8)
        group.add_item(0x1000, "data", "Nothing in particular", data.shape, dtype=data.dtype, value=data)
        heap = group.get_heap(descriptors="none", data="all")
        sent = Sent()
        async with open_sender(url, config=self.sender.config(rate), thread_pool=self.pool) as stream:
            await send_heaps(stream, _until(heap, time.monotonic() + self.what.seconds), sent)
            await end(stream, group.get_end(), None)
        await self.line.say({"finish": True})
        outcome = _converter.structure(await self.line.hear(), Outcome)
        return sent, outcome.heaps == sent.heaps

    def _destination(self, url: str) -> str:
        """The agent's URL with its address in place of "any address", and our options."""
        scheme, address, _ = split_url(url)
        endpoints = [
            endpoint if endpoint.host not in ("", "0.0.0.0", "::") else attrs.evolve(endpoint, host=self.agent.host)
            for endpoint in Endpoints.parse(address)
        ]
        if scheme == "udp" and self.what.data_url is None:
            return self.sockets.url([str(endpoints[0])], **({} if self.ttl is None else {"ttl": self.ttl}))
        return f"{scheme}://{Endpoints(tuple(map(EndpointRange, endpoints)))}"


def _until(heap: Heap, deadline: float) -> Iterator[Heap]:
    """At least two heaps, and more until the deadline."""
    return itertools.chain(
        itertools.repeat(heap, 2), itertools.takewhile(lambda _: time.monotonic() < deadline, itertools.repeat(heap))
    )


async def search(master: _Master) -> float:
    """The highest rate, in bits per second, at which all heaps arrived: by halving, from as fast as it goes.

    It is a rate that was reached: a sender may be slower than it is asked to be.
    """
    sent, good = await master.attempt(0.0)
    if not master.what.quiet:
        click.echo(f"Send rate: {sent.rate / 1e9:.3f} Gbps: {'GOOD' if good else 'BAD'}")
    best = sent.rate if good else 0.0
    low, high = best, sent.rate
    while high - low > _PRECISION * high and high > _LOWEST_RATE:
        rate = (low + high) / 2
        sent, good = await master.attempt(rate / 8)
        if not master.what.quiet:
            click.echo(f"Rate: {rate / 1e9:.3f} Gbps ({sent.rate / 1e9:.3f} actual): {'GOOD' if good else 'BAD'}")
        if good:
            low, best = rate, max(best, sent.rate)
        else:
            high = rate
    return best


async def _work(agent: Endpoint, **parts: Any) -> None:
    line = _Line(*await asyncio.open_connection(agent.host, agent.port))
    try:
        rate = await search(_Master(agent=agent, line=line, **parts))
    finally:
        await line.close()
    click.echo(f"Sustainable rate: {rate / 1e9:.4f} Gbps")


def _data_url(agent: Endpoint, what: _MasterArguments, sockets: SocketArguments, packet: int | None) -> str:
    """Where the agent is to receive."""
    if what.data_url is not None:
        sockets.check_url(what.data_url, packet=packet, multicast=what.multicast)
        return what.data_url
    address = EndpointRange(Endpoint(what.multicast or "", agent.port))
    return sockets.url([str(address)], max_packet_size=packet)


@click.group("bench", params=[arguments.log_level()])
def bench(log: str) -> None:
    """Find the highest rate that another host receives without loss: run an agent there, and a master here."""
    log_to_stderr(log)


@bench.command("agent", params=[click.Argument(["port"], type=click.IntRange(0, 65535))])
def agent(port: int) -> None:
    """Receive what masters send. They connect to PORT; with 0 the system chooses one."""
    with give_up_on_errors():
        sys.exit(run(_agent(port)))


@bench.command(
    "master",
    params=[
        click.Argument(["agent"], metavar="HOST:PORT"),
        click.Option(["--quiet"], is_flag=True, help="Show only the result."),
        arguments.heap_size(),
        click.Option(["--multicast"], metavar="ADDRESS", help="Send by way of a multicast group."),
        click.Option(
            ["--data-url"],
            metavar="URL",
            help="Where the agent receives: tcp://:0 for TCP. By default UDP at its port.",
        ),
        click.Option(
            ["--seconds"], type=click.FloatRange(0.01, 60), default=1.0, show_default=True, help="Length of a trial."
        ),
        arguments.pyspead(),
        *arguments.sender(),
        *arguments.sockets("send-"),
        *arguments.receiver(),
        *arguments.memory_pool(),
        click.Option(["--packet"], type=arguments.POSITIVE, help="Largest packet to send and accept, in bytes."),
        *arguments.sockets("recv-"),
    ],
)
def master(agent: str, packet: int | None, ttl: int | None, **given: Any) -> None:
    """Send to the agent at HOST:PORT, and tell the highest rate without loss."""
    given |= {"tcp": False, "rate": 0.0, "packet": packet or 1472}
    what = _MasterArguments.pick(given)
    sender, receiver = SocketArguments.pick(given, "send_"), SocketArguments.pick(given, "recv_")
    with give_up_on_errors():
        endpoint = EndpointRange.parse(agent).first
        trial = Trial(
            url=_data_url(endpoint, what, receiver, packet),
            heap_size=what.heap_size,
            receiver=ReceiverArguments.pick(given),
            mem_max_free=given["mem_max_free"],
            mem_initial=given["mem_initial"],
            affinity=receiver.affinity,
            threads=receiver.threads,
        )
        with sender.thread_pool() as pool:
            parts = {
                "what": what, "trial": trial, "sender": SenderArguments.pick(given), "sockets": sender, "ttl": ttl,
            }  # fmt: skip
            code = run(_work(endpoint, pool=pool, **parts))
    sys.exit(code)
