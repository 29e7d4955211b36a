"""Drives receivers into an assembler: what all runners of receiving streams have in common."""

from __future__ import annotations

import logging
import math
import threading
import time
from abc import abstractmethod
from collections import Counter
from typing import Final

from ...errors import EndOfStream, Stopped
from ...transport import PacketReceiver
from ..interface import EndPolicy, ReaderRunner, ReceivedHeap
from ..recv_config import StreamConfig
from ..stats import StreamStats
from ..thread_pool import ThreadPool
from .assembler import PythonAssembler
from .workers import PAUSED, Wait, Within, Worker, worker_of

__all__ = ["Reader", "Readers"]

_log = logging.getLogger("spead_transport")
#: Packets asked for at a time.
_BATCH: Final = 1024
#: Bytes of an incomplete heap that came in one batch after which more may come soon. On a lossy transport, which
#: brings messages, each would wake the worker and be a batch of its own: so it rests for as many seconds as a batch
#: takes, and takes in together what came meanwhile.
_MUCH: Final = 32 << 10
_REST: Final = 200e-6


class Reader:
    """A receiver and who drives it."""

    def __init__(self, runner: Readers, receiver: PacketReceiver, worker: Worker | None) -> None:
        self._runner = runner
        self.receiver = receiver
        self.worker = worker
        self.ended = False
        #: Whether to rest before waiting.
        self.rests = False

    def __repr__(self) -> str:
        return f"<reader of {self.receiver!r}>"

    def step(self) -> Wait | None:
        """For the worker: take in what has arrived."""
        return self._runner.step(self)


class Readers(ReaderRunner):
    """The readers of a stream, which share its assembler and its lock."""

    def __init__(
        self,
        assembler: PythonAssembler,
        lock: threading.Lock | threading.RLock,
        config: StreamConfig,
        thread_pool: ThreadPool,
        end: EndPolicy,
    ) -> None:
        self._assembler = assembler
        self._lock = lock
        self._thread_pool = thread_pool
        self._end_policy = end
        self._readers: list[Reader] = []
        self._paused: list[Reader] = []
        #: Drops of the readers that ended.
        self._ended_drops: Counter[str] = Counter()
        self._explicit_start = config.explicit_start
        self._started = not config.explicit_start
        self._ended = False
        self._error: Exception | None = None
        self._worker_blocked = 0

    # ------------------------------------------------------------------------------------------------- interface

    def add_reader(self, receiver: PacketReceiver, *, worker: bool) -> None:
        with self._lock:
            if self._ended:
                receiver.close()
                return
            if self._explicit_start and self._started:
                raise RuntimeError("with explicit_start, readers must be added before start() is called")
            driver = worker_of(self._thread_pool) if worker else None
            reader = Reader(self, receiver, driver)
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

    def stop(self) -> None:
        with self._lock:
            self._end()

    def stats(self) -> StreamStats:
        with self._lock:
            return self._statistics()

    def drops(self) -> dict[str, int]:
        with self._lock:
            return self._drops()

    # ------------------------------------------------------------------------------------------- for one's own kind

    @abstractmethod
    def step(self, reader: Reader) -> Wait | None:
        """For a worker: take in a batch, unless there is no room for what comes of it."""

    @abstractmethod
    def _take(self, heaps: list[ReceivedHeap]) -> None:
        """Heaps have come out of the assembler."""

    def _watch(self, reader: Reader) -> None:
        """A reader without a worker starts."""
        raise NotImplementedError

    def _unwatch(self, reader: Reader) -> None:
        """A reader without a worker ends."""
        raise NotImplementedError

    @abstractmethod
    def _ended_now(self) -> None:
        """The stream has ended, and the assembler's last heaps have been taken."""

    # --------------------------------------------------------------------------------------- with the lock held

    def _start_reader(self, reader: Reader) -> None:
        if reader.worker is None:
            self._watch(reader)
        else:
            reader.worker.kick(reader)

    def _receive(self, reader: Reader) -> bool:
        """Take in one batch; whether there was one."""
        try:
            batch = reader.receiver.try_recv(_BATCH)
            if not len(batch):
                return False
            heaps = self._assembler.add(batch, time.monotonic())
            lossy = reader.receiver.capabilities.lossy
            reader.rests = lossy and not heaps and int(batch.sizes.sum()) >= _MUCH
        except EndOfStream:
            self._end_reader(reader)
            return False
        except Exception as error:
            self._fail(reader, error)
            return False
        self._taken_in(reader, heaps)
        return True

    def _taken_in(self, reader: Reader, heaps: list[ReceivedHeap]) -> None:
        """A batch went into the assembler, and as far as it did, `heaps` came out."""
        if not self._assembler.blocked:
            reader.receiver.release()
        self._take(heaps)
        if self._assembler.stopped and not self._assembler.blocked:
            self._end()

    def _expire(self) -> None:
        """Let go of heaps that are too old."""
        self._take(self._assembler.expire(time.monotonic()))

    def _wait_for(self, reader: Reader) -> Wait | None:
        """What a reader's worker waits for, after a step."""
        if reader.ended:
            return None
        if reader.rests:
            reader.rests = False
            return _REST
        expiry = self._assembler.next_expiry
        if expiry == math.inf:
            return reader.receiver.readable
        return Within(reader.receiver.readable, max(0.0, expiry - time.monotonic()))

    def _fail(self, reader: Reader, error: Exception) -> None:
        """A reader cannot go on, for whatever a transport, an allocator or a ring raises."""
        self._assembler.discard_rest()
        if isinstance(error, Stopped):  # the user stopped a ring of chunks
            self._end()
            return
        _log.error("%s stops: %s: %s", repr(reader), type(error).__name__, str(error))
        self._error = error
        self._end_reader(reader)

    def _pause(self, reader: Reader) -> Wait:
        self._worker_blocked += 1
        self._paused.append(reader)
        return PAUSED

    def _resume(self) -> None:
        for reader in self._paused:
            if reader.worker is not None:
                reader.worker.kick(reader)
        self._paused.clear()

    def _end_reader(self, reader: Reader) -> None:
        self._close_reader(reader)
        if self._end_policy == "any" or not self._readers:
            self._end()

    def _close_reader(self, reader: Reader) -> None:
        """Close a reader and forget it, but for what it counted."""
        reader.ended = True
        self._readers.remove(reader)
        if reader.worker is None and self._started:
            self._unwatch(reader)
        reader.receiver.close()
        self._ended_drops.update(reader.receiver.drops())

    def _end(self) -> None:
        """The stream ends: nothing more comes in."""
        if self._ended:
            return
        self._ended = True
        for reader in tuple(self._readers):
            self._close_reader(reader)
        self._take(self._assembler.flush())
        self._ended_now()
        self._resume()

    def _statistics(self) -> StreamStats:
        stats = self._assembler.stats()
        stats["worker_blocked"] += self._worker_blocked
        stats["transport_drops"] += sum(self._drops().values())
        return stats

    def _drops(self) -> dict[str, int]:
        total = self._ended_drops.copy()
        for reader in self._readers:
            total.update(reader.receiver.drops())
        return dict(total)
