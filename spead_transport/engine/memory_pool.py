"""A pool of memory for heaps, so that the system is not asked for new memory for each of them."""

from __future__ import annotations

from typing import Any, overload

from ..protocol.batch import Bytes
from .memory import MemoryAllocator
from .pool_blocks import MemoryPoolStatistics, PoolBlocks, PoolSettings
from .selection import get_engine
from .thread_pool import ThreadPool
from .validators import flag_value, positive_int, unsigned

__all__ = ["MemoryPool", "MemoryPoolStatistics"]


class MemoryPool(MemoryAllocator):
    """Keeps memory that heaps no longer use for the heaps to come.

    ``MemoryPool(lower, upper, max_free, initial, allocator=None)``, or with a thread pool whose threads refill the
    pool before it is empty, ``MemoryPool(thread_pool, lower, upper, max_free, initial, low_water, allocator=None)``.

    Parameters
    ----------
    thread_pool
        Whose threads refill the pool in the background.
    lower, upper
        Requests for this many bytes are served, with blocks of `upper` bytes; others go to the `allocator`.
    max_free
        How many unused blocks are kept at most.
    initial
        How many blocks are made at once.
    low_water
        When fewer blocks than this are unused, more are made in the background.
    allocator
        Where the pool gets its memory from; ordinary memory if not given.

    Raises
    ------
    ValueError
        If `lower` is larger than `upper`, or `initial` or `low_water` larger than `max_free`.
    TypeError
        For a value of the wrong type, or a negative one.
    MemoryError
        If there is no memory for the initial blocks.
    RuntimeError
        If the thread pool was stopped.
    """

    @overload
    def __init__(
        self, lower: int, upper: int, max_free: int, initial: int, allocator: MemoryAllocator | None = None
    ) -> None: ...
    @overload
    def __init__(
        self,
        thread_pool: ThreadPool,
        lower: int,
        upper: int,
        max_free: int,
        initial: int,
        low_water: int,
        allocator: MemoryAllocator | None = None,
    ) -> None: ...
    def __init__(self, *arguments: Any, **named: Any) -> None:
        if "thread_pool" in named or (arguments and isinstance(arguments[0], ThreadPool)):
            self._set_up_with_threads(*arguments, **named)
        else:
            self._set_up(*arguments, **named)

    def _set_up_with_threads(
        self,
        thread_pool: ThreadPool,
        lower: int,
        upper: int,
        max_free: int,
        initial: int,
        low_water: int,
        allocator: MemoryAllocator | None = None,
    ) -> None:
        if not isinstance(thread_pool, ThreadPool):
            raise TypeError(f"thread_pool must be a ThreadPool, not {thread_pool!r}")
        self._set_up(lower, upper, max_free, initial, allocator, low_water=low_water, thread_pool=thread_pool)

    def _set_up(
        self,
        lower: int,
        upper: int,
        max_free: int,
        initial: int,
        allocator: MemoryAllocator | None = None,
        *,
        low_water: int = 0,
        thread_pool: ThreadPool | None = None,
    ) -> None:
        lower, upper = unsigned(lower, "lower"), positive_int(upper, "upper")
        if lower > upper:
            raise ValueError(f"lower={lower} must not be larger than upper={upper}")
        max_free = unsigned(max_free, "max_free")
        for name, value in (("initial", initial), ("low_water", low_water)):
            if unsigned(value, name) > max_free:
                raise ValueError(f"{name}={value} must not be larger than max_free={max_free}: it could not be kept")
        if not isinstance(allocator, MemoryAllocator | None):
            raise TypeError(f"allocator must be a MemoryAllocator, not {allocator!r}")
        self._settings = PoolSettings(
            lower=lower,
            upper=upper,
            max_free=max_free,
            initial=initial,
            low_water=low_water,
            allocator=MemoryAllocator() if allocator is None else allocator,
            thread_pool=thread_pool,
        )
        self._blocks = _blocks(self._settings)

    def __repr__(self) -> str:
        upper, lower = self._settings.upper, self._settings.lower
        return f"<MemoryPool of {upper} bytes for requests from {lower} on: {self.statistics().free} free>"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def blocks(self) -> PoolBlocks:
        """For engines: what is inside."""
        return self._blocks

    @property
    def warn_on_empty(self) -> bool:
        """Whether a warning is logged when a request finds the pool empty."""
        return self._blocks.warn_on_empty

    @warn_on_empty.setter
    def warn_on_empty(self, value: bool) -> None:
        self._blocks.warn_on_empty = flag_value(value, "warn_on_empty")

    def statistics(self) -> MemoryPoolStatistics:
        """A snapshot of what was counted."""
        return self._blocks.statistics()

    def allocate(self, size: int) -> Bytes:
        """Memory of `size` bytes from the pool, or from the allocator if the pool is empty or not made for the size.

        Raises
        ------
        MemoryError
            If the allocator has none.
        """
        return self._blocks.allocate(size)


def _blocks(settings: PoolSettings) -> PoolBlocks:
    blocks = get_engine().pool_blocks(settings) or get_engine("python").pool_blocks(settings)
    assert blocks is not None
    return blocks
