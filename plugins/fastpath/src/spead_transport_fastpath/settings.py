"""From the settings of receiving streams, and their thread pool, to the library's."""

from __future__ import annotations

from spead_transport.engine.interface import EndPolicy
from spead_transport.engine.memory import MemoryAllocator
from spead_transport.engine.recv_config import MEMCPY_NONTEMPORAL, RingStreamConfig, StreamConfig
from spead_transport.engine.thread_pool import ThreadPool

from . import _native

__all__ = ["assign_worker", "receive_settings"]


def assign_worker(thread_pool: ThreadPool) -> _native.Worker:
    """The thread of a pool that drives what is added next."""
    return thread_pool.workers("native", _native.Workers, _native.Workers).assign()


def receive_settings(config: StreamConfig, ring_config: RingStreamConfig, end: EndPolicy) -> _native.ReceiveSettings:
    # The default allocator's memory is ordinary memory, of which the library has a pool of its own.
    own_memory = type(config.memory_allocator) is MemoryAllocator
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
        allocator=None if own_memory else config.memory_allocator,
    )
