"""Waiting for endpoints, and closing them meanwhile."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from spead_transport_udp import UdpReceiver, UdpSender

from spead_transport.errors import ClosedError
from spead_transport.transport import EventReadiness, PacketBatch, Readiness, transport_from_url

from .links import PATIENCE, link, receive, send_all


@contextmanager
def waiting(readiness: Readiness) -> Iterator[Future[bool]]:
    """A thread that waits."""
    with ThreadPoolExecutor(1) as executor:
        yield executor.submit(readiness.wait, PATIENCE)


def test_packet_ends_a_wait() -> None:
    with link("127.0.0.1") as (sender, receiver), waiting(receiver.readable) as waiter:
        send_all(sender, PacketBatch.of([b"x"]))
        assert waiter.result(PATIENCE)
        assert receive(receiver, 1) == [b"x"]


@pytest.mark.parametrize("several", [False, True])
def test_close_ends_a_wait(several: bool) -> None:
    url = "udp://127.0.0.1+2:0" if several else "udp://127.0.0.1:0"
    with transport_from_url(url).open_receiver() as receiver, waiting(receiver.readable) as waiter:
        receiver.close()
        assert waiter.result(PATIENCE)
        with pytest.raises(ClosedError):
            receiver.try_recv(1)


def test_wake_ends_a_wait_once() -> None:
    with transport_from_url("udp://127.0.0.1:0").open_receiver() as receiver:
        with waiting(receiver.readable) as waiter:
            receiver.readable.wake()
            assert waiter.result(PATIENCE)
        assert not receiver.readable.wait(0)


async def test_packet_and_close_end_an_asynchronous_wait() -> None:
    with link("127.0.0.1") as (sender, receiver):
        waiter = asyncio.ensure_future(receiver.readable.wait_async())
        await asyncio.sleep(0)
        assert not waiter.done()
        send_all(sender, PacketBatch.of([b"x"]))
        await asyncio.wait_for(waiter, PATIENCE)
        assert receive(receiver, 1) == [b"x"]
        waiter = asyncio.ensure_future(receiver.readable.wait_async())
        await asyncio.sleep(0)
        receiver.close()
        await asyncio.wait_for(waiter, PATIENCE)


def test_closed_endpoint_watches_no_socket() -> None:
    """Not even one that lives on as its owner's: a packet to it is none of the receiver's business any more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        receiver = UdpReceiver.from_socket(sock)
        readable = receiver.readable
        receiver.close()
        assert readable.wait(0)  # woken by close
        sock.sendto(b"x", sock.getsockname())
        assert not readable.wait(0)


def test_close_while_sending_and_receiving() -> None:
    """Two threads use a link until it is closed under them."""
    started = EventReadiness()

    def send_until_closed(sender: UdpSender) -> None:
        batch = PacketBatch.of([bytes(1000)] * 200)
        while True:
            sender.try_send(batch)

    def receive_until_closed(receiver: UdpReceiver) -> None:
        while True:
            receiver.readable.wait(PATIENCE)
            if len(receiver.try_recv(100)):
                started.set()

    with link("127.0.0.1") as (sender, receiver), ThreadPoolExecutor(2) as executor:
        tasks: list[Future[Any]] = [
            executor.submit(send_until_closed, sender),
            executor.submit(receive_until_closed, receiver),
        ]
        assert started.wait(PATIENCE)
        for _ in range(100):
            assert receiver.drops()["truncated"] == 0
        receiver.close()
        sender.close()
        for task in tasks:
            assert isinstance(task.exception(PATIENCE), ClosedError)
        final = receiver.drops()
        assert receiver.drops() == final


def test_full_socket_takes_nothing_until_it_has_room() -> None:
    """UDP on the loopback interface is never full; a local socket whose peer does not read is, and behaves alike."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind("")  # the system picks a name
        name: Any = peer.getsockname()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.connect(name)
        with UdpSender(sock, [name], "udp://stand-in") as sender:
            batch = PacketBatch.of([bytes([index]) for index in range(100)])
            taken = sender.try_send(batch)
            assert 0 < taken < 100
            assert sender.try_send(batch[taken:]) == 0
            assert not sender.writable.wait(0)
            with waiting(sender.writable) as waiter:
                got = [peer.recv(10) for _ in range(taken)]
                assert waiter.result(PATIENCE)
            assert sender.try_send(batch[taken : taken + 1]) == 1
            got.append(peer.recv(10))
            assert got == [bytes([index]) for index in range(taken + 1)]


def test_threads_count_drops_while_one_receives() -> None:
    with link("127.0.0.1") as (sender, receiver):
        counting = threading.Event()

        def count() -> int:
            counting.set()
            return sum(sum(receiver.drops().values()) for _ in range(500))

        with ThreadPoolExecutor(1) as executor:
            task = executor.submit(count)
            assert counting.wait(PATIENCE)
            for _ in range(20):
                send_all(sender, PacketBatch.of([b"x"] * 50))
                assert len(receive(receiver, 50)) == 50
            assert task.result(PATIENCE) == 0
