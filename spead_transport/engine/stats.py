"""Statistics of streams. Those of receiving ones are named counters and maxima."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, Final, Self, TypeVar, overload

import attrs

from ..protocol.rejection import Rejection

__all__ = ["CORE_STATS", "EXTRA_STATS", "RingStatistics", "SenderStatistics", "StreamStatConfig", "StreamStats"]

D = TypeVar("D")


@attrs.frozen(kw_only=True)
class SenderStatistics:
    """What became of the heaps that a stream was given.

    Each heap is sent, failed, refused, or waiting.
    """

    heaps_sent: int = 0
    #: SPEAD headers included; of failed heaps, what is known to have gone out.
    bytes_sent: int = 0
    #: Heaps that an error, a time limit or :meth:`close` kept from being sent as a whole.
    heaps_failed: int = 0
    #: Heaps that were not taken because ``max_heaps`` heaps were waiting.
    heaps_refused: int = 0
    heaps_waiting: int = 0
    #: The most that were in the engine's hands at a time, those that it refused included.
    peak_waiting: int = 0


@attrs.frozen(kw_only=True)
class RingStatistics:
    """What went through a ring. All that was put there was taken, or waits."""

    put: int = 0
    taken: int = 0
    waiting: int = 0
    #: The most that ever waited.
    peak: int = 0
    #: How often there was no room, so that a stream's reader was paused.
    full: int = 0


@attrs.frozen
class StreamStatConfig:
    """Name of a statistic, and how two values of it combine."""

    class Mode(enum.Enum):
        """How two values combine."""

        COUNTER = 0  #: to their sum
        MAXIMUM = 1  #: to the larger one

    name: str
    mode: Mode = Mode.COUNTER

    def combine(self, a: int, b: int) -> int:
        """The value of both together."""
        return a + b if self.mode is StreamStatConfig.Mode.COUNTER else max(a, b)


#: What every stream counts, in the order of ``recv.stream_stat_indices``. Each packet that a transport handed to a
#: stream is in exactly one of ``packets`` and the ``rejected_…`` counters.
CORE_STATS: Final = (
    StreamStatConfig("heaps"),
    StreamStatConfig("incomplete_heaps_evicted"),
    StreamStatConfig("incomplete_heaps_flushed"),
    StreamStatConfig("packets"),
    StreamStatConfig("batches"),
    StreamStatConfig("max_batch", StreamStatConfig.Mode.MAXIMUM),
    StreamStatConfig("single_packet_heaps"),
    StreamStatConfig("search_dist"),
    StreamStatConfig("worker_blocked"),
)
#: Counters that the packages that came before do not have; they follow a stream's own statistics.
EXTRA_STATS: Final = (
    *(StreamStatConfig(reason.stat_name) for reason in Rejection if reason is not Rejection.NONE),
    StreamStatConfig("heaps_discarded"),
    StreamStatConfig("transport_drops"),
)


class StreamStats(MutableMapping[str, int]):
    """A snapshot of a stream's statistics: a mapping by name, also by index and as attributes."""

    __slots__ = ("_config", "_index", "_values")
    _config: tuple[StreamStatConfig, ...]
    _index: dict[str, int]
    _values: list[int]

    def __init__(self, config: Iterable[StreamStatConfig], values: Iterable[int] | None = None) -> None:
        self._config = tuple(config)
        self._index = {stat.name: i for i, stat in enumerate(self._config)}
        self._values = [0] * len(self._config) if values is None else list(values)

    @property
    def config(self) -> list[StreamStatConfig]:
        """What is counted, in the order of the indices."""
        return list(self._config)

    def _position(self, key: int | str) -> int:
        if isinstance(key, str):
            return self._index[key]
        if not -len(self._values) <= key < len(self._values):
            raise IndexError(f"there are {len(self._values)} statistics, none with index {key}")
        return key

    def __getitem__(self, key: int | str) -> int:
        return self._values[self._position(key)]

    def __setitem__(self, key: int | str, value: int) -> None:
        self._values[self._position(key)] = value

    def __delitem__(self, key: str) -> None:
        raise TypeError("statistics cannot be deleted")

    def __getattr__(self, name: str) -> int:
        try:
            return self._values[self._index[name]]
        except KeyError:
            raise AttributeError(f"no statistic is named {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in StreamStats.__slots__:
            object.__setattr__(self, name, value)
        elif name in self._index:
            self[name] = value
        else:
            raise AttributeError(f"no statistic is named {name!r}")

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._config)

    @overload
    def get(self, key: str, /) -> int | None: ...
    @overload
    def get(self, key: str, default: int | D, /) -> int | D: ...
    def get(self, key: str, default: object = None, /) -> object:
        position = self._index.get(key)
        return default if position is None else self._values[position]

    def __add__(self, other: StreamStats) -> StreamStats:
        """The statistics of both together.

        Raises
        ------
        ValueError
            If the two do not count the same things.
        """
        if not isinstance(other, StreamStats):
            return NotImplemented
        if self._config != other._config:
            raise ValueError("cannot add statistics of streams that count different things")
        pairs = zip(self._config, self._values, other._values, strict=True)
        return StreamStats(self._config, [stat.combine(a, b) for stat, a, b in pairs])

    def __iadd__(self, other: StreamStats) -> Self:
        self._values = (self + other)._values
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StreamStats) and (self._config, self._values) == (other._config, other._values)

    def __hash__(self) -> int:
        raise TypeError("statistics can change and are not hashable")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.items() if value)
        return f"StreamStats({shown})"
