"""Regular files: written, read, followed, damaged."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from spead_transport.errors import BrokenTransportError, EndOfStream, TransportError
from spead_transport.testing.packets import bytes_of, make_batch

from ..exchange import receive, receive_to_end, send_all
from .files import BATCH, PACKETS, open_reader, open_writer, read, settle, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording.spead"


# ----------------------------------------------------------------------------------------------------------- writing


def test_packets_lie_back_to_back(path: Path) -> None:
    write(path, BATCH)
    assert path.read_bytes() == b"".join(PACKETS)
    assert read(path) == PACKETS


def test_a_file_is_replaced_or_continued(path: Path) -> None:
    write(path, BATCH)
    write(path, BATCH)
    assert read(path) == PACKETS
    write(path, BATCH, mode="append")
    assert read(path) == PACKETS * 2


def test_a_new_file_must_not_exist(path: Path) -> None:
    write(path, BATCH, mode="new")
    with pytest.raises(TransportError, match="mode=append continued") as caught:
        open_writer(path, mode="new")
    assert caught.value.errno == errno.EEXIST
    assert read(path) == PACKETS


def test_a_full_disk() -> None:
    with open_writer("/dev/full", mode="append") as sender:
        for _ in range(2):
            with pytest.raises(BrokenTransportError, match="the disk is full"):
                sender.try_send(BATCH)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    for path, what in ((tmp_path, "directory"), (tmp_path / "no" / "file", "folder has to exist")):
        with pytest.raises(TransportError, match=what):
            open_writer(path)


def test_what_goes_wrong_in_closing_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = open_writer(path)
    close = os.close

    def close_badly(fd: int) -> None:
        close(fd)
        raise OSError(errno.EIO, "too late")

    monkeypatch.setattr(os, "close", close_badly)
    with pytest.raises(BrokenTransportError, match="may be lost"):
        sender.close()
    monkeypatch.undo()
    assert sender.closed
    sender.close()


# ----------------------------------------------------------------------------------------------------------- reading


def test_an_empty_file(path: Path) -> None:
    path.touch()
    with open_reader(path) as receiver:
        for _ in range(2):
            with pytest.raises(EndOfStream):
                receiver.try_recv(1)
            assert receiver.readable.wait(0)


def test_large_files_and_packets(path: Path) -> None:
    sizes = [60_000] * 100 + [3_000_000] + [60] * 1000 + [5_000_000]
    batch = make_batch(sizes)
    write(path, batch)
    assert read(path) == bytes_of(batch)


def test_memory_does_not_depend_on_the_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 26)  # all zeros, which take no room on the disk
        file.seek(0, os.SEEK_END)
        file.write(PACKETS[0])
    tracemalloc.start()
    try:
        with open_reader(path) as receiver:
            junk = 0
            last = b""
            try:
                while True:
                    batch = receiver.try_recv(1)
                    junk += int(np.count_nonzero(batch.sizes == 8))
                    last = next(batch[len(batch) - 1 :].packets()).tobytes()
            except EndOfStream:
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert junk == (1 << 26) // 8
    assert last == PACKETS[0]
    assert peak < 32 << 20


def test_junk_and_truncated_packets_are_handed_out(path: Path) -> None:
    path.write_bytes(b"odd" + PACKETS[0] + b"junkjunk" * 2 + PACKETS[1] + PACKETS[2][:50])
    assert read(path) == [b"odd", PACKETS[0], b"junkjunk", b"junkjunk", PACKETS[1], PACKETS[2][:50]]


def test_a_recording_is_continued_behind_a_packet_that_was_cut(path: Path) -> None:
    path.write_bytes(PACKETS[0] + PACKETS[2][:51])
    long = make_batch([400] * 5)
    write(path, long, mode="append")
    found = read(path)
    assert found[0] == PACKETS[0]
    assert found[-4:] == bytes_of(long)[1:]  # the first one is lost with the one that was cut


def test_packets_may_be_as_large_as_is_allowed(path: Path) -> None:
    batch = make_batch([1000, 1001, 100])
    write(path, batch)
    found = read(path, max_packet_size=1000)
    packets = bytes_of(batch)
    assert found == [packets[0], packets[1][:8], packets[2]]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path, what in ((tmp_path, "directory"), (tmp_path / "missing", "open the sender before the receiver")):
        with pytest.raises(TransportError, match=what):
            open_reader(path)


# --------------------------------------------------------------------------------------------------------- following


def test_following(path: Path) -> None:
    with open_writer(path) as sender, open_reader(path, follow="yes") as receiver:
        assert not receiver.capabilities.signals_end
        for _ in range(3):
            settle(receiver)
            send_all(sender, BATCH)
            assert receive(receiver, 3) == PACKETS
        sender.close()
        settle(receiver)
        write(path, BATCH, mode="append")
        assert receive(receiver, 3) == PACKETS


def test_following_a_packet_in_pieces(path: Path) -> None:
    data = b"".join(PACKETS)
    path.touch()
    with path.open("ab", buffering=0) as file, open_reader(path, follow="yes") as receiver:
        packets: list[bytes] = []
        for start in range(0, len(data), 70):
            file.write(data[start : start + 70])
            assert receiver.readable.wait(10)
            packets += bytes_of(receiver.try_recv(1))
            settle(receiver)
        assert packets == PACKETS


def test_following_until_closed(path: Path) -> None:
    sender = open_writer(path)
    with open_reader(path, follow="until-closed") as receiver:
        send_all(sender, BATCH)
        assert receive(receiver, 3) == PACKETS
        settle(receiver)
        send_all(sender, BATCH)
        sender.close()
        assert receive_to_end(receiver) == PACKETS


def test_following_is_woken_by_closing(path: Path) -> None:
    path.touch()
    with open_reader(path, follow="yes") as receiver:
        settle(receiver)
        receiver.close()
        assert receiver.readable.wait(0)


def test_a_file_that_is_followed_must_not_shrink(path: Path) -> None:
    write(path, BATCH)
    with open_reader(path, follow="yes") as receiver:
        assert receive(receiver, 3) == PACKETS
        settle(receiver)
        write(path, BATCH[:1])
        with pytest.raises(BrokenTransportError, match="was cut to 100 bytes after 600"):
            receive(receiver, 1)
