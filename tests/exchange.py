"""Sending and receiving to the end, over whatever endpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spead_transport.errors import EndOfStream
from spead_transport.testing.packets import bytes_of
from spead_transport.transport import PacketBatch, PacketReceiver, PacketSender

#: Nothing that happens within this machine takes so long, in seconds.
PATIENCE = 10.0


def send_all(sender: PacketSender, batch: PacketBatch) -> None:
    """Send every packet of `batch`, waiting where necessary."""
    while len(batch):
        taken = sender.try_send(batch)
        batch = batch[taken:]
        if not taken:
            assert sender.writable.wait(PATIENCE)


def send_and_close(sender: PacketSender, batch: PacketBatch) -> None:
    """Send every packet of `batch`, then close the sender."""
    send_all(sender, batch)
    sender.close()


def receive(receiver: PacketReceiver, count: int) -> list[bytes]:
    """At least `count` packets."""
    packets: list[bytes] = []
    while len(packets) < count:
        assert receiver.readable.wait(PATIENCE), f"only {len(packets)} of {count} packets came"
        packets += bytes_of(receiver.try_recv(count))
    return packets


def receive_to_end(receiver: PacketReceiver) -> list[bytes]:
    """All packets until the end of the stream."""
    packets: list[bytes] = []
    try:
        while True:
            packets += receive(receiver, 1)
    except EndOfStream:
        return packets


@contextmanager
def running(function: Callable[[], object]) -> Iterator[None]:
    """Run `function` in a thread during the block, which waits for its end and raises what it raised."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(2 * PATIENCE)
        assert not thread.is_alive()
    if failures:
        raise failures[0]
