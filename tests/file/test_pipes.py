"""Named pipes, standard input and output, terminals and serial lines."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
import sys
import tty
from pathlib import Path

import pytest

from spead_transport.errors import BrokenTransportError, EndOfStream, TransportError
from spead_transport.testing.packets import bytes_of, make_batch

from ..exchange import PATIENCE, receive, receive_to_end, running, send_all
from .files import BATCH, PACKETS, open_reader, open_writer, settle, write

#: Much more than a pipe holds.
LARGE = make_batch([3000] * 1000)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


# ------------------------------------------------------------------------------------------------------- named pipes


def test_a_reader_waits_for_a_writer(fifo: Path) -> None:
    with open_reader(fifo) as receiver:
        settle(receiver)
        with open_writer(fifo) as sender:
            send_all(sender, BATCH)
        assert receive_to_end(receiver) == PACKETS


def test_a_writer_waits_for_a_reader(fifo: Path) -> None:
    with running(lambda: write(fifo, BATCH)), open_reader(fifo) as receiver:
        assert receive_to_end(receiver) == PACKETS


def test_a_writer_does_not_wait_for_ever(fifo: Path) -> None:
    with pytest.raises(TransportError, match="nobody reads the named pipe") as caught:
        open_writer(fifo, open_timeout=0.02)
    assert caught.value.errno == errno.ENXIO


def test_a_writer_is_held_up(fifo: Path) -> None:
    with open_reader(fifo) as receiver, open_writer(fifo) as sender:
        rest = LARGE
        while taken := sender.try_send(rest):
            rest = rest[taken:]
        assert not sender.writable.wait(0)

        def send_rest() -> None:
            send_all(sender, rest)
            sender.close()

        with running(send_rest):
            assert receive_to_end(receiver) == bytes_of(LARGE)


def test_packets_larger_than_a_pipe(fifo: Path) -> None:
    large = make_batch([1_000_000, 100, 2_000_000])
    with open_reader(fifo) as receiver, running(lambda: write(fifo, large)):
        assert receive_to_end(receiver) == bytes_of(large)


def test_a_reader_that_went_away(fifo: Path) -> None:
    with open_reader(fifo) as receiver, open_writer(fifo) as sender:
        receiver.close()
        assert sender.writable.wait(PATIENCE)
        with pytest.raises(BrokenTransportError, match="whoever read the pipe has closed it") as caught:
            sender.try_send(BATCH)
        assert caught.value.errno == errno.EPIPE


def test_a_packet_that_was_cut(fifo: Path) -> None:
    with open_reader(fifo) as receiver:
        with fifo.open("wb", buffering=0) as file:
            file.write(PACKETS[0] + PACKETS[1][:50])
        assert receive_to_end(receiver) == [PACKETS[0], PACKETS[1][:50]]
        with open_writer(fifo), pytest.raises(EndOfStream):  # a new writer does not undo the end
            receive(receiver, 1)


def test_one_writer_after_the_other(fifo: Path) -> None:
    with open_reader(fifo, follow="yes") as receiver:
        for _ in range(3):
            write(fifo, BATCH)
            assert receive(receiver, 3) == PACKETS
            settle(receiver)


# ------------------------------------------------------------------------------------------------------ serial lines


def test_a_serial_line() -> None:
    master, slave = pty.openpty()
    try:
        tty.setraw(slave)
        name = os.ttyname(slave)
        with open_reader(name) as receiver:
            os.write(master, b"".join(PACKETS))
            assert receive(receiver, 3) == PACKETS
            settle(receiver)
        with open_writer(name) as sender:
            send_all(sender, BATCH)
            assert os.read(master, 10_000) == b"".join(PACKETS)
    finally:
        os.close(master)
        os.close(slave)


# --------------------------------------------------------------------------------------------------- standard streams

_SEND = """
import numpy as np, spead_transport
from spead_transport import send
group = send.ItemGroup()
group.add_item(0x1000, "value", "", (300_000,), np.float64, value=np.arange(300_000.0))
with spead_transport.open_sender("file://-") as stream:
    for _ in range(5):
        stream.send_heap(group.get_heap(descriptors="all", data="all"))
"""
_RECEIVE = """
import numpy as np, spead_transport
group = spead_transport.ItemGroup()
with spead_transport.open_receiver("file://-") as stream:
    for heap in stream:
        group.update(heap)
        print(heap.cnt, int(group["value"].value.sum()))
"""
_RECEIVED = "".join(f"{cnt} {sum(range(300_000))}\n" for cnt in range(1, 6))


def _run(code: str, **streams: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], **streams)  # type: ignore[call-overload, no-any-return]


def test_a_pipeline() -> None:
    with _run(_SEND, stdout=subprocess.PIPE) as sending:
        with _run(_RECEIVE, stdin=sending.stdout, stdout=subprocess.PIPE) as receiving:
            assert sending.stdout is not None
            sending.stdout.close()
            output, _ = receiving.communicate(timeout=4 * PATIENCE)
        assert sending.wait(PATIENCE) == 0
    assert receiving.returncode == 0
    assert output.decode() == _RECEIVED


def test_redirection(tmp_path: Path) -> None:
    path = tmp_path / "recording.spead"
    with path.open("wb") as file:
        file.write(b"whatever was there before")
        file.flush()
        with _run(_SEND, stdout=file) as sending:
            assert sending.wait(4 * PATIENCE) == 0
    with path.open("rb") as file:
        assert file.read(len(b"whatever was there before")) == b"whatever was there before"
        os.lseek(file.fileno(), file.tell(), os.SEEK_SET)
        with _run(_RECEIVE, stdin=file, stdout=subprocess.PIPE) as receiving:
            output, _ = receiving.communicate(timeout=4 * PATIENCE)
    assert output.decode() == _RECEIVED


def test_a_terminal_is_not_written_to() -> None:
    master, slave = pty.openpty()
    try:
        with _run(_SEND, stdout=slave, stderr=subprocess.PIPE) as sending:
            _, errors = sending.communicate(timeout=4 * PATIENCE)
        assert sending.returncode == 1
        assert b"standard output is a terminal" in errors
    finally:
        os.close(master)
        os.close(slave)
