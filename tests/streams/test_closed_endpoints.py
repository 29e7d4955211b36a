"""Closing an endpoint under a stream that uses it."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable

import numpy as np
import pytest
from spead_transport_inproc import InprocQueue, InprocReceiver, InprocSender

from spead_transport import ClosedError, Stopped, ThreadPool, recv, send
from spead_transport.transport import PacketReceiver, PacketSender, redirected, transport_from_url
from spead_transport.transport import open_receiver as open_packets

from ..items import heap_of

PATIENCE = 30
_names = itertools.count()


def opened(url: str) -> PacketReceiver:
    return open_packets(transport_from_url(url))


def opened_elsewhere() -> PacketReceiver:
    with redirected("udp->inproc"):
        return opened(f"udp://127.0.0.1:{20000 + next(_names)}")


RECEIVERS: dict[str, Callable[[], PacketReceiver]] = {
    "inproc": lambda: InprocReceiver(InprocQueue()),
    "two queues": lambda: InprocReceiver(InprocQueue(), InprocQueue()),
    "bounded": lambda: InprocReceiver(InprocQueue(max_packets=3)),
    "udp": lambda: opened("udp://127.0.0.1:0"),
    "tcp": lambda: opened("tcp://127.0.0.1:0"),
    "shm": lambda: opened(f"shm://closed-{next(_names)}"),
    "faults": lambda: opened("faults+udp://127.0.0.1:0"),
    "redirected": opened_elsewhere,
}


@pytest.mark.parametrize("worker", [False, True])
@pytest.mark.parametrize("kind", RECEIVERS)
def test_a_receiver(kind: str, worker: bool, engine: str) -> None:
    if kind == "shm":
        pytest.importorskip("spead_transport_shm")
    receiver = RECEIVERS[kind]()
    with recv.Stream(ThreadPool(), engine=engine) as stream:
        stream.add_reader(receiver, worker=worker)
        closing = threading.Timer(0.02, receiver.close)
        closing.start()
        with pytest.raises(ClosedError):
            stream.get(timeout=PATIENCE)
        with pytest.raises(Stopped):
            stream.get(timeout=PATIENCE)
        closing.join()


async def test_a_receiver_that_asyncio_waits_for(engine: str) -> None:
    receiver = opened("udp://127.0.0.1:0")
    async with recv.asyncio.Stream(ThreadPool(), engine=engine) as stream:
        stream.add_reader(receiver)
        waiting = asyncio.create_task(stream.get())
        await asyncio.sleep(0)
        receiver.close()
        with pytest.raises(ClosedError):
            await asyncio.wait_for(waiting, PATIENCE)


SENDERS: dict[str, Callable[[], PacketSender]] = {
    "inproc": lambda: InprocSender([InprocQueue()]),
    "bounded": lambda: InprocSender([InprocQueue(max_packets=3)]),
    "udp": lambda: transport_from_url("udp://127.0.0.1:7148").open_sender(),
}


@pytest.mark.parametrize("kind", SENDERS)
def test_a_sender(kind: str, engine: str) -> None:
    sender = SENDERS[kind]()
    with send.SyncStream(sender, engine=engine) as stream:
        stream.send_heap(heap_of())
        sender.close()
        with pytest.raises(ClosedError):
            stream.send_heap(heap_of())


async def test_a_sender_that_waits(engine: str) -> None:
    """Nobody receives, so that the connection is full before the heap is sent."""
    with opened("tcp://127.0.0.1:0") as receiver:
        sender = transport_from_url(receiver.url).open_sender()
        stream = send.asyncio.AsyncStream(sender, engine=engine)
        waiting = stream.async_send_heap(heap_of(np.zeros(64 << 20, np.uint8)))
        sender.close()
        with pytest.raises(ClosedError):
            await asyncio.wait_for(waiting, PATIENCE)
        stream.close()
