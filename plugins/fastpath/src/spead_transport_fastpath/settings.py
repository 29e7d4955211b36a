"""From the settings of receiving streams to the library's."""

from __future__ import annotations

from spead_transport.engine.interface import EndPolicy
from spead_transport.engine.recv_config import MEMCPY_NONTEMPORAL, RingStreamConfig, StreamConfig

from . import _native
from .memory import native_allocator

__all__ = ["receive_settings"]


def receive_settings(config: StreamConfig, ring_config: RingStreamConfig, end: EndPolicy) -> _native.ReceiveSettings:
    return _native.ReceiveSettings(
        max_heaps=config.max_heaps,
        substreams=config.substreams,
        bug_compat=config.bug_compat,
        nontemporal=config.memcpy == MEMCPY_NONTEMPORAL,
        stop_on_stop_item=config.stop_on_stop_item,
        allow_unsized_heaps=config.allow_unsized_heaps,
        allow_out_of_order=config.allow_out_of_order,
        sequential_heaps=config.sequential_heaps,
        max_heap_size=config.max_heap_size,
        max_heap_age=config.max_heap_age,
        explicit_start=config.explicit_start,
        ring_heaps=ring_config.heaps,
        contiguous_only=ring_config.contiguous_only,
        keep_payload_ranges=ring_config.incomplete_keep_payload_ranges,
        end_with_any=end == "any",
        allocator=native_allocator(config.memory_allocator),
    )
