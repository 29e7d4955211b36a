from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from spead_transport_cqueue import CQueueConfig, CQueueReceiver, CQueueSender, CQueueTransport

import spead_transport
from spead_transport.engine import engine_names
from spead_transport.errors import BrokenTransportError, EndOfStream, TransportError
from spead_transport.testing import TransportConformance
from spead_transport.transport import PacketBatch

PATIENCE = 10.0


@pytest.fixture
def transport() -> CQueueTransport:
    return CQueueTransport.from_url(CQueueTransport.loopback_url())


@pytest.fixture
def ends(transport: CQueueTransport) -> Iterator[tuple[CQueueSender, CQueueReceiver]]:
    with transport.open_receiver() as receiver, transport.open_sender() as sender:
        yield sender, receiver


def url_with_little_room() -> str:
    return f"{CQueueTransport.loopback_url()}?max_packets=7"


class TestConformance(TransportConformance):
    transport = CQueueTransport


class TestConformanceWithLittleRoom(TransportConformance):
    transport = CQueueTransport
    options = "max_packets=7"


def test_no_more_packets_wait_than_the_receiver_says() -> None:
    transport = CQueueTransport.from_url(url_with_little_room())
    batch = PacketBatch.of([b"packet"] * 10)
    with transport.open_receiver() as receiver, transport.open_sender() as sender, transport.open_sender() as other:
        assert sender.try_send(batch) == 7
        assert other.try_send(batch) == 0
        assert not other.writable.wait(0)
        assert len(receiver.try_recv(10)) == 7
        assert other.writable.wait(PATIENCE)
        assert other.try_send(batch[7:]) == 3


def test_bodies_may_be_kept_and_written_to(ends: tuple[CQueueSender, CQueueReceiver]) -> None:
    sender, receiver = ends
    sizes = np.array([2, 3])
    blocks = (np.arange(4, dtype=np.uint8), np.arange(4, 10, dtype=np.uint8))
    heads = np.frombuffer(b"headHEAD", np.uint8)
    sent = PacketBatch(heads, np.array([0, 4]), np.array([4, 4]), blocks, np.array([0, 3]), sizes)
    assert sender.try_send(sent) == 2
    received = receiver.try_recv(10)
    packets = [packet.tobytes() for packet in received.packets()]
    assert packets == [b"head\x00\x01", b"HEAD\x03\x04\x05"]
    assert received.adoptable
    receiver.close()
    del receiver, ends
    gc.collect()
    received.bodies[0][:] = 9
    assert [packet.tobytes() for packet in received.packets()] == [b"head\x09\x09", b"HEAD\x09\x09\x09"]


def test_columns_need_not_be_contiguous(ends: tuple[CQueueSender, CQueueReceiver]) -> None:
    sender, receiver = ends
    assert sender.try_send(PacketBatch.of([b"one", b"two", b"three"])[::2]) == 2
    assert [packet.tobytes() for packet in receiver.try_recv(10).packets()] == [b"one", b"three"]


@pytest.mark.parametrize(("offset", "size"), [(-1, 2), (0, -1), (0, 11), (11, 0), (2**62, 2**62)])
def test_packets_that_lie_outside_their_block(
    ends: tuple[CQueueSender, CQueueReceiver], offset: int, size: int
) -> None:
    batch = PacketBatch(np.zeros(10, np.uint8), np.array([offset]), np.array([size]))
    with pytest.raises(ValueError, match="of a block that has 10"):
        ends[0].try_send(batch)


def test_a_batch_whose_columns_do_not_match(ends: tuple[CQueueSender, CQueueReceiver]) -> None:
    with pytest.raises(ValueError, match="as many offsets and sizes"):
        ends[0].try_send(PacketBatch(np.zeros(10, np.uint8), np.array([0, 5]), np.array([5])))


def test_one_receiver_for_each_name(transport: CQueueTransport, ends: tuple[CQueueSender, CQueueReceiver]) -> None:
    with pytest.raises(TransportError, match="there is a receiver already"):
        transport.open_receiver()
    assert ends[0].try_send(PacketBatch.of([b"still there"])) == 1


def test_a_sender_needs_a_receiver() -> None:
    with pytest.raises(TransportError, match="start the receiver before its senders"):
        CQueueTransport(CQueueConfig(name="nobody")).open_sender()


def test_a_stream_that_has_ended_cannot_be_continued(
    transport: CQueueTransport, ends: tuple[CQueueSender, CQueueReceiver]
) -> None:
    sender, receiver = ends
    with transport.open_sender() as other:
        sender.close()
        assert len(receiver.try_recv(1)) == 0
        assert other.try_send(PacketBatch.of([b"the last one"])) == 1
    assert len(receiver.try_recv(1)) == 1
    with pytest.raises(EndOfStream):
        receiver.try_recv(1)
    with pytest.raises(TransportError, match="open the receiver again"):
        transport.open_sender()


def test_a_sender_learns_that_its_receiver_was_closed(ends: tuple[CQueueSender, CQueueReceiver]) -> None:
    sender, receiver = ends
    receiver.close()
    with pytest.raises(BrokenTransportError, match="the receiver was closed"):
        sender.try_send(PacketBatch.of([b"packet"]))


def test_a_queue_holds_one_packet_at_least() -> None:
    with pytest.raises(ValueError, match="max_packets"):
        CQueueTransport.from_url("cqueue://x?max_packets=0")


@pytest.mark.parametrize("sending", engine_names())
@pytest.mark.parametrize("receiving", engine_names())
def test_engines_meet_in_the_queue(sending: str, receiving: str) -> None:
    """Many heaps through a queue with little room, from several threads."""
    url = url_with_little_room()
    heaps, threads = 50, 3

    def send(first: int) -> None:
        group = spead_transport.send.ItemGroup()
        value = np.full(20_000, first, np.uint16)
        group.add_item(0x1000, "data", "", value.shape, value.dtype, value=value)
        with spead_transport.open_sender(url, engine=sending) as stream:
            for cnt in range(first, heaps * threads, threads):
                stream.send_heap(group.get_heap(descriptors="none", data="all"), cnt, timeout=PATIENCE)

    with (
        spead_transport.open_receiver(
            url, config=spead_transport.recv.StreamConfig(max_heaps=heaps * threads), engine=receiving
        ) as stream,
        ThreadPoolExecutor(threads) as executor,
    ):
        # A sender that stays until the others are there, so that the stream does not end between two of them.
        with CQueueTransport.from_url(url).open_sender():
            sent = [executor.submit(send, first) for first in range(threads)]
            received = [stream.get(PATIENCE) for _ in range(heaps * threads)]
            for finished in sent:
                finished.result(PATIENCE)
        assert list(stream) == []
    assert sorted(heap.cnt for heap in received) == list(range(heaps * threads))
    for heap in received:
        assert isinstance(heap, spead_transport.recv.Heap)
        assert (heap.payload.view(np.uint16) == heap.cnt % threads).all()
