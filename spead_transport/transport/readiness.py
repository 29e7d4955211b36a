"""When it is worth calling an endpoint again.

Every readiness is, at bottom, a file descriptor that polls *readable*: a blocked caller polls it, an event loop
registers it and a worker of a thread pool waits on many of them at once. May report early, never late: after a
report the endpoint is tried, and may turn out to have nothing.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from abc import ABC, abstractmethod
from typing import Final

__all__ = ["EventReadiness", "FdReadiness", "FdSetReadiness", "Readiness", "poll_readable"]

#: Longer waits, in seconds, are for ever: poll(2) cannot count the milliseconds of a month.
_LONGEST_WAIT: Final = 2e6


class Readiness(ABC):
    """A condition to wait for, in any of three styles.

    One caller waits at a time. :meth:`wake` may be called from any thread. The file descriptors live as long as
    the object: closing an endpoint only *wakes* its waiters, so that none is left polling a number that the
    system has given to somebody else since.
    """

    @abstractmethod
    def fileno(self) -> int:
        """A file descriptor that polls readable when the condition may hold, or after :meth:`wake`."""

    @abstractmethod
    def wake(self) -> None:
        """Make the wait in progress, or the next one, return at once although the condition may not hold."""

    @abstractmethod
    def acknowledge(self) -> None:
        """Take back an earlier :meth:`wake`. The waiting caller does so after it woke up."""

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the condition may hold.

        Parameters
        ----------
        timeout
            The longest wait, in seconds; ``None`` waits for ever.

        Returns
        -------
        bool
            False if the time ran out.
        """
        ready = poll_readable(self.fileno(), timeout)
        self.acknowledge()
        return ready

    async def wait_async(self) -> None:
        """Wait in the running event loop until the condition may hold. Cancelling it has no effect on others."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        fd = self.fileno()
        loop.add_reader(fd, _resolve, future)
        try:
            await future
        finally:
            loop.remove_reader(fd)
        self.acknowledge()


def poll_readable(fd: int, timeout: float | None) -> bool:
    """Block until `fd` polls readable; False if `timeout` (seconds) ran out first."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    milliseconds = None if timeout is None or timeout > _LONGEST_WAIT else max(0.0, timeout * 1000)
    return bool(poller.poll(milliseconds))


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class EventReadiness(Readiness):
    """A condition that the endpoint sets and clears itself, for queues and other things in memory.

    The endpoint calls :meth:`set` after it made progress possible and :meth:`clear` when it finds nothing to do,
    both under the lock that guards its state: then no report is late. Setting twice costs nothing.
    """

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Reentrant, because a leaked endpoint may be collected, and set this, in the thread that holds the lock.
        self._lock = threading.RLock()
        self._condition = False
        self._woken = False
        self._reported = False

    def __del__(self) -> None:
        if hasattr(self, "_fd"):  # not if the system refused to make one
            os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    def set(self) -> None:
        """Report the condition until :meth:`clear`."""
        if not self._condition:
            self._update(condition=True)

    def clear(self) -> None:
        """Stop reporting the condition."""
        if self._condition:
            self._update(condition=False)

    def wake(self) -> None:
        self._update(woken=True)

    def acknowledge(self) -> None:
        if self._woken:
            self._update(woken=False)

    def _update(self, *, condition: bool | None = None, woken: bool | None = None) -> None:
        with self._lock:
            if condition is not None:
                self._condition = condition
            if woken is not None:
                self._woken = woken
            # A loop, because both may have been changed from within this thread before it noted what is reported.
            while (report := self._condition or self._woken) != self._reported:
                if report:
                    os.eventfd_write(self._fd, 1)
                else:
                    os.eventfd_read(self._fd)
                self._reported = report


class FdReadiness(Readiness):
    """Readiness of a file descriptor, such as a socket's.

    Parameters
    ----------
    fd
        The file descriptor. It stays the caller's, who calls :meth:`detach` before closing it.
    write
        Whether to report writability instead of readability.
    """

    def __init__(self, fd: int, *, write: bool = False) -> None:
        self._fd = fd
        self._wake = EventReadiness()
        # An epoll instance polls readable itself as soon as one of its members is ready (epoll(7)), which makes
        # one descriptor of two.
        self._epoll = select.epoll()
        self._epoll.register(fd, select.EPOLLOUT if write else select.EPOLLIN)
        self._epoll.register(self._wake.fileno(), select.EPOLLIN)

    def detach(self) -> None:
        """Stop watching the file descriptor, which is about to be closed; only :meth:`wake` is reported from now on.

        Closing alone is not enough: if the descriptor has a duplicate, epoll goes on reporting what it refers to
        (epoll(7)), and cannot be told to stop any more.
        """
        self._epoll.unregister(self._fd)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def wake(self) -> None:
        self._wake.wake()

    def acknowledge(self) -> None:
        self._wake.acknowledge()


class FdSetReadiness(Readiness):
    """Readiness of any of some file descriptors, which come and go, or of a condition that the endpoint sets.

    For connections and other things that the system reports one by one. Only the endpoint's user calls it, but for
    :meth:`wake`.
    """

    def __init__(self) -> None:
        self._event = EventReadiness()
        self._epoll = select.epoll()
        self._epoll.register(self._event.fileno(), select.EPOLLIN)

    def add(self, fd: int) -> None:
        """Watch a file descriptor for something to read, too.

        Raises
        ------
        PermissionError
            If the system cannot wait for it: it is a regular file, say.
        """
        self._epoll.register(fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        """Stop watching a file descriptor; to be called before it is closed."""
        self._epoll.unregister(fd)

    def ready(self) -> set[int]:
        """The file descriptors that have something to read, an end or an error."""
        return {fd for fd, _ in self._epoll.poll(0)} - {self._event.fileno()}

    def set(self) -> None:
        """Report the condition until :meth:`clear`."""
        self._event.set()

    def clear(self) -> None:
        """Stop reporting the condition."""
        self._event.clear()

    def fileno(self) -> int:
        return self._epoll.fileno()

    def wake(self) -> None:
        self._event.wake()

    def acknowledge(self) -> None:
        self._event.acknowledge()
