"""What is inside a pool of memory: blocks of one size, which an engine may keep in its own way."""

from __future__ import annotations

from abc import ABC, abstractmethod

import attrs

from ..protocol.batch import Bytes
from .memory import MemoryAllocator
from .thread_pool import ThreadPool

__all__ = ["MemoryPoolStatistics", "PoolBlocks", "PoolSettings"]


@attrs.frozen(kw_only=True)
class MemoryPoolStatistics:
    """What a pool did, in blocks of memory.

    All blocks that were ever made are free, lent, or released: ``made == free + lent + released``.
    """

    #: Waiting in the pool.
    free: int = 0
    #: In use by heaps.
    lent: int = 0
    #: Asked of the allocator: at first, in the background, and because the pool was empty.
    made: int = 0
    made_in_background: int = 0
    made_when_empty: int = 0
    #: Given back to the allocator because ``max_free`` blocks were free.
    released: int = 0
    #: Requests that the pool served.
    requests: int = 0
    #: Requests for less than ``lower`` or more than ``upper`` bytes, which went to the allocator.
    requests_out_of_range: int = 0
    #: The most that were ever lent at a time.
    peak_lent: int = 0


@attrs.frozen(kw_only=True)
class PoolSettings:
    """How a pool is set up: see :class:`~spead_transport.MemoryPool`, which has checked it all."""

    lower: int
    upper: int
    max_free: int
    initial: int
    low_water: int
    allocator: MemoryAllocator
    #: Whose threads refill the pool, if any do.
    thread_pool: ThreadPool | None


class PoolBlocks(ABC):
    """The blocks of a pool, which outlive it while some are lent. Methods may be called from any thread."""

    @property
    @abstractmethod
    def warn_on_empty(self) -> bool:
        """Whether a warning is logged when a request finds no block."""

    @warn_on_empty.setter
    @abstractmethod
    def warn_on_empty(self, value: bool) -> None: ...

    @abstractmethod
    def allocate(self, size: int) -> Bytes:
        """Memory of `size` bytes, from a block if the pool is made for that size, else from the allocator.

        Raises
        ------
        MemoryError
            If the allocator has none.
        """

    @abstractmethod
    def statistics(self) -> MemoryPoolStatistics:
        """A snapshot of what was counted."""
