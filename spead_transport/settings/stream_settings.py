"""Settings of a stream of either direction, under the names that configuration uses."""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs

from ..engine.interface import EndPolicy
from ..engine.recv_config import MEMCPY_NONTEMPORAL, MEMCPY_STD, RingStreamConfig
from ..engine.recv_config import StreamConfig as RecvConfig
from ..engine.send_config import RateMethod
from ..engine.send_config import StreamConfig as SendConfig
from ..transport import option
from ..transport.options import Options

__all__ = ["StreamSettings"]

_SEND: Final = attrs.fields_dict(SendConfig)
_RECV: Final = attrs.fields_dict(RecvConfig)
_RING: Final = attrs.fields_dict(RingStreamConfig)
_MEMCPY: Final = {"std": MEMCPY_STD, "nontemporal": MEMCPY_NONTEMPORAL}


def _as(field: attrs.Attribute[Any], help: str, unit: str = "") -> Any:
    """An option with the default and the limits of a setting of the engines."""
    return option(field.default, help, unit=unit, validator=field.validator)


@attrs.frozen(kw_only=True)
class StreamSettings(Options):
    """Settings of a stream. Those that concern one direction have no effect on the other.

    The names are those of :class:`send.StreamConfig`, :class:`recv.StreamConfig` and :class:`recv.RingStreamConfig`,
    except ``ring_heaps``. A memory allocator and statistics of the user's own are code, not configuration, and are
    given to the functions that open streams.
    """

    engine: str = option("", "engines in order of preference, with commas; by default the fastest that is installed")
    max_heaps: int = _as(
        _SEND["max_heaps"],
        "sending: how many heaps may be waiting; receiving: how many heaps of a substream may be incomplete",
        "heaps",
    )
    max_packet_size: int = _as(_SEND["max_packet_size"], "sending: largest packet, SPEAD headers included", "bytes")
    rate: float = _as(_SEND["rate"], "sending: SPEAD headers included; 0 sends as fast as it goes", "bytes/s")
    burst_size: int = _as(_SEND["burst_size"], "sending: the rate is kept over so much, which goes at once", "bytes")
    burst_rate_ratio: float = _as(_SEND["burst_rate_ratio"], "sending: how many times the rate a late stream may go")
    rate_method: RateMethod = _as(_SEND["rate_method"], "sending: who keeps the rate, sw, hw (the adapter) or auto")
    ring_heaps: int = _as(_RING["heaps"], "receiving: how many heaps may wait for the user", "heaps")
    contiguous_only: bool = _as(_RING["contiguous_only"], "receiving: whether incomplete heaps are left out")
    incomplete_keep_payload_ranges: bool = _as(
        _RING["incomplete_keep_payload_ranges"], "receiving: whether incomplete heaps know what arrived of them"
    )
    end: EndPolicy = option(
        "all",
        "receiving: whether the stream ends when all of its readers have ended, or with the first of them (any)",
        validator=attrs.validators.in_(("all", "any")),
    )
    substreams: int = _as(_RECV["substreams"], "receiving: into how many substreams heaps are sorted, by heap cnt")
    max_heap_size: int = _as(_RECV["max_heap_size"], "receiving: largest heap that is accepted", "bytes")
    max_heap_age: float = _as(
        _RECV["max_heap_age"], "receiving: how long a heap may be incomplete; 0 for any time", "seconds"
    )
    sequential_heaps: bool = _as(
        _RECV["sequential_heaps"],
        "receiving: whether heaps come one by one; one without a length is complete when the next starts",
    )
    allow_out_of_order: bool = _as(
        _RECV["allow_out_of_order"], "receiving: whether the packets of a heap may come in any order"
    )
    allow_unsized_heaps: bool = _as(
        _RECV["allow_unsized_heaps"], "receiving: whether heaps that do not tell their length are accepted"
    )
    stop_on_stop_item: bool = _as(_RECV["stop_on_stop_item"], "receiving: whether a stop item ends the stream")
    explicit_start: bool = _as(_RECV["explicit_start"], "receiving: whether nothing is received before start()")
    stream_id: int = _as(_RECV["stream_id"], "receiving: a number for the user's own purposes")
    bug_compat: int = _as(_RECV["bug_compat"], "receiving: BUG_COMPAT_* flags, to understand the sender")
    memcpy: Literal["std", "nontemporal"] = option(
        "std", "receiving: how payload is copied: std or nontemporal", validator=attrs.validators.in_(tuple(_MEMCPY))
    )

    def send_config(self, call: SendConfig | None = None) -> SendConfig:
        """The settings for sending.

        Parameters
        ----------
        call
            What the program asks for itself: a field of it that has not its default counts more than what is here.
        """
        own = SendConfig(
            max_packet_size=self.max_packet_size,
            rate=self.rate,
            burst_size=self.burst_size,
            max_heaps=self.max_heaps,
            burst_rate_ratio=self.burst_rate_ratio,
            rate_method=self.rate_method,
        )
        return own if call is None else attrs.evolve(own, **_chosen(call, _SEND))

    def recv_config(self, call: RecvConfig | None = None) -> RecvConfig:
        """The settings for receiving; `call` as for :meth:`send_config`."""
        values: dict[str, Any] = {
            "max_heaps": self.max_heaps,
            "substreams": self.substreams,
            "bug_compat": self.bug_compat,
            "memcpy": _MEMCPY[self.memcpy],
            "stop_on_stop_item": self.stop_on_stop_item,
            "allow_unsized_heaps": self.allow_unsized_heaps,
            "allow_out_of_order": self.allow_out_of_order,
            "stream_id": self.stream_id,
            "explicit_start": self.explicit_start,
            "max_heap_size": self.max_heap_size,
            "max_heap_age": self.max_heap_age,
            "sequential_heaps": self.sequential_heaps,
        }
        config = RecvConfig() if call is None else call.copy()
        for name, value in values.items():
            if getattr(config, name) == _RECV[name].default:
                setattr(config, name, value)
        return config

    def ring_config(self, call: RingStreamConfig | None = None) -> RingStreamConfig:
        """The settings of the ring of heaps that wait for the user; `call` as for :meth:`send_config`."""
        own = RingStreamConfig(
            heaps=self.ring_heaps,
            contiguous_only=self.contiguous_only,
            incomplete_keep_payload_ranges=self.incomplete_keep_payload_ranges,
        )
        return own if call is None else attrs.evolve(own, **_chosen(call, _RING))


def _chosen(call: object, fields: dict[str, attrs.Attribute[Any]]) -> dict[str, Any]:
    """The values that differ from their defaults."""
    return {name: getattr(call, name) for name, field in fields.items() if getattr(call, name) != field.default}
