"""Waiting, in three styles, for two kinds of condition."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import select
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import attrs
import pytest

from spead_transport.transport import EventReadiness, FdReadiness, FdSetReadiness, Readiness

PATIENCE = 10.0


@attrs.frozen
class Condition:
    """A readiness, and how to make its condition hold and cease."""

    readiness: Readiness
    set: Callable[[], object]
    clear: Callable[[], object]


MakeCondition: TypeAlias = Callable[[], AbstractContextManager[Condition]]


@contextmanager
def _event() -> Iterator[Condition]:
    event = EventReadiness()
    yield Condition(event, event.set, event.clear)


@contextmanager
def _readable() -> Iterator[Condition]:
    near, far = socket.socketpair()
    with near, far:
        readiness = FdReadiness(near.fileno())
        yield Condition(readiness, lambda: far.send(b"x"), lambda: near.recv(100))
        readiness.detach()


@contextmanager
def _writable() -> Iterator[Condition]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        near.setblocking(False)
        far.setblocking(False)

        def fill() -> None:
            while True:
                try:
                    near.send(b"x")
                except BlockingIOError:
                    return

        def drain() -> None:
            while True:
                try:
                    far.recv(10)
                except BlockingIOError:
                    return

        fill()
        readiness = FdReadiness(near.fileno(), write=True)
        yield Condition(readiness, drain, fill)
        readiness.detach()


@contextmanager
def _one_of_a_set() -> Iterator[Condition]:
    with _pairs(2) as ((quiet, _), (near, far)):
        readiness = FdSetReadiness()
        for sock in (quiet, near):
            readiness.add(sock.fileno())
        yield Condition(readiness, lambda: far.send(b"x"), lambda: near.recv(100))
        for sock in (quiet, near):
            readiness.remove(sock.fileno())


@contextmanager
def _event_of_a_set() -> Iterator[Condition]:
    with _pairs(1) as ((near, _),):
        readiness = FdSetReadiness()
        readiness.add(near.fileno())
        yield Condition(readiness, readiness.set, readiness.clear)
        readiness.remove(near.fileno())


@contextmanager
def _pairs(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(count)]
        for pair in pairs:
            for sock in pair:
                stack.enter_context(sock)
        yield pairs


@pytest.fixture(
    params=[_event, _readable, _writable, _one_of_a_set, _event_of_a_set],
    ids=["event", "readable", "writable", "one of a set", "event of a set"],
)
def make(request: pytest.FixtureRequest) -> MakeCondition:
    """Makes a condition. (A fixture that were one would outlive its test.)"""
    chosen: MakeCondition = request.param
    return chosen


def polls(readiness: Readiness) -> bool:
    poller = select.poll()
    poller.register(readiness.fileno(), select.POLLIN)
    return bool(poller.poll(0))


def test_condition_is_reported_as_long_as_it_holds(make: MakeCondition) -> None:
    with make() as condition:
        readiness = condition.readiness
        assert not readiness.wait(0)
        for _ in range(2):
            condition.set()
            assert polls(readiness)
            assert readiness.wait(0)
            assert readiness.wait()
            condition.clear()
            assert not polls(readiness)
            assert not readiness.wait(0)


def test_wake_is_reported_once(make: MakeCondition) -> None:
    with make() as condition:
        readiness = condition.readiness
        readiness.wake()
        readiness.wake()
        assert polls(readiness)
        assert readiness.wait(PATIENCE)
        assert not readiness.wait(0)
        readiness.wake()
        readiness.acknowledge()
        readiness.acknowledge()
        assert not polls(readiness)


def test_acknowledging_a_wake_does_not_hide_the_condition(make: MakeCondition) -> None:
    with make() as condition:
        readiness = condition.readiness
        condition.set()
        readiness.wake()
        readiness.acknowledge()
        assert polls(readiness)
        readiness.wake()
        condition.clear()
        assert polls(readiness)
        readiness.acknowledge()
        assert not polls(readiness)


@pytest.mark.parametrize("how", ["set", "wake"])
def test_thread_is_woken(make: MakeCondition, how: str) -> None:
    with make() as condition, ThreadPoolExecutor(1) as executor:
        waiter = executor.submit(condition.readiness.wait, PATIENCE)
        condition.set() if how == "set" else condition.readiness.wake()
        assert waiter.result(PATIENCE)


@pytest.mark.parametrize("how", ["set", "wake"])
async def test_task_is_woken(make: MakeCondition, how: str) -> None:
    with make() as condition:
        waiter = asyncio.ensure_future(condition.readiness.wait_async())
        await asyncio.sleep(0)
        assert not waiter.done()
        condition.set() if how == "set" else condition.readiness.wake()
        await asyncio.wait_for(waiter, PATIENCE)


async def test_cancelled_task_leaves_nothing_behind(make: MakeCondition) -> None:
    with make() as condition:
        waiter = asyncio.ensure_future(condition.readiness.wait_async())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert not asyncio.get_running_loop().remove_reader(condition.readiness.fileno())
        condition.set()
        await asyncio.wait_for(condition.readiness.wait_async(), PATIENCE)


@pytest.mark.parametrize("timeout", [1e-9, 0.001, -1.0])
def test_time_runs_out(make: MakeCondition, timeout: float) -> None:
    with make() as condition:
        assert not condition.readiness.wait(timeout)


@pytest.mark.parametrize("timeout", [1e7, 1e300, float("inf")])
def test_very_long_waits_are_for_ever(make: MakeCondition, timeout: float) -> None:
    """And not an error because milliseconds do not fit a C integer."""
    with make() as condition, ThreadPoolExecutor(1) as executor:
        waiter = executor.submit(condition.readiness.wait, timeout)
        condition.readiness.wake()
        assert waiter.result(PATIENCE)


def test_event_from_many_threads() -> None:
    event = EventReadiness()
    barrier = threading.Barrier(4)

    def hammer() -> None:
        barrier.wait(PATIENCE)
        for _ in range(500):
            event.set()
            event.wake()
            event.acknowledge()
            event.clear()

    with ThreadPoolExecutor(4) as executor:
        for task in [executor.submit(hammer) for _ in range(4)]:
            task.result(PATIENCE)
    assert not event.wait(0)
    event.set()
    assert event.wait(0)


def test_detached_readiness_reports_wakes_only() -> None:
    near, far = socket.socketpair()
    with near, far, near.dup():
        readiness = FdReadiness(near.fileno())
        far.send(b"x")
        assert readiness.wait(0)
        readiness.detach()
        assert not readiness.wait(0)
        readiness.wake()
        assert readiness.wait(0)


def test_readiness_of_an_epoll_instance() -> None:
    """Several descriptors at once."""
    near, far = socket.socketpair()
    with near, far, select.epoll() as several:
        several.register(near.fileno(), select.EPOLLIN)
        readiness = FdReadiness(several.fileno())
        assert not readiness.wait(0)
        far.send(b"x")
        assert readiness.wait(0)
        near.recv(1)
        assert not readiness.wait(0)
        readiness.detach()


def test_descriptors_live_as_long_as_the_object() -> None:
    with _readable() as condition:
        fd = condition.readiness.fileno()
        os.fstat(fd)
    del condition
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize("free", [0, 1])
def test_running_out_of_descriptors_is_an_error_and_no_more(free: int) -> None:
    """Nothing is left behind, and no warning from a half-made object."""
    near, far = socket.socketpair()
    with near, far:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(near.fileno())
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, limits[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                FdReadiness(near.fileno())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        gc.collect()
        assert os.dup(near.fileno()) == lowest
        os.close(lowest)


def test_a_set_tells_which_descriptors_are_ready() -> None:
    with _pairs(3) as pairs:
        readiness = FdSetReadiness()
        for near, _ in pairs:
            readiness.add(near.fileno())
        assert readiness.ready() == set()
        readiness.set()
        readiness.wake()
        assert readiness.ready() == set()
        for _, far in pairs[:2]:
            far.send(b"x")
        assert readiness.ready() == {near.fileno() for near, _ in pairs[:2]}
        readiness.remove(pairs[0][0].fileno())
        assert readiness.ready() == {pairs[1][0].fileno()}


def test_a_set_refuses_what_the_system_cannot_wait_for(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, pytest.raises(PermissionError):
        FdSetReadiness().add(file.fileno())
