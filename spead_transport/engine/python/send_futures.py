"""Sending with asyncio: one future for each group of heaps."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from ...protocol.outgoing import Heap
from ..interface import SendFutures
from ..send_config import GroupMode, HeapReferenceList, single_heap

if TYPE_CHECKING:
    from .send_runner import PythonSendRunner

__all__ = ["PythonSendFutures"]


class PythonSendFutures(SendFutures):
    """Brings what the runner reports, from whatever thread, to the futures' event loop: many in one pass."""

    def __init__(self, runner: PythonSendRunner) -> None:
        self._runner = runner
        # How many futures there are, and how many of them are done.
        self._submitted = self._settled = 0
        # What was reported: any thread appends to it.
        self._reported: deque[tuple[asyncio.Future[int], int, Exception | None]] = deque()
        # Which loop will look at it.
        self._scheduled_in: asyncio.AbstractEventLoop | None = None
        self._flushing: deque[tuple[int, asyncio.Future[None]]] = deque()

    def send_one(self, heap: Heap, cnt: int, substream_index: int, rate: float) -> asyncio.Future[int]:
        return self.send(single_heap(heap, cnt, substream_index, rate), GroupMode.SERIAL)

    def send(self, heaps: HeapReferenceList, mode: GroupMode) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            numbered = self._runner.number(heaps)
        except OSError as error:
            future.set_exception(error)
        else:
            self._submitted += 1
            self._runner.submit(numbered, mode, self._complete, future)
        return future

    def all_so_far(self) -> asyncio.Future[None] | None:
        if self._settled == self._submitted:
            return None
        flushed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushing.append((self._submitted, flushed))
        return flushed

    def _complete(self, future: asyncio.Future[int], nbytes: int, error: Exception | None) -> None:
        """For the runner, from any thread."""
        self._reported.append((future, nbytes, error))
        loop = future.get_loop()
        if self._scheduled_in is not loop:
            self._schedule_in(loop)

    def _schedule_in(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled_in = loop
        try:
            if _running_loop() is loop:
                loop.call_soon(self._settle)
            else:
                loop.call_soon_threadsafe(self._settle)
        except RuntimeError:
            if not loop.is_closed():
                raise
            self._scheduled_in = None  # the next loop that the stream is used in looks at it

    def _settle(self) -> None:
        self._scheduled_in = None  # before looking: what is reported from now on may be missed here
        while self._reported:
            future, nbytes, error = self._reported.popleft()
            self._settled += 1
            _finish(future, nbytes, error)
        while self._flushing and self._flushing[0][0] <= self._settled:
            _, flushed = self._flushing.popleft()
            if not flushed.done():
                flushed.set_result(None)


def _finish(future: asyncio.Future[int], nbytes: int, error: Exception | None) -> None:
    if future.done():
        return
    try:
        if error is None:
            future.set_result(nbytes)
        else:
            future.set_exception(error)
    except RuntimeError:
        if not future.get_loop().is_closed():
            raise
        # Whoever waited for it is gone, with the loop that was used before this one.


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
