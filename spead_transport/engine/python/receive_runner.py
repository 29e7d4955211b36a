"""Moves packets from receivers through the assembler into a ring of heaps."""

from __future__ import annotations

import logging
import select
import threading
import time
from collections import Counter, deque
from typing import Final

from ...errors import Empty, EndOfStream, Stopped
from ...protocol.received import Heap
from ...transport import EventReadiness, PacketReceiver
from ...transport.readiness import poll_readable
from ..interface import EndPolicy, HeapAssembler, ReceivedHeap, ReceiveRunner
from ..recv_config import RingStreamConfig, StreamConfig
from ..stats import StreamStats
from ..thread_pool import ThreadPool
from .workers import PAUSED, Wait, Worker, worker_of

__all__ = ["PythonReceiveRunner"]

_log = logging.getLogger("spead_transport")
#: Packets asked for at a time.
_BATCH: Final = 1024
#: Batches taken in on behalf of one call that wants a heap, before it looks at its time limit again.
_ROUNDS: Final = 1000


class _Reader:
    """A receiver and who drives it."""

    def __init__(self, runner: PythonReceiveRunner, receiver: PacketReceiver, worker: Worker | None) -> None:
        self._runner = runner
        self.receiver = receiver
        self.worker = worker
        self.ended = False

    def __repr__(self) -> str:
        return f"<reader of {self.receiver!r}>"

    def step(self) -> Wait | None:
        """For the worker: take in what has arrived."""
        return self._runner.step(self)


class PythonReceiveRunner(ReceiveRunner):
    """One lock guards everything; nobody holds it while waiting.

    The file descriptor to wait on is an epoll instance with the ring's readiness and that of each receiver that the
    caller drives, so that either kind of reader wakes whoever waits for a heap.
    """

    def __init__(
        self,
        assembler: HeapAssembler,
        config: StreamConfig,
        ring_config: RingStreamConfig,
        thread_pool: ThreadPool,
        end: EndPolicy,
    ) -> None:
        self._assembler = assembler
        self._capacity = ring_config.heaps
        self._contiguous_only = ring_config.contiguous_only
        self._thread_pool = thread_pool
        self._end_policy = end
        self._lock = threading.Lock()
        self._ring: deque[ReceivedHeap] = deque()
        self._ring_ready = EventReadiness()
        self._epoll = select.epoll()
        self._epoll.register(self._ring_ready.fileno(), select.EPOLLIN)
        self._readers: list[_Reader] = []
        self._paused: list[_Reader] = []
        #: Drops of the readers that ended.
        self._ended_drops: Counter[str] = Counter()
        self._explicit_start = config.explicit_start
        self._started = not config.explicit_start
        self._ended = False
        self._error: Exception | None = None
        self._worker_blocked = 0

    def __del__(self) -> None:
        self._epoll.close()

    # ------------------------------------------------------------------------------------------------- interface

    def add_reader(self, receiver: PacketReceiver, *, worker: bool) -> None:
        with self._lock:
            if self._ended:
                receiver.close()
                return
            if self._explicit_start and self._started:
                raise RuntimeError("with explicit_start, readers must be added before start() is called")
            driver = worker_of(self._thread_pool) if worker else None
            reader = _Reader(self, receiver, driver)
            self._readers.append(reader)
            if self._started:
                self._start_reader(reader)

    def start(self) -> None:
        with self._lock:
            if self._started or self._ended:
                return
            self._started = True
            for reader in self._readers:
                self._start_reader(reader)

    def get_nowait(self) -> ReceivedHeap:
        with self._lock:
            heap = self._next()
        if heap is None:
            raise Empty("no heap has arrived")
        return heap

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
            stats = self._assembler.stats()
            stats["worker_blocked"] += self._worker_blocked
            stats["transport_drops"] += sum(self._drops().values())
        return stats

    def drops(self) -> dict[str, int]:
        with self._lock:
            return self._drops()

    @property
    def waiting(self) -> int:
        with self._lock:
            self._catch_up()
            return len(self._ring)

    def step(self, reader: _Reader) -> Wait | None:
        """For a worker: take in a batch, unless the ring is full."""
        with self._lock:
            if not reader.ended:
                if len(self._ring) >= self._capacity:
                    self._worker_blocked += 1
                    self._paused.append(reader)
                    return PAUSED
                self._receive(reader)
            return None if reader.ended else reader.receiver.readable

    # --------------------------------------------------------------------------------------- with the lock held

    def _start_reader(self, reader: _Reader) -> None:
        if reader.worker is None:
            self._epoll.register(reader.receiver.readable.fileno(), select.EPOLLIN)
        else:
            reader.worker.kick(reader)

    def _next(self) -> ReceivedHeap | None:
        """The next heap, if there is one; the callers' readers are driven until there is."""
        if not self._ring:
            self._drive(1)
        if self._ring:
            heap = self._ring.popleft()
            if not self._ring and not self._ended:
                self._ring_ready.clear()
            if self._paused and len(self._ring) <= self._capacity // 2:
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

    def _drive(self, wanted: int) -> None:
        """Drive the readers that have no worker until the ring holds `wanted` heaps or nothing comes."""
        if not self._started:
            return
        for _ in range(_ROUNDS):
            came = False
            for reader in tuple(self._readers):
                if reader.worker is None and not reader.ended and len(self._ring) < wanted:
                    came |= self._receive(reader)
            if not came:
                return

    def _receive(self, reader: _Reader) -> bool:
        """Take in one batch; whether there was one."""
        receiver = reader.receiver
        try:
            batch = receiver.try_recv(_BATCH)
            if not len(batch):
                return False
            heaps = self._assembler.add(batch, time.monotonic())
            receiver.release()
        except EndOfStream:
            self._end_reader(reader)
            return False
        except Exception as error:  # whatever a transport or a memory allocator of the user's raises
            _log.error("%s stops: %s: %s", repr(reader), type(error).__name__, str(error))
            self._error = error
            self._end_reader(reader)
            return False
        self._push(heaps)
        if self._assembler.stopped:
            self._end()
        return True

    def _push(self, heaps: list[ReceivedHeap]) -> None:
        if self._contiguous_only:
            heaps = [heap for heap in heaps if isinstance(heap, Heap)]
        if heaps:
            self._ring.extend(heaps)
            self._ring_ready.set()

    def _resume(self) -> None:
        for reader in self._paused:
            if reader.worker is not None:
                reader.worker.kick(reader)
        self._paused.clear()

    def _end_reader(self, reader: _Reader) -> None:
        self._close_reader(reader)
        if self._end_policy == "any" or not self._readers:
            self._end()

    def _close_reader(self, reader: _Reader) -> None:
        """Close a reader and forget it, but for what it counted."""
        reader.ended = True
        self._readers.remove(reader)
        if reader.worker is None and self._started:
            self._epoll.unregister(reader.receiver.readable.fileno())
        reader.receiver.close()
        self._ended_drops.update(reader.receiver.drops())

    def _end(self) -> None:
        """The stream ends: nothing more comes in."""
        if self._ended:
            return
        self._ended = True
        for reader in tuple(self._readers):
            self._close_reader(reader)
        self._push(self._assembler.flush())
        self._ring_ready.set()
        self._resume()

    def _drops(self) -> dict[str, int]:
        total = self._ended_drops.copy()
        for reader in self._readers:
            total.update(reader.receiver.drops())
        return dict(total)
