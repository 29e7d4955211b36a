"""A pool of memory for heaps, so that the system is not asked for new memory for each of them.

Memory is lent as an array whose base is a :class:`_Loan`. NumPy's views keep their base alive, so the loan dies with
the last view of the memory, in whichever thread that happens, and then gives the block back.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from typing import Any, Final, overload

import attrs
import numpy as np

from ..protocol.batch import Bytes
from .memory import MemoryAllocator, obtain
from .notices import Notices
from .python.workers import PAUSED, Wait, Worker, worker_of
from .thread_pool import ThreadPool
from .validators import flag_value, positive_int, unsigned

__all__ = ["MemoryPool", "MemoryPoolStatistics"]

_log = logging.getLogger("spead_transport")
#: Writing to memory so many bytes apart makes the system commit all of it.
_PAGE: Final = 4096


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
        self._refill: _Refill | None = None
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
        self._set_up(lower, upper, max_free, initial, allocator, low_water=low_water)
        self._thread_pool = thread_pool  # which ends its threads when it is garbage
        self._refill = _Refill(self._blocks, worker_of(thread_pool))

    def _set_up(
        self,
        lower: int,
        upper: int,
        max_free: int,
        initial: int,
        allocator: MemoryAllocator | None = None,
        *,
        low_water: int = 0,
    ) -> None:
        self._lower, upper = unsigned(lower, "lower"), positive_int(upper, "upper")
        if self._lower > upper:
            raise ValueError(f"lower={lower} must not be larger than upper={upper}")
        max_free = unsigned(max_free, "max_free")
        for name, value in (("initial", initial), ("low_water", low_water)):
            if unsigned(value, name) > max_free:
                raise ValueError(f"{name}={value} must not be larger than max_free={max_free}: it could not be kept")
        if not isinstance(allocator, MemoryAllocator | None):
            raise TypeError(f"allocator must be a MemoryAllocator, not {allocator!r}")
        self._allocator = MemoryAllocator() if allocator is None else allocator
        self._blocks = _Blocks(self._allocator, upper, max_free, low_water)
        self._warn_on_empty = True
        self._notices = Notices(_log)
        for _ in range(initial):
            self._blocks.add_free(self._blocks.make())

    def __repr__(self) -> str:
        blocks = self._blocks
        return f"<MemoryPool of {blocks.size} bytes for requests from {self._lower} on: {len(blocks.free)} free>"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def warn_on_empty(self) -> bool:
        """Whether a warning is logged when a request finds the pool empty."""
        return self._warn_on_empty

    @warn_on_empty.setter
    def warn_on_empty(self, value: bool) -> None:
        self._warn_on_empty = flag_value(value, "warn_on_empty")

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
        blocks = self._blocks
        if not self._lower <= size <= blocks.size:
            blocks.count_out_of_range()
            return obtain(self._allocator, size)
        block = blocks.take()
        if self._refill is not None and len(blocks.free) < blocks.low_water:
            self._refill.start()
        if block is None:
            if self._warn_on_empty:
                self._notices.warn("empty", time.monotonic(), "%s is empty: new memory is allocated", repr(self))
            block = blocks.make_for_loan()
        return np.asarray(_Loan(blocks, block))[:size]


@attrs.frozen(eq=False)
class _Block:
    memory: Bytes
    #: The memory's ``__array_interface__``, which takes longer to make than a loan.
    interface: dict[str, Any]

    @classmethod
    def of(cls, memory: Bytes) -> _Block:
        return cls(memory, memory.__array_interface__)


class _Loan:
    """Owner of lent memory, as NumPy sees it."""

    __slots__ = ("__array_interface__", "_block", "_blocks")

    def __init__(self, blocks: _Blocks, block: _Block) -> None:
        self._blocks = blocks
        self._block = block
        self.__array_interface__ = block.interface

    def __del__(self) -> None:
        self._blocks.give_back(self._block)


class _Blocks:
    """The blocks of a pool, which outlive it while some are lent. Methods may be called from any thread."""

    def __init__(self, allocator: MemoryAllocator, size: int, max_free: int, low_water: int) -> None:
        self._allocator = allocator
        self.size = size
        self.low_water = low_water
        self._max_free = max_free
        # Reentrant, because garbage collection may give back a block in the thread that holds the lock.
        self._lock = threading.RLock()
        self.free: deque[_Block] = deque()
        self._requests = self._out_of_range = self._made = self._in_background = self._when_empty = 0
        self._released = self._lent = self._peak = 0

    def statistics(self) -> MemoryPoolStatistics:
        with self._lock:
            return MemoryPoolStatistics(
                free=len(self.free),
                lent=self._lent,
                made=self._made,
                made_in_background=self._in_background,
                made_when_empty=self._when_empty,
                released=self._released,
                requests=self._requests,
                requests_out_of_range=self._out_of_range,
                peak_lent=self._peak,
            )

    def make(self) -> _Block:
        """New memory, of which the system has committed all."""
        memory = obtain(self._allocator, self.size)
        memory[::_PAGE] = 0
        return _Block.of(memory)

    def add_free(self, block: _Block, *, in_background: bool = False) -> None:
        """Take a new block in."""
        with self._lock:
            self._made += 1
            self._in_background += in_background
            self._keep(block)

    def take(self) -> _Block | None:
        """Lend the block that was used last, which is the likeliest to be in the processor's caches."""
        with self._lock:
            self._requests += 1
            if not self.free:
                return None
            self._lend()
            return self.free.pop()

    def make_for_loan(self) -> _Block:
        """Lend a new block."""
        block = _Block.of(obtain(self._allocator, self.size))
        with self._lock:
            self._made += 1
            self._when_empty += 1
            self._lend()
        return block

    def give_back(self, block: _Block) -> None:
        with self._lock:
            self._lent -= 1
            self._keep(block)

    def count_out_of_range(self) -> None:
        with self._lock:
            self._out_of_range += 1

    def _lend(self) -> None:
        self._lent += 1
        self._peak = max(self._peak, self._lent)

    def _keep(self, block: _Block) -> None:
        if len(self.free) < self._max_free:
            self.free.append(block)
        else:
            self._released += 1


class _Refill:
    """For a worker: makes blocks until the pool holds ``low_water`` of them."""

    def __init__(self, blocks: _Blocks, worker: Worker) -> None:
        self._blocks = weakref.ref(blocks)
        self._worker = worker

    def start(self) -> None:
        self._worker.kick(self)

    def step(self) -> Wait | None:
        """Make one block, so that the worker's other tasks do not wait for long."""
        blocks = self._blocks()
        if blocks is None or len(blocks.free) >= blocks.low_water:
            return PAUSED
        try:
            block = blocks.make()
        except MemoryError as error:
            _log.warning("the memory pool is not refilled: %s", str(error))  # its traceback would hold on to the pool
            return PAUSED
        blocks.add_free(block, in_background=True)
        return 0.0
