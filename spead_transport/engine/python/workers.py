"""The Python engine's threads: each waits for many tasks at once and lets those that can go on do a step.

A task is stepped by one thread only. Between steps it waits for a readiness, for a point in time, or to be kicked.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import select
import threading
import time
from typing import Final, Protocol, TypeAlias

import attrs

from ...transport import EventReadiness, Readiness
from ..thread_pool import ThreadPool, Workers, pin_thread

__all__ = ["PAUSED", "PythonWorkers", "Task", "Wait", "Within", "Worker", "worker_of"]

#: In seconds.
_EPOLL_PRECISION: Final = 1e-3
_log = logging.getLogger("spead_transport")


class _Paused:
    """Wait for :meth:`Worker.kick` only."""


PAUSED: Final = _Paused()


@attrs.frozen
class Within:
    """Wait for a readiness, but no longer than some seconds."""

    readiness: Readiness
    seconds: float


#: What a task waits for: a readiness, a number of seconds, either of them, or a kick (which always ends the wait).
Wait: TypeAlias = Readiness | float | Within | _Paused


class Task(Protocol):
    """Something that a worker drives."""

    def step(self) -> Wait | None:
        """Do some work without blocking, and say what to wait for; ``None`` ends the task."""


class Worker:
    """One thread."""

    def __init__(self, name: str, core: int | None) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._kicked: dict[Task, None] = {}
        self._kick = EventReadiness()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def kick(self, task: Task) -> None:
        """Step `task` soon, whatever it waits for; a task that the worker does not know yet becomes known."""
        with self._lock:
            if not self._stopping:
                self._kicked[task] = None
                self._kick.set()

    def stop(self) -> None:
        """End the thread, and wait for it unless it is the caller."""
        with self._lock:
            self._stopping = True
            self._kicked.clear()
            self._kick.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        if self._core is not None:
            pin_thread(self._core)
        loop = _Loop(self._kick)
        while self._turn(loop):
            pass

    def _turn(self, loop: _Loop) -> bool:
        """Wait for tasks that can go on and step them; False if the thread is to end.

        A function of its own, so that no variable keeps a task alive while the thread waits.
        """
        ready = loop.wait()
        with self._lock:
            if self._stopping:
                return False
            ready.update(self._kicked)
            self._kicked.clear()
            self._kick.clear()
        for task in ready:
            loop.step(task)
        return True


class _Loop:
    """What a worker's tasks wait for. Used by the worker's thread only."""

    def __init__(self, kick: Readiness) -> None:
        self._epoll = select.epoll()
        self._epoll.register(kick.fileno(), select.EPOLLIN)
        self._by_fd: dict[int, Task] = {}
        self._waits: dict[Task, Readiness] = {}
        # When timers are due, and their serial numbers. One that was given up stays here, but does not hold its task.
        self._timers: list[tuple[float, int]] = []
        self._timed: dict[int, Task] = {}
        self._timer_of: dict[Task, tuple[float, int]] = {}
        self._serial = itertools.count()

    def wait(self) -> dict[Task, None]:
        """Block until something is due; the tasks that are, each once, in order."""
        timeout = self._timeout()
        if timeout is not None and timeout < _EPOLL_PRECISION:
            # epoll_wait(2) counts milliseconds, which is too coarse for the pace of a fast stream.
            time.sleep(timeout)
            timeout = 0.0
        events = self._epoll.poll(timeout)
        ready = {self._by_fd[fd]: None for fd, _ in events if fd in self._by_fd}
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, serial = heapq.heappop(self._timers)
            timed = self._timed.pop(serial, None)
            if timed is not None:
                del self._timer_of[timed]
                ready[timed] = None
        return ready

    def step(self, task: Task) -> None:
        readiness = self._waits.get(task)
        if readiness is not None:
            readiness.acknowledge()
        try:
            wait = task.step()
        except Exception:
            _log.exception("%r failed and is no longer driven", task)
            wait = None
        new, seconds = (wait.readiness, wait.seconds) if isinstance(wait, Within) else (wait, wait)
        if not isinstance(new, Readiness):
            new = None
        if new is not readiness:
            self._change_readiness(task, readiness, new)
        if isinstance(seconds, float):
            self._set_timer(task, time.monotonic() + seconds, keep=new is not None)
        else:
            self._cancel_timer(task)

    def _set_timer(self, task: Task, due: float, *, keep: bool) -> None:
        """Step `task` when it is `due`; if `keep`, a timer that it has already will do if that is earlier.

        A task that waits for a readiness, too, is stepped often, and would leave very many timers behind.
        """
        current = self._timer_of.get(task)
        if keep and current is not None and current[0] <= due:
            return
        self._cancel_timer(task)
        serial = next(self._serial)
        self._timer_of[task] = due, serial
        self._timed[serial] = task
        heapq.heappush(self._timers, (due, serial))

    def _cancel_timer(self, task: Task) -> None:
        current = self._timer_of.pop(task, None)
        if current is not None:
            del self._timed[current[1]]

    def _change_readiness(self, task: Task, old: Readiness | None, new: Readiness | None) -> None:
        if old is not None:
            del self._waits[task], self._by_fd[old.fileno()]
            self._epoll.unregister(old.fileno())
        if new is not None:
            self._epoll.register(new.fileno(), select.EPOLLIN)
            self._waits[task] = new
            self._by_fd[new.fileno()] = task

    def _timeout(self) -> float | None:
        """Seconds until the first timer, in whole milliseconds if it is so many."""
        if not self._timers:
            return None
        left = max(0.0, self._timers[0][0] - time.monotonic())
        return left if left < _EPOLL_PRECISION else left // _EPOLL_PRECISION * _EPOLL_PRECISION


class PythonWorkers(Workers):
    """The threads of one pool."""

    def __init__(self, threads: int, affinity: list[int]) -> None:
        cores = itertools.cycle(affinity) if affinity else itertools.repeat(None)
        self._workers = [
            Worker(f"spead-transport-{index}", core) for index, core in zip(range(threads), cores, strict=False)
        ]
        self._turn = itertools.cycle(self._workers)

    def assign(self) -> Worker:
        """The worker that a new task belongs to, each in turn."""
        return next(self._turn)

    def stop(self) -> None:
        for worker in self._workers:
            worker.stop()


def worker_of(thread_pool: ThreadPool) -> Worker:
    """The worker of `thread_pool` that a new task belongs to.

    Raises
    ------
    RuntimeError
        If the pool was stopped.
    """
    return thread_pool.workers("python", PythonWorkers, PythonWorkers).assign()
