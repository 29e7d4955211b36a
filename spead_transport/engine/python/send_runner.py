"""Moves packets from the encoder to a sender: in the caller, and where that would have to wait, in a worker."""

from __future__ import annotations

import errno
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import attrs

from ...errors import BrokenTransportError, ClosedError
from ...protocol.batch import PacketBatch
from ...protocol.outgoing import Heap
from ...transport import PacketSender, Readiness
from ..interface import HeapEncoder, NumberedHeap, SendRunner
from ..notices import Notices
from ..numbering import CntSequence, number_heaps
from ..pacing import Pacer
from ..send_config import GroupMode, HeapReferenceList, StreamConfig, single_heap
from ..stats import SenderStatistics
from ..thread_pool import ThreadPool
from .send_futures import PythonSendFutures
from .workers import PAUSED, Wait, Worker, worker_of

__all__ = ["PythonSendRunner"]

#: Told what was submitted, how many bytes of it went out, and what went wrong, if anything did.
_Completion: TypeAlias = Callable[[Any, int, Exception | None], None]

_log = logging.getLogger("spead_transport")
#: A wait shorter than this, in seconds, is not worth going to sleep for.
_SHORTEST_WAIT: Final = 20e-6


@attrs.define(eq=False)
class _Group:
    """Heaps that were handed over together."""

    num_heaps: int
    batches: Iterator[tuple[PacketBatch, float]]
    completion: _Completion | None
    token: object
    #: What of the current batch is still to be sent, and at which rate.
    rest: PacketBatch | None = None
    rate: float = 0.0
    nbytes: int = 0
    error: Exception | None = None
    done: bool = False


class PythonSendRunner(SendRunner):
    """A queue of groups. Whoever drives it holds the lock, and sends from its front until he would have to wait."""

    def __init__(
        self,
        sender: PacketSender,
        encoder: HeapEncoder,
        config: StreamConfig,
        sequence: CntSequence,
        thread_pool: ThreadPool,
    ) -> None:
        self._sender = sender
        self._encoder = encoder
        self._config = config
        self._sequence = sequence
        self._pacer = Pacer(config.burst_rate_ratio, config.burst_size)
        self._thread_pool = thread_pool
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._groups: deque[_Group] = deque()
        self._heaps_waiting = 0
        self._sent = self._bytes = self._failed = self._refused = self._peak = 0
        self._notices = Notices(_log)
        self._worker: Worker | None = None
        #: Whether the worker drives the queue until it is empty.
        self._driven = False
        # Wakes a caller who waits for the pace, when the stream is closed.
        self._closing = threading.Event()
        self._closed = False
        # A method __del__ would not do: of a reference cycle, the sender might be collected first.
        self._close_sender = weakref.finalize(self, sender.close)

    def send(self, heaps: HeapReferenceList, mode: GroupMode, timeout: float | None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        group = _Group(len(heaps), self._encoder.encode(self.number(heaps), mode), None, None)
        with self._lock:
            self._enqueue(group)
        try:
            while not group.done:
                with self._lock:
                    wait = self._pump() if not group.done else None
                if wait is not None and not self._block(wait, deadline) and not group.done:
                    raise TimeoutError("the heap could not be sent in time; part of it may have been sent")
        except BaseException:
            with self._lock:
                self._abandon(group)
            raise
        if group.error is not None:
            raise group.error
        return group.nbytes

    def send_one(self, heap: Heap, cnt: int, substream_index: int, rate: float, timeout: float | None) -> int:
        return self.send(single_heap(heap, cnt, substream_index, rate), GroupMode.SERIAL, timeout)

    def futures(self) -> PythonSendFutures:
        return PythonSendFutures(self)

    def number(self, heaps: HeapReferenceList) -> Sequence[NumberedHeap]:
        """Check heaps and give them their numbers, as :meth:`send` does."""
        sender = self._sender
        return number_heaps(heaps, self._sequence, sender.num_destinations, sender.capabilities.keeps_rate)

    def submit(self, heaps: Sequence[NumberedHeap], mode: GroupMode, completion: _Completion, token: object) -> None:
        """Send a group of heaps, as far as it goes without waiting in the call, and from a worker thereafter.

        `completion` is called once, with `token`, in this call or from a worker; it must not block. Never raises for
        what happens while sending: that goes to `completion`.
        """
        group = _Group(len(heaps), self._encoder.encode(heaps, mode), completion, token)
        with self._lock:
            try:
                self._enqueue(group)
            except OSError as error:
                completion(token, 0, error)
                return
            if not self._driven and self._pump() is not None:
                self._drive_in_background()

    def flush(self, timeout: float | None) -> None:
        with self._lock:
            if not self._idle.wait_for(lambda: not self._groups, timeout):
                raise TimeoutError(f"{self._heaps_waiting} heaps were still waiting after {timeout} seconds")

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._closing.set()
            while self._groups:
                self._finish(ClosedError("the stream was closed before the heap was sent", url=self._sender.url))
            if self._worker is not None:
                self._worker.kick(self)
        self._close_sender()

    def statistics(self) -> SenderStatistics:
        with self._lock:
            return SenderStatistics(
                heaps_sent=self._sent,
                bytes_sent=self._bytes,
                heaps_failed=self._failed,
                heaps_refused=self._refused,
                heaps_waiting=self._heaps_waiting,
                peak_waiting=self._peak,
            )

    def step(self) -> Wait:
        """For the worker: drive the queue. A runner with nothing to send is not referenced by its worker."""
        with self._lock:
            wait = self._pump()
            self._driven = wait is not None
            return PAUSED if wait is None else wait

    # -------------------------------------------------------------------------------------- with the lock held

    def _enqueue(self, group: _Group) -> None:
        self._peak = max(self._peak, self._heaps_waiting + group.num_heaps)
        if self._closed:
            self._failed += group.num_heaps
            raise ClosedError("the stream is closed", url=self._sender.url)
        if self._heaps_waiting + group.num_heaps > self._config.max_heaps:
            self._refused += group.num_heaps
            self._notices.warn(
                "full", time.monotonic(), "heaps not sent: max_heaps=%d are waiting", self._config.max_heaps
            )
            raise BlockingIOError(
                errno.EAGAIN,
                f"{self._heaps_waiting} heaps are waiting and {group.num_heaps} more would exceed "
                f"max_heaps={self._config.max_heaps} in send.StreamConfig",
            )
        if not self._groups:
            self._pacer.begin(time.monotonic())
        self._groups.append(group)
        self._heaps_waiting += group.num_heaps

    def _pump(self) -> Readiness | float | None:
        """Send until there is nothing left (``None``) or something to wait for."""
        while self._groups:
            group = self._groups[0]
            try:
                if group.rest is None and not self._next_batch(group):
                    self._finish(None)
                    continue
                wait = self._send_some(group)
            except Exception as error:
                self._fail(error)
                continue
            if wait is not None:
                return wait
        return None

    def _next_batch(self, group: _Group) -> bool:
        following = next(group.batches, None)
        if following is None:
            return False
        group.rest, group.rate = following
        return True

    def _send_some(self, group: _Group) -> Readiness | float | None:
        batch = group.rest
        assert batch is not None
        now = time.monotonic()
        delay = self._pacer.delay(now, batch.nbytes, group.rate)
        if delay > _SHORTEST_WAIT:
            return delay
        count = self._sender.try_send(batch)
        if count == 0:
            return self._sender.writable
        sent = batch if count == len(batch) else batch[:count]
        self._pacer.sent(now, sent.nbytes, group.rate)
        group.nbytes += sent.nbytes
        group.rest = None if sent is batch else batch[count:]
        return None

    def _fail(self, error: Exception) -> None:
        """The first group cannot be sent; nor can the others if the transport broke."""
        self._finish(error)
        if isinstance(error, BrokenTransportError | ClosedError):
            while self._groups:
                self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        self._retire(self._groups[0], error)

    def _abandon(self, group: _Group) -> None:
        """The caller of :meth:`send` gave up: what was not sent of the group is not sent."""
        if not group.done:
            self._retire(group, TimeoutError("the caller gave up"))

    def _retire(self, group: _Group, error: Exception | None) -> None:
        self._groups.remove(group)
        self._heaps_waiting -= group.num_heaps
        self._bytes += group.nbytes
        if error is None:
            self._sent += group.num_heaps
        else:
            self._failed += group.num_heaps
        group.error = error
        group.done = True
        # The heaps' memory is the user's again.
        group.batches = iter(())
        group.rest = None
        if not self._groups:
            self._idle.notify_all()
        if group.completion is not None:
            group.completion(group.token, group.nbytes, error)

    # -------------------------------------------------------------------------------------------------- waiting

    def _block(self, wait: Readiness | float, deadline: float | None) -> bool:
        """Wait, outside the lock; False if the deadline has passed."""
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return False
        if isinstance(wait, Readiness):
            wait.wait(left)
        else:
            self._closing.wait(wait if left is None else min(wait, left))
        return True

    def _drive_in_background(self) -> None:
        if self._worker is None:
            self._worker = worker_of(self._thread_pool)
        self._driven = True
        self._worker.kick(self)
