"""Moves packets from receivers through the assembler into a ring of heaps."""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from typing import Final

from ...errors import Empty, Stopped
from ...protocol.received import Heap
from ...transport import EventReadiness
from ...transport.readiness import poll_readable
from ..interface import EndPolicy, ReceivedHeap, ReceiveRunner
from ..recv_config import RingStreamConfig, StreamConfig
from ..stats import RingStatistics, StreamStats
from ..thread_pool import ThreadPool
from .assembler import PythonAssembler
from .readers import Reader, Readers
from .workers import Wait

__all__ = ["PythonReceiveRunner"]

#: Batches taken in on behalf of one call that wants a heap, before it looks at its time limit again.
_ROUNDS: Final = 1000


class PythonReceiveRunner(Readers, ReceiveRunner):
    """One lock guards everything; nobody holds it while waiting.

    The file descriptor to wait on is an epoll instance with the ring's readiness and that of each receiver that the
    caller drives, so that either kind of reader wakes whoever waits for a heap.
    """

    def __init__(
        self,
        assembler: PythonAssembler,
        config: StreamConfig,
        ring_config: RingStreamConfig,
        thread_pool: ThreadPool,
        end: EndPolicy,
    ) -> None:
        super().__init__(assembler, threading.Lock(), config, thread_pool, end)
        self._capacity = ring_config.heaps
        self._contiguous_only = ring_config.contiguous_only
        self._ring: deque[ReceivedHeap] = deque()
        self._put = self._peak = 0
        self._ring_ready = EventReadiness()
        self._epoll = select.epoll()
        self._epoll.register(self._ring_ready.fileno(), select.EPOLLIN)

    def __del__(self) -> None:
        self._epoll.close()

    def take(self) -> ReceivedHeap | None:
        with self._lock:
            return self._next()

    def get(self, timeout: float | None) -> ReceivedHeap:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                heap = self._next()
            if heap is not None:
                return heap
            left = None if deadline is None else deadline - time.monotonic()
            if (left is not None and left <= 0) or not poll_readable(self._epoll.fileno(), left):
                raise Empty(f"no heap arrived within {timeout} seconds")

    def fileno(self) -> int:
        return self._epoll.fileno()

    def stop(self) -> None:
        with self._lock:
            self._catch_up()
            self._end()

    def stats(self) -> StreamStats:
        with self._lock:
            self._catch_up()
            return self._statistics()

    def ring_statistics(self) -> RingStatistics:
        with self._lock:
            self._catch_up()
            waiting = len(self._ring)
            return RingStatistics(
                put=self._put,
                taken=self._put - waiting,
                waiting=waiting,
                peak=self._peak,
                full=self._worker_blocked,
            )

    def step(self, reader: Reader) -> Wait | None:
        with self._lock:
            if not reader.ended:
                self._expire()
                if len(self._ring) >= self._capacity:
                    return self._pause(reader)
                self._receive(reader)
            return self._wait_for(reader)

    # --------------------------------------------------------------------------------------- with the lock held

    def _next(self) -> ReceivedHeap | None:
        """The next heap, if there is one; the callers' readers are driven until there is."""
        if not self._ring:
            self._expire()
            self._drive(1)
        if self._ring:
            heap = self._ring.popleft()
            if not self._ring and not self._ended:
                self._ring_ready.clear()
            if len(self._ring) <= self._capacity // 2:
                self._resume()
            return heap
        if self._ended:
            error, self._error = self._error, None
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # else its traceback refers to it, and keeps the stream, until the garbage is collected
            raise Stopped("the stream ended")
        return None

    def _catch_up(self) -> None:
        """Bring the readers that the caller drives to where a worker would have brought them."""
        self._drive(self._capacity)
        if len(self._ring) >= self._capacity:
            for reader in self._readers:
                if reader.worker is None and reader not in self._paused and reader.receiver.readable.wait(0):
                    self._pause(reader)

    def _drive(self, wanted: int) -> None:
        """Drive the readers that have no worker until the ring holds `wanted` heaps or nothing comes.

        All have their turn before that is looked at, as long as there is room: of many readers, the first ones would
        be asked anew for each heap otherwise.
        """
        if not self._started:
            return
        for _ in range(_ROUNDS):
            came = False
            for reader in tuple(self._readers):
                if reader.worker is None and not reader.ended and len(self._ring) < self._capacity:
                    came |= self._receive(reader)
            if not came or len(self._ring) >= wanted:
                return

    def _take(self, heaps: list[ReceivedHeap]) -> None:
        if self._contiguous_only:
            heaps = [heap for heap in heaps if isinstance(heap, Heap)]
        if heaps:
            self._ring.extend(heaps)
            self._put += len(heaps)
            self._peak = max(self._peak, len(self._ring))
            self._ring_ready.set()

    def _watch(self, reader: Reader) -> None:
        self._epoll.register(reader.receiver.readable.fileno(), select.EPOLLIN)

    def _unwatch(self, reader: Reader) -> None:
        self._epoll.unregister(reader.receiver.readable.fileno())

    def _ended_now(self) -> None:
        self._ring_ready.set()
