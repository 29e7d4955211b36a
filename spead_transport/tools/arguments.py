"""The arguments that several tools have, and what they mean."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import urlencode

import attrs
import click

from ..engine.memory_pool import MemoryPool
from ..engine.recv_config import MEMCPY_NONTEMPORAL, MEMCPY_STD, RingStreamConfig
from ..engine.recv_config import StreamConfig as RecvConfig
from ..engine.send_config import RateMethod
from ..engine.send_config import StreamConfig as SendConfig
from ..engine.thread_pool import ThreadPool, parse_range_list
from ..errors import no_ibverbs
from ..protocol.constants import BUG_COMPAT_PYSPEAD_0_5_2
from ..protocol.flavour import Flavour
from ..transport import Endpoints

__all__ = [
    "Arguments",
    "MemoryArguments",
    "ReceiverArguments",
    "SenderArguments",
    "SocketArguments",
    "heap_size",
    "log_level",
    "memory_pool",
    "pyspead",
    "receiver",
    "sender",
    "sockets",
]

_BYTES_PER_GIGABIT: Final = 1e9 / 8
POSITIVE: Final = click.IntRange(min=1)
_NATURAL: Final = click.IntRange(min=0)


@attrs.frozen(kw_only=True)
class Arguments:
    """Arguments that belong together."""

    @classmethod
    def pick(cls, given: Mapping[str, Any], prefix: str = "") -> Self:
        """Those of all arguments that are meant, whose names may have a prefix."""
        names = attrs.fields_dict(cls)
        return cls(**{name: given[prefix + name] if prefix + name in given else given[name] for name in names})


# -------------------------------------------------------------------------------------------------------- sockets


@attrs.frozen(kw_only=True)
class SocketArguments(Arguments):
    """What the arguments say of sockets and threads. URLs say it of their transports themselves."""

    tcp: bool
    bind: str | None
    buffer: int | None
    ibv: bool
    affinity: str | None
    threads: int

    def thread_pool(self) -> ThreadPool:
        """The threads that were asked for."""
        return ThreadPool(self.threads, parse_range_list(self.affinity or ""))

    def url(self, endpoints: Sequence[str], **more: object) -> str:
        """The URL of UDP or TCP at `endpoints`, with the options that were given.

        Raises
        ------
        TransportError
            If ibverbs are asked for.
        """
        if self.ibv:
            raise no_ibverbs("plain UDP, without ibverbs arguments")
        options = {"interface": self.bind, "buffer_size": self.buffer, **more}
        query = urlencode({name: value for name, value in options.items() if value is not None}, safe=":")
        address = str(Endpoints.parse(",".join(endpoints)))
        return f"{'tcp' if self.tcp else 'udp'}://{address}{'?' if query else ''}{query}"

    def check_url(self, url: str, **more: object) -> None:
        """Refuse arguments that have no effect because `url` was given.

        Raises
        ------
        ValueError
            If there are some.
        """
        given = {"tcp": self.tcp, "bind": self.bind, "buffer": self.buffer, "ibv": self.ibv, **more}
        names = [f"--{name}" for name, value in given.items() if value not in (None, False)]
        if names:
            raise ValueError(f"{', '.join(names)}: for host:port only; {url} has its options after a question mark")


def sockets(prefix: str = "") -> list[click.Parameter]:
    """The arguments behind :class:`SocketArguments`, except ``--tcp``."""
    return [
        click.Option([f"--{prefix}buffer"], type=_NATURAL, metavar="BYTES", help="Size of the socket's buffer."),
        click.Option([f"--{prefix}bind"], metavar="ADDRESS", help="Address of the interface."),
        click.Option([f"--{prefix}ibv"], is_flag=True, help="Not supported: ibverbs."),
        click.Option([f"--{prefix}ibv-vector"], type=int, default=0, help="Has no effect: for ibverbs only."),
        click.Option([f"--{prefix}ibv-max-poll"], type=int, default=10, help="Has no effect: for ibverbs only."),
        click.Option([f"--{prefix}affinity"], metavar="LIST", help="Processors to pin threads to: 0,2-5."),
        click.Option([f"--{prefix}threads"], type=POSITIVE, default=1, show_default=True, help="Worker threads."),
    ]


# -------------------------------------------------------------------------------------------------------- sending


@attrs.frozen(kw_only=True)
class SenderArguments(Arguments):
    """How to send."""

    pyspead: bool
    addr_bits: int
    packet: int
    burst: int
    burst_rate_ratio: float
    max_heaps: int
    rate_method: str
    rate: float

    def flavour(self) -> Flavour:
        return Flavour(4, 64, self.addr_bits, BUG_COMPAT_PYSPEAD_0_5_2 if self.pyspead else 0)

    def config(self, rate: float | None = None) -> SendConfig:
        """The settings of the stream.

        Parameters
        ----------
        rate
            In bytes per second; by default the one that was asked for.
        """
        return SendConfig(
            max_packet_size=self.packet,
            rate=self.rate * _BYTES_PER_GIGABIT if rate is None else rate,
            burst_size=self.burst,
            burst_rate_ratio=self.burst_rate_ratio,
            max_heaps=self.max_heaps,
            rate_method=RateMethod[self.rate_method.upper()],
        )


def sender() -> list[click.Parameter]:
    """The arguments of senders, except ``--packet`` and ``--rate``."""
    methods = click.Choice([method.name for method in RateMethod], case_sensitive=False)
    defaults = SendConfig()
    return [
        click.Option(["--addr-bits"], type=int, default=40, show_default=True, help="Bits of a heap address."),
        click.Option(
            ["--burst"],
            type=POSITIVE,
            default=defaults.burst_size,
            show_default=True,
            metavar="BYTES",
            help="The rate is kept over so much, which goes at once.",
        ),
        click.Option(
            ["--burst-rate-ratio"],
            type=float,
            default=defaults.burst_rate_ratio,
            show_default=True,
            metavar="RATIO",
            help="How many times the rate a stream that is late may go.",
        ),
        click.Option(
            ["--max-heaps"], type=POSITIVE, default=defaults.max_heaps, show_default=True, help="Heaps in flight."
        ),
        click.Option(["--rate-method"], type=methods, default=defaults.rate_method.name, help="Who keeps the rate."),
        click.Option(["--ttl"], type=click.IntRange(0, 255), help="Routers that a multicast packet may pass."),
    ]


# ------------------------------------------------------------------------------------------------------ receiving


@attrs.frozen(kw_only=True)
class MemoryArguments(Arguments):
    """A pool for the heaps' memory."""

    mem_lower: int
    mem_upper: int
    mem_max_free: int
    mem_initial: int

    def pool(self) -> MemoryPool:
        return MemoryPool(self.mem_lower, self.mem_upper, self.mem_max_free, self.mem_initial)


@attrs.frozen(kw_only=True)
class ReceiverArguments(Arguments):
    """How to receive."""

    pyspead: bool
    memcpy_nt: bool
    concurrent_heaps: int
    substreams: int
    ring_heaps: int

    def config(self, pool: MemoryPool | None) -> RecvConfig:
        """The settings of the stream."""
        config = RecvConfig(
            max_heaps=self.concurrent_heaps,
            substreams=self.substreams,
            bug_compat=BUG_COMPAT_PYSPEAD_0_5_2 if self.pyspead else 0,
            memcpy=MEMCPY_NONTEMPORAL if self.memcpy_nt else MEMCPY_STD,
        )
        if pool is not None:
            config.memory_allocator = pool
        return config

    def ring_config(self) -> RingStreamConfig:
        return RingStreamConfig(heaps=self.ring_heaps)


def receiver() -> list[click.Parameter]:
    """The arguments of receivers, except ``--packet``."""
    return [
        click.Option(["--memcpy-nt"], is_flag=True, help="Copy past the processor's caches."),
        click.Option(
            ["--concurrent-heaps"],
            type=POSITIVE,
            default=RecvConfig().max_heaps,
            show_default=True,
            help="Incomplete heaps of a substream at a time.",
        ),
        click.Option(["--substreams"], type=POSITIVE, default=1, show_default=True, help="Parallel substreams."),
        click.Option(
            ["--ring-heaps"],
            type=POSITIVE,
            default=RingStreamConfig().heaps,
            show_default=True,
            help="Heaps that may wait to be used.",
        ),
    ]


def memory_pool() -> list[click.Parameter]:
    """How many buffers a pool keeps."""
    return [
        click.Option(["--mem-max-free"], type=_NATURAL, default=12, show_default=True, help="Free buffers to keep."),
        click.Option(["--mem-initial"], type=_NATURAL, default=8, show_default=True, help="Free buffers at first."),
    ]


# ------------------------------------------------------------------------------------------------------------ data


def heap_size() -> click.Option:
    return click.Option(
        ["--heap-size"], type=POSITIVE, default=4 << 20, show_default=True, metavar="BYTES", help="Payload of a heap."
    )


def pyspead() -> click.Option:
    return click.Option(["--pyspead"], is_flag=True, help="Do as PySPEAD 0.5.2 did.")


def log_level() -> click.Option:
    levels = click.Choice([*logging.getLevelNamesMapping()], case_sensitive=False)
    return click.Option(
        ["--log"], type=levels, default="INFO", metavar="LEVEL", show_default=True, help="What to log."
    )
