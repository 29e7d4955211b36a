"""Classic names for sending past the kernel with ibverbs, which this package does not do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from ..engine.send_config import StreamConfig
from ..engine.thread_pool import ThreadPool
from ..engine.validators import non_negative, unsigned
from ..errors import no_ibverbs
from .stream import SyncStream

__all__ = ["UdpIbvConfig", "UdpIbvStream"]


def _hops(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    if unsigned(value, attribute.name) > 255:
        raise ValueError(f"{attribute.name} must be at most 255, not {value}")


def _size_or_default(size: int) -> int:
    return size or UdpIbvConfig.DEFAULT_BUFFER_SIZE


@attrs.define(kw_only=True)
class UdpIbvConfig:
    """Where and how a stream would be sent with ibverbs.

    Parameters
    ----------
    endpoints
        Host and port of each substream.
    interface_address
        Address of the network adapter.
    buffer_size
        Of the send buffer, in bytes; 0 is the default.
    ttl
        How many routers a multicast packet may pass.
    comp_vector, max_poll
        How completions are waited for.
    memory_regions
        Memory to send from without copying.
    """

    DEFAULT_BUFFER_SIZE: ClassVar[int] = 512 * 1024
    DEFAULT_MAX_POLL: ClassVar[int] = 10

    endpoints: Sequence[tuple[str, int]] = attrs.field(factory=list)
    interface_address: str = ""
    buffer_size: int = attrs.field(default=DEFAULT_BUFFER_SIZE, converter=_size_or_default, validator=non_negative)
    ttl: int = attrs.field(default=1, validator=_hops)
    comp_vector: int = 0
    max_poll: int = attrs.field(default=DEFAULT_MAX_POLL, validator=attrs.validators.ge(1))
    memory_regions: Sequence[Any] = attrs.field(factory=list)


class UdpIbvStream(SyncStream):
    """Would send with ibverbs.

    Raises
    ------
    TransportError
        Always: use :class:`UdpStream`.
    """

    def __init__(self, thread_pool: ThreadPool | None, config: StreamConfig, udp_ibv_config: UdpIbvConfig) -> None:
        raise no_ibverbs("send.UdpStream")
