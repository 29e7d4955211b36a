"""Queues used from many threads, and after a fork."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from spead_transport_inproc import InprocQueue, InprocReceiver, InprocSender, InprocTransport

from spead_transport.errors import EndOfStream
from spead_transport.transport import PacketReceiver

from .helpers import batch, bytes_of, numbered

PATIENCE = 20.0


def receive_to_the_end(receiver: PacketReceiver) -> list[bytes]:
    arrived: list[bytes] = []
    while True:
        assert receiver.readable.wait(PATIENCE), "the readiness is late"
        try:
            arrived += bytes_of(receiver.try_recv(7))
        except EndOfStream:
            return arrived


def send_numbers(queue: InprocQueue, numbers: range) -> None:
    with InprocSender([queue]) as sender:
        rest = batch(*numbered(numbers))
        while len(rest):
            taken = sender.try_send(rest[:5])
            rest = rest[taken:]
            if not taken:
                assert sender.writable.wait(PATIENCE), "the readiness is late"


def in_threads(*functions: Callable[[], object]) -> list[object]:
    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result() for future in [pool.submit(function) for function in functions]]


@pytest.mark.parametrize("max_packets", [None, 1, 10])
def test_many_senders_and_receivers_that_share(max_packets: int | None) -> None:
    queue = InprocQueue(max_packets=max_packets)
    senders = [range(first, first + 200) for first in range(0, 800, 200)]
    with InprocReceiver(queue) as one, InprocReceiver(queue) as other:

        def send_all() -> list[bytes]:
            in_threads(*(lambda numbers=numbers: send_numbers(queue, numbers) for numbers in senders))
            queue.stop()
            return []

        results = in_threads(send_all, lambda: receive_to_the_end(one), lambda: receive_to_the_end(other))
    arrived = [packet for result in results for packet in result]  # type: ignore[attr-defined]
    assert sorted(arrived) == numbered(range(800))
    for numbers in senders:
        sent = set(numbered(numbers))
        for result in results:
            from_one_sender = [packet for packet in result if packet in sent]  # type: ignore[attr-defined]
            assert from_one_sender == sorted(from_one_sender)


@pytest.mark.parametrize("max_packets", [None, 3])
def test_fan_out_to_threads(max_packets: int | None) -> None:
    queue = InprocQueue(max_packets=max_packets, mode="fanout")
    receivers = [InprocReceiver(queue) for _ in range(3)]

    def send_all() -> None:
        send_numbers(queue, range(300))
        queue.stop()

    results = in_threads(
        send_all, *(lambda receiver=receiver: receive_to_the_end(receiver) for receiver in receivers)
    )
    for receiver in receivers:
        receiver.close()
    assert results[1:] == [numbered(range(300))] * 3


def test_names_are_opened_and_closed_by_many_threads() -> None:
    """Each packet arrives at one of the receivers that come and go, or is discarded by the last of them."""
    url = InprocTransport.loopback_url()
    transport = InprocTransport.from_url(url)
    stop = threading.Event()

    def send_some() -> None:
        for _ in range(100):
            with transport.open_sender() as sender:
                sender.try_send(batch(b"packet"))
        stop.set()

    def receive_some() -> list[bytes]:
        arrived: list[bytes] = []
        while not stop.is_set():
            with transport.open_receiver() as receiver:
                try:
                    arrived += bytes_of(receiver.try_recv(10))
                except EndOfStream:
                    pass
        return arrived

    in_threads(send_some, receive_some, receive_some)
    transport.open_receiver().close()
    # Nobody uses the name any more, so that other options are accepted.
    InprocTransport.from_url(f"{url}?max_packets=1").open_receiver().close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_forgotten_endpoint_may_be_collected_anywhere() -> None:
    """An endpoint in a reference cycle closes itself in whichever call the collector happens to run."""
    url = InprocTransport.loopback_url()
    transport = InprocTransport.from_url(url)
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        with transport.open_sender() as sender, transport.open_receiver() as receiver:
            for _ in range(30):
                forgotten: list[object] = [transport.open_sender(), transport.open_receiver()]
                forgotten.append(forgotten)
                del forgotten
                assert sender.try_send(batch(b"packet")) == 1
                assert bytes_of(receiver.try_recv(10)) == [b"packet"]
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()


def test_a_child_process_is_told_that_the_queue_is_its_parents() -> None:
    code = """
        import os, sys
        from spead_transport import InprocQueue, TransportError, open_receiver, open_sender
        from spead_transport_inproc import InprocReceiver, InprocSender, InprocTransport

        queue = InprocQueue()
        named = InprocTransport.from_url("inproc://name")
        receiver, sender, named_receiver = InprocReceiver(queue), InprocSender([queue]), named.open_receiver()
        queue.add_packet(b"packet")
        child = os.fork()
        if child == 0:
            for call in (lambda: queue.add_packet(b""), lambda: receiver.try_recv(1), lambda: InprocReceiver(queue)):
                try:
                    call()
                except TransportError as error:
                    assert "spawn" in str(error), error
                else:
                    raise SystemExit("a copy of the parent's queue was used")
            receiver.close()
            sender.close()
            named_receiver.close()
            with named.open_sender() as own_sender, named.open_receiver() as own_receiver:
                assert own_sender.queues == own_receiver.queues != named_receiver.queues
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert receiver.readable.wait(0)
        assert len(receiver.try_recv(1)) == 1
        for endpoint in (receiver, sender, named_receiver):
            endpoint.close()
        print("done")
    """
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert (result.stdout, result.stderr) == ("done\n", "")
