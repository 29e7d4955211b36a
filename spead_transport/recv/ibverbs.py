"""Classic name for receiving past the kernel with ibverbs, which this package does not do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import attrs

from ..engine.validators import non_negative

__all__ = ["UdpIbvConfig"]


def _size_or_default(size: int) -> int:
    return size or UdpIbvConfig.DEFAULT_BUFFER_SIZE


@attrs.define(kw_only=True)
class UdpIbvConfig:
    """Where and how a stream would be received with ibverbs.

    Parameters
    ----------
    endpoints
        Host and port of each source.
    interface_address
        Address of the network adapter.
    buffer_size
        Of the receive buffer, in bytes; 0 is the default.
    max_size
        Largest packet, in bytes.
    comp_vector, max_poll
        How completions are waited for.
    """

    DEFAULT_BUFFER_SIZE: ClassVar[int] = 16 * 1024 * 1024
    DEFAULT_MAX_SIZE: ClassVar[int] = 9200
    DEFAULT_MAX_POLL: ClassVar[int] = 10

    endpoints: Sequence[tuple[str, int]] = attrs.field(factory=list)
    interface_address: str = ""
    buffer_size: int = attrs.field(default=DEFAULT_BUFFER_SIZE, converter=_size_or_default, validator=non_negative)
    max_size: int = attrs.field(default=DEFAULT_MAX_SIZE, validator=attrs.validators.ge(1))
    comp_vector: int = 0
    max_poll: int = attrs.field(default=DEFAULT_MAX_POLL, validator=attrs.validators.ge(1))
