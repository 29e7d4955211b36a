"""Whatever the other end writes, to the socket or to the memory, nothing breaks, and all of it is counted or told."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import hypothesis.strategies as st
import pytest
from hypothesis import given
from spead_transport_shm import ShmReceiver, ShmSender, ShmTransport
from spead_transport_shm.messages import GOODBYE, Announcement, Hello, Receipt, address_of
from spead_transport_shm.ring import RingWriter

from spead_transport.errors import BrokenTransportError, EndOfStream, TransportError
from spead_transport.testing.packets import bytes_of, make_batch

from ..exchange import receive, send_all

SIZE = 2 << 20
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@contextmanager
def receiver_and_good_sender() -> Iterator[tuple[ShmReceiver, ShmSender]]:
    """A receiver that has a well-behaved sender already."""
    url = f"{ShmTransport.loopback_url()}?size={SIZE}"
    transport = ShmTransport.from_url(url)
    with transport.open_receiver() as receiver, transport.open_sender() as sender:
        all_is_well(receiver, sender)
        yield receiver, sender


def all_is_well(receiver: ShmReceiver, sender: ShmSender) -> None:
    """Packets go from one to the other."""
    batch = make_batch([1000] * 5)
    send_all(sender, batch)
    assert receive(receiver, 5) == bytes_of(batch)
    assert len(receiver.try_recv(1)) == 0


@contextmanager
def stranger(receiver: ShmReceiver) -> Iterator[socket.socket]:
    """A socket connected to the receiver that says whatever the test wants."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(5)
        sock.connect(address_of(receiver.url.partition("://")[2].partition("?")[0]))
        yield sock


@contextmanager
def attached_stranger(receiver: ShmReceiver) -> Iterator[tuple[socket.socket, RingWriter]]:
    """The same after a proper beginning, and its memory."""
    ring = RingWriter(SIZE)
    with stranger(receiver) as sock:
        socket.send_fds(sock, [Hello(SIZE).pack()], [ring.fd])
        os.close(ring.fd)
        try:
            yield sock, ring
        finally:
            ring.close()


def answer(sock: socket.socket) -> bytes:
    """What the receiver says before it closes; a reset means that it did not read all."""
    try:
        return sock.recv(1000)
    except ConnectionResetError:
        return sock.recv(1000)


@contextmanager
def memory(size: int, seals: int) -> Iterator[int]:
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        yield fd
    finally:
        os.close(fd)


# ------------------------------------------------------------------------------------------------------- beginnings


@pytest.mark.parametrize(
    "message", [b"x", b"GET / HTTP/1.1", Announcement(0, 1, 1, 1).pack(), b"spead-transport-shm 3", b"\xff" * 512]
)
def test_a_stranger_with_another_protocol(message: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with receiver_and_good_sender() as (receiver, sender), stranger(receiver) as sock:
        sock.send(message)
        assert len(receiver.try_recv(1)) == 0
        assert b"expected 'spead-transport-shm 2'" in answer(sock)
        assert "out of order" in caplog.text
        all_is_well(receiver, sender)
        sender.close()
        with pytest.raises(EndOfStream):
            receiver.try_recv(1)


def test_a_stranger_without_memory() -> None:
    with receiver_and_good_sender() as (receiver, sender), stranger(receiver) as sock:
        sock.send(Hello(SIZE).pack())
        assert len(receiver.try_recv(1)) == 0
        assert b"expected a file descriptor" in answer(sock)
        all_is_well(receiver, sender)


@pytest.mark.parametrize(
    ("claimed", "actual", "seals"),
    [
        (SIZE, SIZE, 0),  # could be truncated later, under the receiver's feet
        (SIZE, SIZE, fcntl.F_SEAL_GROW),
        (SIZE, SIZE // 2, SEALS),
        (2 * SIZE, SIZE, SEALS),
        (64, 64, SEALS),
        (SIZE + 1, SIZE + 1, SEALS),
        (1 << 63, SIZE, SEALS),
    ],
)
def test_memory_that_is_not_what_it_should_be(claimed: int, actual: int, seals: int) -> None:
    with (
        receiver_and_good_sender() as (receiver, sender),
        stranger(receiver) as sock,
        memory(actual, seals) as fd,
    ):
        socket.send_fds(sock, [Hello(claimed).pack()], [fd])
        assert len(receiver.try_recv(1)) == 0
        assert b"bytes" in answer(sock)
        all_is_well(receiver, sender)


def test_files_that_are_no_memory() -> None:
    with receiver_and_good_sender() as (receiver, sender):
        for path in ("/dev/null", "/dev/zero", "/proc/self/status"):
            with stranger(receiver) as sock, open(path, "rb") as file:
                socket.send_fds(sock, [Hello(SIZE).pack()], [file.fileno()] * 3)
                assert len(receiver.try_recv(1)) == 0
                assert b"expected sealed memory" in answer(sock)
        all_is_well(receiver, sender)


def test_a_stranger_who_says_nothing() -> None:
    with receiver_and_good_sender() as (receiver, sender), stranger(receiver) as silent, stranger(receiver) as short:
        assert len(receiver.try_recv(1)) == 0
        short.close()
        all_is_well(receiver, sender)
        sender.close()
        with pytest.raises(EndOfStream):
            receiver.try_recv(1)
        assert silent.recv(1000) == b""


# ---------------------------------------------------------------------------------------------------------- records


@pytest.mark.parametrize(
    "announcement",
    [
        Announcement(0, 0, 0, 0),
        Announcement(1, 1, 100, 0),
        Announcement(SIZE, 1, 0, 0),
        Announcement(SIZE - 64, 1, 100, 0),
        Announcement(SIZE - 64, 1, 0, 100),
        Announcement(0, 1, SIZE, 0),
        Announcement(0, 1, 0, SIZE),
        Announcement(64, SIZE // 8, 0, 0),
        Announcement(0, 2**64 - 1, 0, 0),
        Announcement(0, 2**61, 0, 0),
        Announcement(0, 1, 2**64 - 1, 0),
        Announcement(0, 1, 0, 2**64 - 1),
        Announcement(2**64 - 64, 8, 2**64 - 64, 64),
    ],
)
def test_records_that_cannot_be(announcement: Announcement, caplog: pytest.LogCaptureFixture) -> None:
    with receiver_and_good_sender() as (receiver, sender), attached_stranger(receiver) as (sock, _):
        sock.send(announcement.pack())
        assert len(receiver.try_recv(1)) == 0
        assert b"expected a record within" in answer(sock)
        all_is_well(receiver, sender)
        sender.close()
        with pytest.raises(BrokenTransportError, match="out of order: expected a record"):
            receiver.try_recv(1)


@given(
    messages=st.lists(
        st.binary(max_size=600)
        | st.builds(
            Announcement.pack,
            st.builds(
                Announcement,
                st.integers(0, 99).map(lambda n: 64 * n),
                st.integers(0, 99),
                st.integers(0, 9999),
                st.integers(0, 9999),
            ),
        ),
        max_size=8,
    )
)
def test_any_messages(messages: list[bytes]) -> None:
    with receiver_and_good_sender() as (receiver, sender), attached_stranger(receiver) as (sock, ring):
        announcement = ring.write(make_batch([100] * 10))
        assert announcement is not None
        for message in [announcement.pack(), *messages]:
            sock.send(message)
        assert receiver.try_recv(1).nbytes == 1000
        for _ in range(20):
            receiver.try_recv(100)
        all_is_well(receiver, sender)


@given(sizes=st.lists(st.integers(0, 2**32 - 1), min_size=20, max_size=20))
def test_any_table_of_sizes(sizes: list[int]) -> None:
    """The memory can hold anything: it is read once, and counted if it is not what was announced."""
    with receiver_and_good_sender() as (receiver, sender), attached_stranger(receiver) as (sock, ring):
        good = make_batch([100] * 10)
        first, second = ring.write(good), ring.write(good)
        assert first is not None
        assert second is not None
        ring.memory[: 8 * 10] = list(struct.pack("=20I", *sizes))
        sock.send(first.pack())
        sock.send(second.pack())
        batch = receiver.try_recv(100)
        if (sum(sizes[0::2]), sum(sizes[1::2])) == (first.head_bytes, first.body_bytes):
            assert len(batch) == 20
        else:
            assert bytes_of(batch) == bytes_of(good)
            assert receiver.drops() == {"corrupt": 10}
        receiver.release()
        assert answer(sock) == Receipt((first.start, second.start)).pack()
        sock.send(GOODBYE)
        assert len(receiver.try_recv(1)) == 0
        all_is_well(receiver, sender)


def test_what_others_may_change_is_copied() -> None:
    url = f"{ShmTransport.loopback_url()}?access=anyone"
    with ShmTransport.from_url(url).open_receiver() as receiver, attached_stranger(receiver) as (sock, ring):
        good = make_batch([100] * 10)
        announcement = ring.write(good)
        assert announcement is not None
        sock.send(announcement.pack())
        batch = receiver.try_recv(100)
        ring.memory[:] = 0
        assert bytes_of(batch) == bytes_of(good)


def test_who_ignores_receipts_harms_only_himself() -> None:
    with receiver_and_good_sender() as (receiver, sender), attached_stranger(receiver) as (sock, ring):
        announcement = ring.write(make_batch([100]))
        assert announcement is not None
        for _ in range(3000):
            sock.send(announcement.pack())
            while not len(receiver.try_recv(1)):
                pass
        all_is_well(receiver, sender)


# ---------------------------------------------------------------------------------------------- a hostile receiver


@pytest.mark.parametrize(
    "message", [b"xyz", Receipt((0,)).pack(), Receipt((2**64 - 1,)).pack(), b"\xff" * 496, b"\xff" * 500]
)
def test_a_receiver_out_of_order(message: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        url = ShmTransport.loopback_url()
        listener.bind(address_of(url.partition("://")[2]))
        listener.listen(1)
        with ShmTransport.from_url(url).open_sender() as sender, listener.accept()[0] as sock:
            sock.send(message)
            with pytest.raises(BrokenTransportError, match="the receiver is out of order"):
                sender.try_send(make_batch([100]))


def test_a_receiver_that_accepts_nobody() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        url = ShmTransport.loopback_url()
        listener.bind(address_of(url.partition("://")[2]))
        listener.listen(0)
        transport = ShmTransport.from_url(url)
        with transport.open_sender(), pytest.raises(TransportError, match="has not looked at earlier senders"):
            transport.open_sender()


def test_a_socket_with_hardly_any_buffer() -> None:
    """Not hostile, but just as unlikely: announcements fill the socket long before packets fill the ring."""
    batch = make_batch([100])
    with ShmTransport.from_url(ShmTransport.loopback_url()).open_receiver() as receiver:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        sock.connect(address_of(receiver.url.partition("://")[2]))
        with ShmSender(sock, receiver.url, SIZE) as sender:
            for _ in range(3):
                sent = 0
                while sender.try_send(batch):
                    sent += 1
                assert 0 < sent < 100
                assert not sender.writable.wait(0)
                assert receive(receiver, sent) == bytes_of(batch) * sent
                receiver.release()
                assert sender.writable.wait(0)
