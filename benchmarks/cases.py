"""What is measured: cases, and how they scale."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Final, TypeAlias

import attrs

from . import limits
from .chunks import chunks_only
from .library import Library
from .operation import Operation, Unit
from .parts import asynchronous_latency, items, latency, outstanding, receive_only, send_only
from .scaling import across_queues, across_streams
from .streams import carried, inproc, tcp, udp

__all__ = ["CASES", "CURVES", "Case", "Curve", "find"]

#: Makes what is timed with a library.
Prepare: TypeAlias = Callable[[Library], AbstractContextManager[Operation]]

_KIB: Final = 1 << 10
_MIB: Final = 1 << 20
_ETHERNET: Final = 1472  #: bytes of UDP payload in an Ethernet frame
_JUMBO: Final = 8972  #: the same in a jumbo frame
_STREAM: Final = 65000  #: packets for a connection


@attrs.frozen
class Case:
    """Something to measure.

    Parameters
    ----------
    name
        What is done.
    unit
        How the result is told.
    prepare
        Makes it, with a library.
    nbytes
        Payload in bytes of each time, if the unit needs it.
    limit
        Makes the least that the machine has to do for it, if there is something to compare with.
    drivable
        Whether it is measured again with threads that drain the transport.
    """

    name: str
    unit: Unit
    prepare: Prepare
    nbytes: int = 0
    limit: Callable[[], AbstractContextManager[Operation]] | None = None
    drivable: bool = False


@attrs.frozen
class Curve:
    """The same case with several values of something.

    Parameters
    ----------
    name, axis
        What is done, and what varies.
    make
        The case for a value.
    values
        These.
    """

    name: str
    axis: str
    make: Callable[[int], Case]
    values: tuple[int, ...]

    @property
    def unit(self) -> Unit:
        return self.make(self.values[0]).unit

    def case(self, value: int) -> Case:
        """The case for a value, with a name of its own."""
        return attrs.evolve(self.make(value), name=f"{self.name}: {value}")


# --------------------------------------------------------------------------------------------------- the cases


def _size(nbytes: int) -> str:
    for unit, name in ((_MIB, "MiB"), (_KIB, "KiB")):
        if nbytes >= unit:
            return f"{nbytes // unit} {name}"
    return f"{nbytes} B"


def _unit(heap_size: int) -> Unit:
    return Unit.THROUGHPUT if heap_size >= _MIB else Unit.RATE


def _inproc(heap_size: int, packet_size: int) -> Case:
    return Case(
        f"inproc, {_size(heap_size)} heaps, {packet_size} B packets",
        _unit(heap_size),
        partial(carried, link=inproc, heap_size=heap_size, packet_size=packet_size),
        heap_size,
        partial(limits.memcpy, heap_size),
        drivable=True,
    )


def _udp(heap_size: int, packet_size: int) -> Case:
    return Case(
        f"UDP, {_size(heap_size)} heaps, {packet_size} B packets",
        _unit(heap_size),
        partial(carried, link=udp, heap_size=heap_size, packet_size=packet_size),
        heap_size,
        partial(limits.udp, heap_size, packet_size),
    )


def _tcp(heap_size: int) -> Case:
    return Case(
        f"TCP, {_size(heap_size)} heaps, {_STREAM} B packets",
        _unit(heap_size),
        partial(carried, link=tcp, heap_size=heap_size, packet_size=_STREAM),
        heap_size,
        partial(limits.tcp, heap_size),
    )


def _one_end(
    what: str, prepare: Callable[..., AbstractContextManager[Operation]], heap_size: int, packet_size: int = _ETHERNET
) -> Case:
    return Case(
        f"{what}, {_size(heap_size)} heaps, {packet_size} B packets",
        _unit(heap_size),
        partial(prepare, heap_size=heap_size, packet_size=packet_size),
        heap_size,
        partial(limits.memcpy, heap_size),
    )


_UDP_CPU: Final = Case(
    f"CPU time to receive over UDP, 1 MiB heaps, {_ETHERNET} B packets",
    Unit.CPU,
    partial(carried, link=udp, heap_size=_MIB, packet_size=_ETHERNET, receiving_only=True),
    _MIB,
)

CASES: Final = (
    _inproc(_MIB, _ETHERNET),
    _inproc(_MIB, _JUMBO),
    _inproc(_KIB, _ETHERNET),
    _udp(_MIB, _ETHERNET),
    _udp(_MIB, _JUMBO),
    _udp(8 * _KIB, _JUMBO),
    _udp(_KIB, _ETHERNET),
    _udp(64, _ETHERNET),
    _UDP_CPU,
    _tcp(_MIB),
    _one_end("send only", send_only, _MIB),
    *(_one_end("receive only", receive_only, heap_size) for heap_size in (_MIB, _KIB, 64)),
    *(_one_end("chunks only", chunks_only, _MIB, packet_size) for packet_size in (_ETHERNET, _JUMBO)),
    Case("one heap, sent and received", Unit.DURATION, latency),
    Case("one heap, sent and received, asyncio", Unit.DURATION, asynchronous_latency),
    Case("32 sends outstanding, asyncio", Unit.RATE, partial(outstanding, sends=32)),
    Case("get_heap and update, 1 item", Unit.DURATION, partial(items, count=1)),
    Case("get_heap and update, 32 items", Unit.DURATION, partial(items, count=32)),
)


# -------------------------------------------------------------------------------------------------- how they scale


def _interleaved(heaps: int) -> Case:
    prepare = partial(receive_only, heap_size=4 * _KIB, packet_size=_ETHERNET, interleaved=heaps)
    return Case("", Unit.RATE, prepare)


def _throughput(case: Case) -> Case:
    return attrs.evolve(case, unit=Unit.THROUGHPUT, drivable=False)


_HEAP_SIZES: Final = (64, _KIB, 8 * _KIB, 64 * _KIB, _MIB, 16 * _MIB)
_PACKET_SIZES: Final = (256, 512, _ETHERNET, 4096, _JUMBO, 16384, _STREAM)
_COUNTS: Final = (1, 4, 16, 64, 256)

CURVES: Final = (
    Curve(
        "receive only, 4 KiB heaps",
        "incomplete heaps at a time",
        _interleaved,
        (1, 4, 16, 64, 256, 1024, 4096),
    ),
    Curve(
        "inproc, 1 KiB heaps, streams",
        "streams of one thread pool",
        lambda streams: Case("", Unit.RATE, partial(across_streams, streams=streams)),
        _COUNTS,
    ),
    Curve(
        "inproc, 1 KiB heaps, substreams",
        "substreams of one stream",
        lambda queues: Case("", Unit.RATE, partial(across_queues, queues=queues)),
        _COUNTS,
    ),
    Curve("inproc, 1 MiB heaps", "bytes of a packet", lambda size: _throughput(_inproc(_MIB, size)), _PACKET_SIZES),
    Curve("UDP, 1 MiB heaps", "bytes of a packet", lambda size: _throughput(_udp(_MIB, size)), _PACKET_SIZES),
    Curve(
        "inproc, 1472 B packets", "bytes of a heap", lambda size: _throughput(_inproc(size, _ETHERNET)), _HEAP_SIZES
    ),
    Curve("UDP, 1472 B packets", "bytes of a heap", lambda size: _throughput(_udp(size, _ETHERNET)), _HEAP_SIZES),
)

_BY_NAME: Final = {
    case.name: case for case in (*CASES, *(curve.case(value) for curve in CURVES for value in curve.values))
}


def find(name: str) -> Case:
    """The case of that name, be it one of a curve's.

    Raises
    ------
    KeyError
        If there is none.
    """
    return _BY_NAME[name]
