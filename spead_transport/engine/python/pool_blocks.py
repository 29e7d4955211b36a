"""Blocks of memory for heaps, lent as arrays.

An array that is lent has a :class:`_Loan` for its base. NumPy's views keep their base alive, so the loan dies with
the last view of the memory, in whichever thread that happens, and then gives the block back.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from typing import Any, Final

import attrs
import numpy as np

from ...protocol.batch import Bytes
from ..memory import MemoryAllocator, obtain
from ..notices import Notices
from ..pool_blocks import MemoryPoolStatistics, PoolBlocks, PoolSettings
from .workers import PAUSED, Wait, Worker, worker_of

__all__ = ["PythonPoolBlocks"]

_log = logging.getLogger("spead_transport")
#: Writing to memory so many bytes apart makes the system commit all of it.
_PAGE: Final = 4096


class PythonPoolBlocks(PoolBlocks):
    """See :class:`~spead_transport.engine.pool_blocks.PoolBlocks`."""

    def __init__(self, settings: PoolSettings) -> None:
        self._lower = settings.lower
        self._allocator = settings.allocator
        self._blocks = _Blocks(settings.allocator, settings.upper, settings.max_free, settings.low_water)
        self._refill: _Refill | None = None
        if settings.thread_pool is not None:
            self._refill = _Refill(self._blocks, worker_of(settings.thread_pool))
        self._warn_on_empty = True
        self._notices = Notices(_log)
        for _ in range(settings.initial):
            self._blocks.add_free(self._blocks.make())

    @property
    def warn_on_empty(self) -> bool:
        return self._warn_on_empty

    @warn_on_empty.setter
    def warn_on_empty(self, value: bool) -> None:
        self._warn_on_empty = value

    def statistics(self) -> MemoryPoolStatistics:
        return self._blocks.statistics()

    def allocate(self, size: int) -> Bytes:
        blocks = self._blocks
        if not self._lower <= size <= blocks.size:
            blocks.count_out_of_range()
            return obtain(self._allocator, size)
        block = blocks.take()
        if self._refill is not None and len(blocks.free) < blocks.low_water:
            self._refill.start()
        if block is None:
            if self._warn_on_empty:
                message = "a memory pool of blocks of %d bytes is empty: new memory is allocated"
                self._notices.warn("empty", time.monotonic(), message, blocks.size)
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
    """Blocks and their counters. Methods may be called from any thread."""

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
