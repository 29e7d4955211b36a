"""What the tests of files share: writing and reading to the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spead_transport_file import FileConfig, FileReceiver, FileSender, FileTransport

from spead_transport.testing.packets import bytes_of, make_batch
from spead_transport.transport import PacketBatch, PacketReceiver

from ..exchange import receive_to_end, send_all

BATCH = make_batch([100, 200, 300])
PACKETS = bytes_of(BATCH)


def transport(path: Path | str, **options: Any) -> FileTransport:
    return FileTransport(FileConfig(path=str(path), **options))


def open_reader(path: Path | str, **options: Any) -> FileReceiver:
    return transport(path, **options).open_receiver()


def open_writer(path: Path | str, **options: Any) -> FileSender:
    return transport(path, **options).open_sender()


def write(path: Path | str, batch: PacketBatch, **options: Any) -> None:
    """Write packets to a file."""
    with open_writer(path, **options) as sender:
        send_all(sender, batch)


def read(path: Path | str, **options: Any) -> list[bytes]:
    """All packets in a file."""
    with open_reader(path, **options) as receiver:
        return receive_to_end(receiver)


def settle(receiver: PacketReceiver) -> None:
    """Look for packets until the readiness does not report any."""
    while receiver.readable.wait(0):
        assert len(receiver.try_recv(1)) == 0
