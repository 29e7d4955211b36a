"""Receiving: waiting, ending, pausing, sharing threads, counting."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import select
import subprocess
import sys
import threading

import numpy as np
import pytest

from spead_transport import BrokenTransportError, Empty, EndOfStream, InprocQueue, Stopped, ThreadPool, recv, send
from spead_transport.engine.interface import EndPolicy
from spead_transport.recv import RingStreamConfig, StreamConfig, StreamStatConfig, stream_stat_indices
from spead_transport.transport import Capabilities, EventReadiness, PacketBatch, PacketReceiver, Readiness

from ..items import heap_of
from ..wire import immediate, packet


def queue_of(*packets: bytes, stop: bool = True) -> InprocQueue:
    queue = InprocQueue()
    for data in packets:
        queue.add_packet(data)
    if stop:
        queue.stop()
    return queue


def stream_of(engine: str, *packets: bytes, stop: bool = True, **ring: object) -> recv.Stream:
    stream = recv.Stream(ThreadPool(), StreamConfig(), RingStreamConfig(**ring), engine=engine)  # type: ignore[arg-type]
    stream.add_inproc_reader(queue_of(*packets, stop=stop))
    return stream


def heaps(count: int, first: int = 1) -> list[bytes]:
    return [packet(cnt, b"payload") for cnt in range(first, first + count)]


def test_heaps_come_in_order_and_then_the_end(engine: str) -> None:
    with stream_of(engine, *heaps(10)) as stream:
        assert [heap.cnt for heap in stream] == list(range(1, 11))
        with pytest.raises(Stopped):
            stream.get()
        with pytest.raises(Stopped):
            stream.get_nowait()


def test_all_ways_to_take_heaps_can_be_mixed(engine: str) -> None:
    with stream_of(engine, *heaps(8), heaps=8) as stream:
        loop = iter(stream)
        assert next(loop).cnt == 1
        assert stream.get().cnt == 2
        assert stream.ringbuffer.size() == 6
        assert stream.get_nowait().cnt == 3
        assert next(stream).cnt == 4
        poller = select.poll()
        poller.register(stream.fd, select.POLLIN)
        assert poller.poll(0)
        assert [heap.cnt for _, heap in zip(range(2), stream, strict=False)] == [5, 6]
        assert poller.poll(0)
        assert [heap.cnt for heap in loop] == [7, 8]
        assert list(stream) == []


def test_a_loop_keeps_its_stream(engine: str) -> None:
    assert [heap.cnt for heap in stream_of(engine, *heaps(3))] == [1, 2, 3]


def test_get_waits_no_longer_than_it_is_told(engine: str) -> None:
    with stream_of(engine, stop=False) as stream:
        with pytest.raises(Empty, match=r"0\.01"):
            stream.get(timeout=0.01)
        with pytest.raises(Empty):
            stream.get(timeout=0)
        with pytest.raises(Empty):
            stream.get_nowait()


def test_get_waits_for_a_heap(engine: str) -> None:
    queue = InprocQueue()
    with recv.Stream(ThreadPool(), engine=engine) as stream:
        stream.add_inproc_reader(queue)
        thread = threading.Timer(0.02, queue.add_packet, (packet(5, b"late"),))
        thread.start()
        assert stream.get(timeout=30).cnt == 5
        thread.join()


def test_stop_wakes_whoever_waits(engine: str) -> None:
    stream = recv.Stream(ThreadPool(), engine=engine)
    stream.add_inproc_reader(InprocQueue())
    timer = threading.Timer(0.02, stream.stop)
    timer.start()
    with pytest.raises(Stopped):
        stream.get(timeout=30)
    timer.join()
    stream.stop()


def test_heaps_that_arrived_before_stop_can_be_taken(engine: str) -> None:
    with stream_of(engine, *heaps(3), stop=False, heaps=4) as stream:
        stream.stop()
        assert [heap.cnt for heap in stream] == [1, 2, 3]


@pytest.mark.parametrize("taken_before", [0, 1])
def test_the_descriptor_polls_readable_until_the_last_heap_is_taken(engine: str, taken_before: int) -> None:
    from spead_transport_inproc import InprocReceiver

    with recv.Stream(ThreadPool(), ring_config=RingStreamConfig(heaps=8), engine=engine) as stream:
        stream.add_reader(InprocReceiver(queue_of(*heaps(5), stop=False)), worker=True)
        for _ in range(taken_before):
            stream.get()
        poller = select.poll()
        poller.register(stream.fd, select.POLLIN)
        for _ in range(5 - taken_before):
            assert poller.poll(30_000)
            stream.get_nowait()
        assert not poller.poll(0)
        with pytest.raises(Empty):
            stream.get_nowait()


def test_small_heaps_outlive_their_stream_and_each_other(engine: str) -> None:
    payloads = [bytes([i]) * (1 + 10 * i) for i in range(200)]
    with stream_of(engine, *(packet(cnt, payload) for cnt, payload in enumerate(payloads))) as stream:
        kept = list(stream)
    arrays = [heap.payload for heap in kept[::2] if isinstance(heap, recv.Heap)]
    late = [heap for heap in kept[1::2] if isinstance(heap, recv.Heap)]
    del kept
    with stream_of(engine, *heaps(500)) as stream:  # uses memory that is free now
        assert len(list(stream)) == 500
    assert [array.tobytes() for array in arrays] == payloads[::2]
    assert [heap.payload.tobytes() for heap in late] == payloads[1::2]
    for heap in late:
        heap.payload[:] = 0
        assert not heap.payload.any()
    assert [array.tobytes() for array in arrays] == payloads[::2]


def test_heaps_have_nothing_of_those_before_them(engine: str) -> None:
    with stream_of(engine, *heaps(20)) as stream:
        cnt = 0
        for heap in stream:
            cnt += 1
            assert isinstance(heap, recv.Heap)
            assert heap.cnt == cnt
            assert heap.payload.tobytes() == b"payload"
            heap.payload, heap.cnt = np.zeros(3, np.uint8), -1
            assert heap.cnt == -1
            del heap
        assert cnt == 20


def test_the_descriptor_polls_readable(engine: str) -> None:
    queue = InprocQueue()
    with recv.Stream(ThreadPool(), engine=engine) as stream:
        stream.add_inproc_reader(queue)
        poller = select.poll()
        poller.register(stream.fd, select.POLLIN)
        assert not poller.poll(0)
        queue.add_packet(packet(1, b"abc"))
        assert poller.poll(30_000)
        assert stream.get_nowait().cnt == 1
        queue.stop()
        assert poller.poll(30_000)
        with pytest.raises(Stopped):
            stream.get_nowait()


@pytest.mark.parametrize(("end", "expected"), [("any", {1}), ("all", {1, 2})])
def test_several_readers_end_together_or_one_by_one(engine: str, end: EndPolicy, expected: set[int]) -> None:
    first, second = queue_of(packet(1, b"a")), InprocQueue()
    with recv.Stream(ThreadPool(), engine=engine, end=end) as stream:
        stream.add_inproc_reader(first)
        stream.add_inproc_reader(second)
        got = {stream.get(timeout=30).cnt}
        with pytest.raises((Empty, Stopped)):
            stream.get(timeout=0.01)
        second.add_packet(packet(2, b"b"))
        second.stop()
        got |= {heap.cnt for heap in stream}
    assert got == expected


def test_open_receiver_ends_with_the_last_reader(engine: str) -> None:
    with (
        recv.open_receiver("inproc://first", "inproc://second", engine=engine) as stream,
        send.open_sender("inproc://second", engine=engine) as second,
    ):
        with send.open_sender("inproc://first", engine=engine) as first:
            first.send_heap(heap_of(), 1)
        assert stream.get(timeout=30).cnt == 1
        second.send_heap(heap_of(), 2)
        second.close()
        assert [heap.cnt for heap in stream] == [2]


def test_a_wrong_end_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="any"):
        recv.Stream(end="some")  # type: ignore[arg-type]


def test_readers_after_the_end_are_ignored(engine: str) -> None:
    with stream_of(engine) as stream:
        stream.stop()
        stream.add_inproc_reader(queue_of(*heaps(1)))
        with pytest.raises(Stopped):
            stream.get()


def test_explicit_start(engine: str) -> None:
    config = StreamConfig(explicit_start=True)
    with recv.Stream(ThreadPool(), config, engine=engine) as stream:
        stream.add_inproc_reader(queue_of(*heaps(2)))
        with pytest.raises(Empty):
            stream.get_nowait()
        stream.start()
        with pytest.raises(RuntimeError, match="explicit_start"):
            stream.add_inproc_reader(InprocQueue())
        assert [heap.cnt for heap in stream] == [1, 2]


def test_buffers_are_read_packet_by_packet(engine: str) -> None:
    data = b"".join(heaps(1000))
    with recv.Stream(ThreadPool(), engine=engine) as stream:
        stream.add_buffer_reader(data)
        assert [heap.cnt for heap in stream] == list(range(1, 1001))
        assert stream.stats["packets"] == 1000


def test_junk_in_a_buffer_is_skipped_and_counted(engine: str) -> None:
    first, second, third = heaps(3)
    with recv.Stream(ThreadPool(), engine=engine) as stream:
        stream.add_buffer_reader(first + b"garbage!" * 2 + second + third[:-1])
        assert [heap.cnt for heap in stream] == [1, 2]
        assert stream.stats["rejected_magic"] == 2
        assert stream.stats["rejected_size_mismatch"] + stream.stats["rejected_truncated"] == 1


def test_a_buffer_must_be_contiguous(engine: str) -> None:
    with recv.Stream(ThreadPool(), engine=engine) as stream, pytest.raises(ValueError, match="contiguous"):
        stream.add_buffer_reader(np.zeros((10, 10), np.uint8)[:, ::2])


def test_only_complete_heaps_unless_asked(engine: str) -> None:
    part = packet(1, b"abcd", [immediate(0x1000, 7)], length=8)
    with stream_of(engine, part, packet(2, b"x")) as stream:
        assert [heap.cnt for heap in stream] == [2]
    with stream_of(engine, part, packet(2, b"x"), contiguous_only=False) as stream:
        two, one = stream
        assert isinstance(two, recv.Heap)
        assert isinstance(one, recv.IncompleteHeap)
        assert one.heap_length == 8


def test_the_ring_counts_what_goes_through_it(engine: str) -> None:
    with stream_of(engine, *heaps(10), heaps=4) as stream:
        loop = iter(stream)
        assert [next(loop).cnt for _ in range(3)] == [1, 2, 3]
        statistics = stream.ringbuffer.statistics()
        assert (statistics.put, statistics.taken) == (3 + statistics.waiting, 3)
        assert statistics.waiting == stream.ringbuffer.size()
        assert list(loop)
        statistics = stream.ringbuffer.statistics()
        assert (statistics.put, statistics.taken, statistics.waiting) == (10, 10, 0)
        assert 1 <= statistics.peak <= 10


def test_a_ring_without_heaps_counted_nothing(engine: str) -> None:
    with stream_of(engine, contiguous_only=True) as stream:
        assert list(stream) == []
        assert stream.ringbuffer.statistics() == recv.RingStatistics()


class Counting(PacketReceiver):
    """A receiver around another one, which counts how often it is asked for packets."""

    def __init__(self, inner: PacketReceiver) -> None:
        super().__init__(inner.url, inner.capabilities)
        self._inner = inner
        self.calls = 0

    @property
    def readable(self) -> Readiness:
        return self._inner.readable

    def try_recv(self, limit: int) -> PacketBatch:
        self.calls += 1
        return self._inner.try_recv(limit)

    def _release_resources(self) -> None:
        self._inner.close()


def test_many_readers_are_asked_as_often_as_few(engine: str) -> None:
    """A heap from each of many queues: not every heap costs a call of each reader."""
    from spead_transport_inproc import InprocReceiver

    count = 64
    with recv.Stream(ring_config=RingStreamConfig(heaps=count), engine=engine) as stream:
        readers = [Counting(InprocReceiver(queue_of(packet(cnt, b"x"), stop=False))) for cnt in range(count)]
        for reader in readers:
            stream.add_reader(reader, worker=False)
        assert {stream.get().cnt for _ in range(count)} == set(range(count))
        assert sum(reader.calls for reader in readers) <= 3 * count


@pytest.mark.parametrize("worker", [False, True])
def test_a_full_ring_pauses_the_reader_and_loses_nothing(engine: str, worker: bool) -> None:
    queue = queue_of(*heaps(500))
    with recv.Stream(ThreadPool(), ring_config=RingStreamConfig(heaps=2), engine=engine) as stream:
        from spead_transport_inproc import InprocReceiver

        stream.add_reader(InprocReceiver(queue), worker=worker)
        assert [heap.cnt for heap in stream] == list(range(1, 501))


@pytest.mark.parametrize("worker", [True, False])
def test_a_full_ring_is_counted_once_until_there_is_room(engine: str, worker: bool) -> None:
    from spead_transport_inproc import InprocReceiver

    with recv.Stream(ThreadPool(), ring_config=RingStreamConfig(heaps=4), engine=engine) as stream:
        stream.add_reader(InprocReceiver(queue_of(*heaps(6))), worker=worker)
        while not stream.stats["worker_blocked"]:
            os.sched_yield()
        assert stream.ringbuffer.size() >= 4
        assert stream.ringbuffer.statistics().full == 1
        assert [heap.cnt for heap in stream] == list(range(1, 7))
        assert stream.stats["worker_blocked"] == 1
        statistics = stream.ringbuffer.statistics()
        assert (statistics.put, statistics.taken, statistics.full) == (6, 6, 1)
        assert statistics.peak >= 4


def test_an_unread_stream_does_not_block_another_one(engine: str) -> None:
    from spead_transport_inproc import InprocReceiver

    with ThreadPool(1) as pool, recv.Stream(pool, engine=engine) as unread, recv.Stream(pool, engine=engine) as read:
        busy = InprocQueue()
        unread.add_reader(InprocReceiver(busy), worker=True)
        for data in heaps(100):
            busy.add_packet(data)
        while not unread.stats["worker_blocked"]:
            os.sched_yield()
        queue = InprocQueue()
        read.add_reader(InprocReceiver(queue), worker=True)
        for data in heaps(100):
            queue.add_packet(data)
        assert [read.get(timeout=30).cnt for _ in range(100)] == list(range(1, 101))
        assert [unread.get(timeout=30).cnt for _ in range(100)] == list(range(1, 101))


class Halves(PacketReceiver):
    """Brings a large heap, half of it at a time, and says so only once."""

    def __init__(self) -> None:
        super().__init__("halves:", Capabilities(lossy=True, ordered=True, reach="network"))
        self._readable = EventReadiness()
        self._readable.set()
        half = bytes(50_000)
        self._packets = [packet(1, half, offset=offset, length=2 * len(half)) for offset in (len(half), 0)]

    @property
    def readable(self) -> Readiness:
        return self._readable

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            self._readable.clear()
            return PacketBatch.of([self._packets.pop()] if self._packets else [])

    def _release_resources(self) -> None:
        self._readable.wake()


def test_a_worker_that_found_much_of_a_heap_looks_again_without_being_woken() -> None:
    with recv.Stream(ThreadPool(), engine="python") as stream:
        stream.add_reader(Halves())
        assert stream.get(timeout=30).cnt == 1


class Broken(PacketReceiver):
    """Fails after its first packet."""

    def __init__(self, error: Exception, *, worker: bool) -> None:
        super().__init__("broken:", Capabilities(lossy=worker, ordered=True, reach="process"))
        self._readable = EventReadiness()
        self._readable.set()
        self._packets = heaps(1)
        self._error = error

    @property
    def readable(self) -> Readiness:
        return self._readable

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            if not self._packets:
                raise self._error
            return PacketBatch.of([self._packets.pop()])

    def _release_resources(self) -> None:
        self._readable.wake()


@pytest.mark.parametrize("worker", [False, True])
@pytest.mark.parametrize("kind", [BrokenTransportError, ZeroDivisionError])
def test_a_broken_transport_is_reported_once_and_ends_the_stream(
    engine: str, worker: bool, kind: type[Exception]
) -> None:
    with recv.Stream(ThreadPool(), engine=engine) as stream:
        stream.add_reader(Broken(kind("the cable was cut"), worker=worker))
        assert stream.get(timeout=30).cnt == 1
        with pytest.raises(kind, match="the cable was cut"):
            stream.get(timeout=30)
        with pytest.raises(Stopped):
            stream.get(timeout=30)


def test_a_loop_meets_the_error_of_a_reader_once(engine: str) -> None:
    with recv.Stream(ThreadPool(), engine=engine) as stream:
        stream.add_reader(Broken(BrokenTransportError("the cable was cut"), worker=False))
        loop = iter(stream)
        assert next(loop).cnt == 1
        with pytest.raises(BrokenTransportError, match="the cable was cut"):
            next(loop)
        assert list(stream) == []


class Endless(Broken):
    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            raise EndOfStream


def test_a_receiver_may_end_at_once(engine: str) -> None:
    with recv.Stream(ThreadPool(), engine=engine) as stream:
        stream.add_reader(Endless(ValueError(), worker=True))
        with pytest.raises(Stopped):
            stream.get(timeout=30)


def test_statistics(engine: str) -> None:
    with stream_of(engine, *heaps(10), b"", b"junk that is long enough") as stream:
        assert len(list(stream)) == 10
        stats = stream.stats
    assert stats["heaps"] == stats.heaps == stats[stream_stat_indices.HEAPS] == 10
    assert stats["packets"] == 10
    assert stats["single_packet_heaps"] == 10
    assert stats["rejected_truncated"] == 1
    assert stats["rejected_magic"] == 1
    assert stats["batches"] >= 1
    assert stats["max_batch"] <= 12
    doubled = stats + stats
    assert doubled["heaps"] == 20
    assert doubled["max_batch"] == stats["max_batch"]
    stats += stats
    assert stats == doubled
    assert "heaps" in stats
    assert stats.get("nonsense") is None
    assert stats.get("nonsense", 3) == 3
    with pytest.raises(KeyError):
        stats["nonsense"]
    with pytest.raises(IndexError):
        stats[1000]
    stats["heaps"] = 5
    stats.packets = 7
    assert (dict(stats.items())["heaps"], stats["packets"]) == (5, 7)
    with pytest.raises(AttributeError, match="nonsense"):
        stats.nonsense = 1
    assert [stat.name for stat in stats.config[:9]] == [
        name for name in stats if getattr(stream_stat_indices, name.upper(), None) is not None
    ]


def test_statistics_of_the_users_own() -> None:
    config = StreamConfig()
    assert config.next_stat_index() == stream_stat_indices.CUSTOM
    index = config.add_stat("mine", StreamStatConfig.Mode.MAXIMUM)
    assert config.get_stat_index("mine") == index == 9
    with pytest.raises(ValueError, match="mine"):
        config.add_stat("mine")
    with pytest.raises(IndexError):
        config.get_stat_index("other")
    with recv.Stream(config=config) as stream:
        config.add_stat("later")
        assert stream.config.get_stat_index("mine") == 9
        with pytest.raises(IndexError):
            stream.config.get_stat_index("later")
        assert stream.stats["mine"] == stream.stats[9] == 0


def test_settings_are_values() -> None:
    for config in (
        StreamConfig(max_heaps=7, explicit_start=True),
        RingStreamConfig(heaps=9),
        send.StreamConfig(rate=3.0),
    ):
        assert copy.copy(config) == config
        assert copy.deepcopy(config) == config
        assert pickle.loads(pickle.dumps(config)) == config
        assert type(config)() != config
        assert type(config).__name__ in repr(config)


@pytest.mark.parametrize("name", ["max_heaps", "substreams", "max_heap_size"])
def test_sizes_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        StreamConfig(**{name: 0})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=name):
        StreamConfig(**{name: -1})  # type: ignore[arg-type]


def test_ring_size_is_checked() -> None:
    with pytest.raises(ValueError, match="heaps"):
        RingStreamConfig(heaps=0)
    with recv.Stream(ring_config=RingStreamConfig(heaps=7)) as stream:
        assert stream.ringbuffer.capacity() == 7
        assert stream.ringbuffer.size() == 0
        assert stream.ring_config == RingStreamConfig(heaps=7)


def test_flags_are_checked() -> None:
    with pytest.raises(ValueError, match="bug_compat"):
        StreamConfig(bug_compat=8)
    with pytest.raises(ValueError, match="memcpy"):
        StreamConfig(memcpy=5)


def test_a_forgotten_stream_gives_everything_back(engine: str) -> None:
    queue = InprocQueue()
    stream = recv.Stream(ThreadPool(), engine=engine)
    stream.add_inproc_reader(queue)
    stream.add_reader("udp://127.0.0.1:0")
    del stream
    gc.collect()


def test_the_interpreter_exits_with_live_streams(engine: str) -> None:
    program = f"""
import spead_transport as spead2
pool = spead2.ThreadPool(2)
stream = spead2.recv.Stream(pool, engine={engine!r})
print(stream.add_reader("udp://127.0.0.1:0"))
queue = spead2.InprocQueue()
stream.add_inproc_reader(queue)
sender = spead2.send.InprocStream(pool, [queue], engine={engine!r})
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("udp://127.0.0.1:")
    assert not done.stderr


def test_thread_pools_are_checked() -> None:
    with pytest.raises(ValueError, match="threads"):
        ThreadPool(0)
    with pytest.raises(TypeError):
        ThreadPool(-1)
    pool = ThreadPool(2, [0, 1])
    pool.stop()
    pool.stop()
    with recv.Stream(pool) as stream, pytest.raises(RuntimeError, match="stopped"):
        stream.add_reader("udp://127.0.0.1:0")
