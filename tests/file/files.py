"""What the tests of files share: writing and reading to the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spead_transport_file import FileConfig, FileReceiver, FileSender, FileTransport

from spead_transport.errors import EndOfStream
from spead_transport.testing.packets import bytes_of, make_batch
from spead_transport.transport import PacketBatch, PacketReceiver, PacketSender

#: Nothing that happens within this machine takes so long, in seconds.
PATIENCE = 10.0
BATCH = make_batch([100, 200, 300])
PACKETS = bytes_of(BATCH)


def transport(path: Path | str, **options: Any) -> FileTransport:
    return FileTransport(FileConfig(path=str(path), **options))


def open_reader(path: Path | str, **options: Any) -> FileReceiver:
    return transport(path, **options).open_receiver()


def open_writer(path: Path | str, **options: Any) -> FileSender:
    return transport(path, **options).open_sender()


def send_all(sender: PacketSender, batch: PacketBatch) -> None:
    """Send every packet of `batch`, waiting where necessary."""
    while len(batch):
        taken = sender.try_send(batch)
        batch = batch[taken:]
        if not taken:
            assert sender.writable.wait(PATIENCE)


def write(path: Path | str, batch: PacketBatch, **options: Any) -> None:
    """Write packets to a file."""
    with open_writer(path, **options) as sender:
        send_all(sender, batch)


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


def read(path: Path | str, **options: Any) -> list[bytes]:
    """All packets in a file."""
    with open_reader(path, **options) as receiver:
        return receive_to_end(receiver)


def settle(receiver: PacketReceiver) -> None:
    """Look for packets until the readiness does not report any."""
    while receiver.readable.wait(0):
        assert len(receiver.try_recv(1)) == 0


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
