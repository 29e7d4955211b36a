"""A pool of memory whose blocks native streams take without Python."""

from __future__ import annotations

from spead_transport.engine.memory import MemoryAllocator
from spead_transport.engine.memory_pool import MemoryPool
from spead_transport.engine.pool_blocks import MemoryPoolStatistics, PoolBlocks, PoolSettings
from spead_transport.protocol.batch import Bytes

from . import _native
from .workers import assign_worker

__all__ = ["NativePoolBlocks", "native_allocator"]


class NativePoolBlocks(PoolBlocks):
    """See :class:`~spead_transport.engine.pool_blocks.PoolBlocks`."""

    def __init__(self, settings: PoolSettings) -> None:
        self._thread_pool = settings.thread_pool  # which ends its threads when it is garbage
        self.native: _native.BlockPool = _native.BlockPool(
            lower=settings.lower,
            upper=settings.upper,
            max_free=settings.max_free,
            initial=settings.initial,
            low_water=settings.low_water,
            allocator=None if type(settings.allocator) is MemoryAllocator else settings.allocator,
            worker=None if settings.thread_pool is None else assign_worker(settings.thread_pool),
        )

    @property
    def warn_on_empty(self) -> bool:
        return self.native.warn_on_empty

    @warn_on_empty.setter
    def warn_on_empty(self, value: bool) -> None:
        self.native.set_warn_on_empty(value)

    def allocate(self, size: int) -> Bytes:
        return self.native.allocate(size)

    def statistics(self) -> MemoryPoolStatistics:
        free, lent, made, in_background, when_empty, released, requests, out_of_range, peak = self.native.statistics()
        return MemoryPoolStatistics(
            free=free,
            lent=lent,
            made=made,
            made_in_background=in_background,
            made_when_empty=when_empty,
            released=released,
            requests=requests,
            requests_out_of_range=out_of_range,
            peak_lent=peak,
        )


def native_allocator(allocator: MemoryAllocator) -> MemoryAllocator | _native.BlockPool | None:
    """Where the library gets the memory of heaps from; ``None`` for what it has itself."""
    if type(allocator) is MemoryAllocator:  # ordinary memory, of which the library has a pool of its own
        return None
    # A class derived from the pool's may allocate in another way.
    if isinstance(allocator, MemoryPool) and type(allocator).allocate is MemoryPool.allocate:
        blocks = allocator.blocks
        if isinstance(blocks, NativePoolBlocks):
            return blocks.native
    return allocator
