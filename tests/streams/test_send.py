"""Sending: numbers, groups, errors, limits. What goes out is looked at packet by packet."""

from __future__ import annotations

import errno
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from spead_transport import ClosedError, Flavour, InprocQueue, Item, ThreadPool, TransportError, recv, send
from spead_transport.protocol.batch import as_bytes
from spead_transport.protocol.framing import frame_packets
from spead_transport.protocol.packets import decode_packet
from spead_transport.send import GroupMode, HeapReference, HeapReferenceList, StreamConfig

from ..items import heap_of


def bytes_stream(engine: str, **config: object) -> send.BytesStream:
    return send.BytesStream(None, StreamConfig(**config), engine=engine)  # type: ignore[arg-type]


def cnts(stream: send.BytesStream) -> list[int]:
    """The heap cnt of each packet that was sent."""
    data = as_bytes(stream.getvalue())
    offsets, sizes = frame_packets(data)
    return [decode_packet(data[start : start + size]).heap_cnt for start, size in zip(offsets, sizes, strict=True)]


@pytest.mark.parametrize("mode", ["serial", 1, None])
def test_a_mode_that_is_none_is_refused(engine: str, mode: object) -> None:
    with bytes_stream(engine) as stream:
        with pytest.raises(TypeError, match=f"GroupMode.SERIAL or GroupMode.ROUND_ROBIN, not {mode!r}"):
            stream.send_heaps([HeapReference(heap_of())], mode)  # type: ignore[arg-type]
        assert stream.getvalue() == b""


def test_send_heap_returns_the_bytes_on_the_wire(engine: str) -> None:
    with bytes_stream(engine) as stream:
        assert stream.send_heap(heap_of(np.zeros(10_000, np.uint8))) == len(stream.getvalue())


@pytest.mark.parametrize("size", [1, 7, 8, 1000, 1424, 1425, 100_000])
@pytest.mark.parametrize("max_packet_size", [64, 1472, 8972, 65_000])
def test_packets_are_those_of_the_packet_generator(engine: str, size: int, max_packet_size: int) -> None:
    heap = heap_of(np.arange(size, dtype=np.uint8))
    with bytes_stream(engine, max_packet_size=max_packet_size) as stream:
        stream.send_heap(heap, 17)
        assert stream.getvalue() == b"".join(send.PacketGenerator(heap, 17, max_packet_size))


@pytest.mark.parametrize("size", [100, 100_000, 3_000_000, 40_000_000])
def test_what_was_sent_stays_as_it_is_while_more_is_sent(engine: str, size: int) -> None:
    heap = heap_of(np.arange(size, dtype=np.uint32).view(np.uint8)[:size])
    with bytes_stream(engine) as stream:
        assert stream.getvalue() == b""
        stream.send_heap(heap, 1)
        first = stream.getvalue()
        assert first == stream.getvalue() == b"".join(send.PacketGenerator(heap, 1, 1472))
        stream.send_heap(heap, 2)
        both = stream.getvalue()
        assert both[: len(first)] == first
        assert both[len(first) :] == b"".join(send.PacketGenerator(heap, 2, 1472))
        assert len(first) * 2 == len(both)


def test_what_was_sent_can_be_looked_at_while_others_send(engine: str) -> None:
    heaps = 200
    values: list[bytes] = []
    with bytes_stream(engine) as stream:

        def send_all() -> None:
            for _ in range(heaps):
                stream.send_heap(heap_of(np.zeros(20_000, np.uint8)))

        sender = threading.Thread(target=send_all)
        sender.start()
        while sender.is_alive():
            values.append(stream.getvalue())
        sender.join()
        everything = stream.getvalue()
        assert set(cnts(stream)) == set(range(1, heaps + 1))
    assert all(everything.startswith(value) for value in values)


def test_heaps_are_numbered_from_one(engine: str) -> None:
    heap = heap_of(np.zeros(8, np.uint8))
    with bytes_stream(engine) as stream:
        for _ in range(3):
            stream.send_heap(heap)
        stream.send_heap(heap, 77)  # does not advance the sequence
        stream.send_heap(heap)
        assert cnts(stream) == [1, 2, 3, 77, 4]


def test_the_sequence_can_be_chosen(engine: str) -> None:
    heap = heap_of(np.zeros(8, np.uint8))
    with bytes_stream(engine) as stream:
        stream.set_cnt_sequence(2**40 - 1, 5)
        stream.send_heap(heap)
        stream.send_heap(heap)
        assert cnts(stream) == [2**40 - 1, 4]
        with pytest.raises(ValueError, match="step"):
            stream.set_cnt_sequence(1, 0)
        with pytest.raises(TypeError):
            stream.set_cnt_sequence(-1, 1)


def test_heaps_with_and_without_a_number_share_a_call(engine: str) -> None:
    narrow, wide = Flavour(heap_address_bits=24), Flavour(heap_address_bits=48)
    heaps = [HeapReference(send.Heap(flavour), cnt=cnt) for flavour in (narrow, wide) for cnt in (-1, 9, -(2**70))]
    with bytes_stream(engine, max_heaps=6) as stream:
        stream.set_cnt_sequence(2**64 - 1, 2)
        stream.send_heaps(heaps, GroupMode.SERIAL)
        assert cnts(stream) == [2**24 - 1, 9, 1, 3, 9, 5]


def test_no_number_is_used_up_by_heaps_that_are_refused(engine: str) -> None:
    good = HeapReference(heap_of())
    with bytes_stream(engine) as stream:
        for bad in (HeapReference(heap_of(), cnt=2**90), HeapReference(heap_of(), substream_index=2**90)):
            with pytest.raises(OSError, match="9") as caught:
                stream.send_heaps([good, bad], GroupMode.SERIAL)
            assert caught.value.errno == errno.EINVAL
        stream.send_heaps([good], GroupMode.SERIAL)
        assert cnts(stream) == [1]


def test_a_list_is_read_anew_each_time_it_is_sent(engine: str) -> None:
    values = np.array([1], np.uint16)
    heap = heap_of(values)  # small enough for an item pointer
    reference = HeapReference(heap)
    heaps = HeapReferenceList([reference])

    def send_again(stream: send.BytesStream) -> bytes:
        before = len(stream.getvalue())
        stream.send_heaps(heaps, GroupMode.SERIAL)
        return stream.getvalue()[before:]

    def expected(cnt: int) -> bytes:
        return b"".join(send.PacketGenerator(heap, cnt, StreamConfig.DEFAULT_MAX_PACKET_SIZE))

    with bytes_stream(engine) as stream:
        assert send_again(stream) == expected(1)
        values[:] = 2
        assert send_again(stream) == expected(2)
        reference.cnt = 50
        assert send_again(stream) == expected(50)
        heap.add_start()
        assert send_again(stream) == expected(50)
        heap.repeat_pointers = True
        heap.add_item(Item(0x2000, "large", "", (3000,), dtype=np.uint8, value=np.arange(3000).astype(np.uint8)))
        assert send_again(stream) == expected(50)
        heap.add_end()
        assert send_again(stream) == expected(50)


def test_a_cnt_that_does_not_fit_is_refused(engine: str) -> None:
    with bytes_stream(engine) as stream:
        with pytest.raises(OSError, match="does not fit") as caught:
            stream.send_heap(heap_of(), 2**40)
        assert caught.value.errno == errno.EINVAL


def test_a_substream_that_does_not_exist_is_refused(engine: str) -> None:
    with bytes_stream(engine) as stream:
        assert stream.num_substreams == 1
        for index in (1, -1):
            with pytest.raises(OSError, match="substream") as caught:
                stream.send_heap(heap_of(), substream_index=index)
            assert caught.value.errno == errno.EINVAL


def test_no_heaps_are_refused(engine: str) -> None:
    with bytes_stream(engine) as stream:
        with pytest.raises(OSError, match="no heaps") as caught:
            stream.send_heaps([], GroupMode.SERIAL)
        assert caught.value.errno == errno.EINVAL


def test_groups_in_series_and_in_turn(engine: str) -> None:
    heaps = [HeapReference(heap_of(np.zeros(size, np.uint8)), cnt=cnt) for cnt, size in enumerate((48, 8, 24), 1)]
    for mode, expected in (
        (GroupMode.SERIAL, [1] * 3 + [2] + [3] * 2),
        (GroupMode.ROUND_ROBIN, [1, 2, 3, 1, 3, 1]),
    ):
        with bytes_stream(engine, max_packet_size=64) as stream:
            assert stream.send_heaps(heaps, mode) == len(stream.getvalue())
            assert cnts(stream) == expected


def test_groups_with_several_rates_and_substreams_keep_their_order(engine: str) -> None:
    queues = [InprocQueue(), InprocQueue()]
    heaps = [
        HeapReference(heap_of(np.zeros(32, np.uint8)), cnt=cnt, substream_index=cnt % 2, rate=1e9 * (cnt % 3))
        for cnt in range(1, 7)
    ]
    config = StreamConfig(max_packet_size=64, max_heaps=6)
    with send.InprocStream(ThreadPool(), queues, config) as stream:
        stream.send_heaps(HeapReferenceList(heaps), GroupMode.ROUND_ROBIN)
    for index, queue in enumerate(queues):
        queue.stop()
        with recv.Stream(ThreadPool(), recv.StreamConfig(max_heaps=6), engine=engine) as receiver:
            receiver.add_inproc_reader(queue)
            assert [heap.cnt for heap in receiver] == [cnt for cnt in range(1, 7) if cnt % 2 == index]


def test_heap_reference_lists_take_only_references_and_slices() -> None:
    heaps = [HeapReference(heap_of()) for _ in range(3)]
    listed = HeapReferenceList(heaps)
    assert len(listed) == 3
    assert list(listed[1:]) == heaps[1:]
    with pytest.raises(TypeError):
        HeapReferenceList([heap_of()])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        listed[0]  # type: ignore[index]
    with pytest.raises(ValueError, match="step"):
        listed[1:2:0]
    with pytest.raises(TypeError):
        HeapReference("heap")  # type: ignore[arg-type]


def test_a_packet_size_that_is_too_small_fails_that_heap_only(engine: str) -> None:
    with bytes_stream(engine, max_packet_size=40) as stream:
        with pytest.raises(ValueError, match="packet size is too small"):
            stream.send_heap(heap_of())
        stream.flush(timeout=10)


def test_a_closed_stream_refuses(engine: str) -> None:
    stream = bytes_stream(engine)
    stream.close()
    stream.close()
    with pytest.raises(ClosedError):
        stream.send_heap(heap_of())


def test_a_stopped_queue_refuses(engine: str) -> None:
    queue = InprocQueue()
    queue.stop()
    with send.InprocStream(ThreadPool(), [queue], engine=engine) as stream:
        with pytest.raises(TransportError) as caught:
            stream.send_heap(heap_of())
        assert caught.value.errno == errno.ECANCELED


def test_queues_are_those_that_were_given(engine: str) -> None:
    queues = [InprocQueue(), InprocQueue()]
    with send.InprocStream(ThreadPool(), queues, engine=engine) as stream:
        assert list(stream.queues) == queues
        assert stream.num_substreams == 2
    with pytest.raises(ValueError, match="queue"):
        send.InprocStream(ThreadPool(), [])


@contextmanager
def full_queue(engine: str) -> Iterator[send.SyncStream]:
    """A stream to a bounded queue that has no room left."""
    queue = InprocQueue(max_bytes=2000)
    with send.InprocStream(ThreadPool(), [queue], StreamConfig(max_heaps=2), engine=engine) as stream:
        stream.send_heap(heap_of(np.zeros(1500, np.uint8)))
        yield stream


def test_sending_can_time_out(engine: str) -> None:
    with full_queue(engine) as stream:
        with pytest.raises(TimeoutError):
            stream.send_heap(heap_of(np.zeros(100_000, np.uint8)), timeout=0.01)
        stream.flush(timeout=10)  # the heap was given up


def returns(call: Callable[..., object], **arguments: float) -> bool:
    """Whether a call returns, rather than to time out."""
    try:
        call(**arguments)
    except TimeoutError:
        return False
    return True


def start_to_wait(stream: send.SyncStream) -> threading.Thread:
    """A thread that waits to send a heap until the stream is closed."""

    def wait() -> None:
        while True:
            try:
                stream.send_heap(heap_of(np.zeros(9999, "u1")))
            except BlockingIOError:
                continue  # somebody else's heap is waiting, for a moment
            except ClosedError:
                return

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_close_wakes_a_sender_that_waits(engine: str) -> None:
    with full_queue(engine) as stream:
        thread = start_to_wait(stream)
        while returns(stream.flush, timeout=0.01):
            pass  # the thread has not begun
        stream.close()
        thread.join(10)
        assert not thread.is_alive()


def test_no_more_than_max_heaps_wait(engine: str) -> None:
    with full_queue(engine) as stream:
        threads = [start_to_wait(stream) for _ in range(2)]
        refused: list[BlockingIOError] = []
        while not refused:
            try:
                stream.send_heap(heap_of(), timeout=0.001)
            except BlockingIOError as error:
                refused.append(error)
            except TimeoutError:
                continue  # not both are waiting yet
        assert refused[0].errno == errno.EAGAIN
        stream.close()
        for thread in threads:
            thread.join(10)


def test_a_heap_is_freed_after_the_send(engine: str) -> None:
    with bytes_stream(engine) as stream:
        heap = heap_of()
        gone = weakref.ref(heap)
        stream.send_heap(heap)
        del heap
        gc.collect()
        assert gone() is None


def test_several_threads_share_a_stream(engine: str) -> None:
    queue = InprocQueue()
    values = [np.full(5000, index, np.uint8) for index in range(4)]
    config = StreamConfig(max_heaps=8)
    with send.InprocStream(ThreadPool(), [queue], config, engine=engine) as stream:
        threads = [
            threading.Thread(target=lambda value=value: [stream.send_heap(heap_of(value)) for _ in range(25)])
            for value in values
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    queue.stop()
    with recv.Stream(ThreadPool(), engine=engine) as receiver:
        receiver.add_inproc_reader(queue)
        heaps = list(receiver)
    assert sorted(heap.cnt for heap in heaps) == list(range(1, 101))
    assert all(isinstance(heap, recv.Heap) and len(set(heap.payload.tolist())) == 1 for heap in heaps)


@pytest.mark.parametrize("name", ["max_heaps", "max_packet_size", "burst_size"])
def test_sizes_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        StreamConfig(**{name: 0})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=name):
        StreamConfig(**{name: -1})  # type: ignore[arg-type]
    config = StreamConfig()
    with pytest.raises(ValueError, match=name):
        setattr(config, name, 0)


def test_rates_are_checked() -> None:
    for rate in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="rate"):
            StreamConfig(rate=rate)
    with pytest.raises(ValueError, match="burst_rate_ratio"):
        StreamConfig(burst_rate_ratio=0.9)
    with pytest.raises(TypeError):
        StreamConfig(speed=1)  # type: ignore[call-arg]
    assert StreamConfig(rate=100.0, burst_rate_ratio=1.5).burst_rate == 150.0


def test_a_stream_keeps_a_copy_of_its_settings(engine: str) -> None:
    config = StreamConfig(max_heaps=7)
    with send.BytesStream(None, config, engine=engine) as stream:
        config.max_heaps = 1
        assert stream.config.max_heaps == 7


def test_ibverbs_are_refused_by_name() -> None:
    config = send.UdpIbvConfig(endpoints=[("239.1.2.3", 7148)], interface_address="10.0.0.1", ttl=2)
    for stream in (send.UdpIbvStream, send.asyncio.UdpIbvStream):
        with pytest.raises(TransportError, match="UdpStream"):
            stream(ThreadPool(), StreamConfig(), config)
    with pytest.raises(ValueError, match="ttl"):
        send.UdpIbvConfig(ttl=256)
    for made in (send.UdpIbvConfig(buffer_size=0), recv.UdpIbvConfig(buffer_size=0)):
        assert made.buffer_size == made.DEFAULT_BUFFER_SIZE
        with pytest.raises(ValueError, match="max_poll"):
            made.max_poll = -1
    with recv.Stream() as receiver, pytest.raises(TransportError, match="add_udp_reader"):
        receiver.add_udp_ibv_reader(recv.UdpIbvConfig(endpoints=[("239.1.2.3", 7148)]))
