"""Both implementations write the same, and each reads what the other one writes."""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import numpy as np
import pytest
from spead_transport_shm import ShmReceiver, ShmSender, ShmTransport
from spead_transport_shm.messages import Announcement, Receipt, address_of

from spead_transport import open_receiver, open_sender, send
from spead_transport.errors import BrokenTransportError
from spead_transport.testing.packets import bytes_of, make_batch
from spead_transport.transport import PacketBatch, PacketReceiver, PacketSender

from ..exchange import receive_to_end, send_and_close
from ..faces import DrivenReceiver, DrivenSender

# The faces are chosen by the tests themselves.
pytestmark = pytest.mark.parametrize("face", ["python"], indirect=True, scope="module")

SIZE = 2 << 20


@attrs.frozen
class Written:
    """What a sender has announced, and the ring."""

    announcements: list[Announcement]
    ring: bytes


@contextmanager
def sender_of(kind: str, url: str) -> Iterator[PacketSender]:
    sender = ShmTransport.from_url(url).open_sender()
    with DrivenSender(sender) if kind == "native" else sender as driven:
        yield driven


@contextmanager
def receiver_of(kind: str, url: str) -> Iterator[PacketReceiver]:
    receiver = ShmTransport.from_url(url).open_receiver()
    with DrivenReceiver(receiver) if kind == "native" else receiver as driven:
        yield driven


def written_by(kind: str, steps: list[PacketBatch | int]) -> Written:
    """What a sender writes if it is given batches, and receipts for records with certain numbers."""
    url = ShmTransport.loopback_url()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address_of(url.partition("://")[2]))
        listener.listen(1)
        with sender_of(kind, f"{url}?size={SIZE}") as sender, listener.accept()[0] as sock:
            _, (fd,), *_ = socket.recv_fds(sock, 512, 1)
            announcements: list[Announcement] = []
            for step in steps:
                if isinstance(step, int):
                    sock.send(Receipt((announcements[step].start,)).pack())
                    continue
                sender.try_send(step)
                while True:
                    try:
                        announcements.append(Announcement.unpack(sock.recv(512, socket.MSG_DONTWAIT)))
                    except BlockingIOError:
                        break
            with mmap.mmap(fd, SIZE, prot=mmap.PROT_READ) as ring:
                written = Written(announcements, ring[:])
            os.close(fd)
            return written


def mixed_batch() -> PacketBatch:
    """Packets with and without bodies, which lie here and there."""
    payload = np.arange(5000).astype(np.uint8)
    return PacketBatch(
        np.arange(1000).astype(np.uint8),
        np.array([0, 100, 0, 50, 900]),
        np.array([100, 72, 8, 0, 100]),
        (payload[:3000], payload[3000:]),
        np.array([0, 2900, 0, 100, 0]),
        np.array([1400, 1400, 0, 900, 0]),
    )


def test_both_write_the_same() -> None:
    large = make_batch([1 << 18] * 3)
    steps: list[PacketBatch | int] = [
        mixed_batch(),
        make_batch([1472] * 700),
        1,
        make_batch([1472] * 2000),
        large,
        large,
        0,
        2,
        mixed_batch(),
        make_batch([]),
        3,
        large,
    ]
    python, native = (written_by(kind, steps) for kind in ("python", "native"))
    assert len(python.announcements) > 8
    assert native == python


@pytest.mark.parametrize("access", ["user", "anyone"])
@pytest.mark.parametrize(("sender_kind", "receiver_kind"), [("python", "native"), ("native", "python")])
def test_each_reads_what_the_other_writes(sender_kind: str, receiver_kind: str, access: str) -> None:
    url = f"{ShmTransport.loopback_url()}?access={access}&size={SIZE}"
    batches = [mixed_batch(), make_batch([1472] * 300), PacketBatch.of([b"", b"123", b""]), make_batch([1 << 18] * 2)]
    with receiver_of(receiver_kind, url) as receiver, sender_of(sender_kind, url) as sender:
        send_and_close(sender, PacketBatch.concatenate(batches))
        assert receive_to_end(receiver) == [packet for batch in batches for packet in bytes_of(batch)]


def test_an_endpoint_in_use_is_not_handed_over() -> None:
    with (
        ShmTransport.from_url(ShmTransport.loopback_url()).open_receiver() as receiver,
        ShmTransport.from_url(receiver.url).open_sender() as sender,
    ):
        assert isinstance(receiver, ShmReceiver)
        assert isinstance(sender, ShmSender)
        sender.try_send(make_batch([100]))
        assert len(receiver.try_recv(1)) == 1
        assert sender.hand_over() is None
        assert receiver.hand_over() is None
        receiver.release()
        assert sender.try_send(make_batch([100])) == 1


def test_heaps_that_are_kept_hold_nobody_up(engine: str) -> None:
    """A receiver may use a ring's memory as that of its heaps; it never uses so much that the sender cannot go on."""
    count, shape = 100, (100_000,)
    url = f"{ShmTransport.loopback_url()}?size={SIZE}"
    sending = send.ItemGroup()
    sending.add_item(0x1000, "data", "", shape, np.uint8)
    with open_receiver(url, engine=engine) as stream:
        with open_sender(url, engine=engine, config=send.StreamConfig(max_packet_size=9000)) as sender:
            heaps = []
            for number in range(count):
                sending["data"].value = np.full(shape, number, np.uint8)
                sender.send_heap(sending.get_heap(descriptors="none", data="all"), timeout=10)
                heaps.append(stream.get(timeout=10))
        values = [next(item for item in heap.get_items() if item.id == 0x1000) for heap in heaps]
        # What is kept belongs to the user, who may change it.
        np.asarray(values[0])[:] = 77
    for number, value in enumerate(values):
        assert np.all(np.asarray(value) == (number or 77)), "a heap's memory was used again"


def test_a_receiver_that_is_gone_is_noticed_although_heaps_are_kept(engine: str) -> None:
    url = ShmTransport.loopback_url()
    sending = send.ItemGroup()
    sending.add_item(0x1000, "data", "", (1 << 20,), np.uint8, value=np.zeros(1 << 20, np.uint8))
    heap = sending.get_heap()
    with open_receiver(url, engine=engine) as stream, open_sender(url, engine=engine) as sender:
        sender.send_heap(heap)
        kept = stream.get(timeout=10)
        stream.stop()
        with pytest.raises(BrokenTransportError, match="the receiver was closed"):
            sender.send_heap(heap)
        assert not np.asarray(next(item for item in kept.get_items() if item.id == 0x1000)).any()
