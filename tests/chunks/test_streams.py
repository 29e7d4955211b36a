"""Streams with chunks: pausing, ending, sharing rings, giving everything back."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
import scipy

import spead_transport
from spead_transport import Empty, InprocQueue, Stopped, ThreadPool, recv, send
from spead_transport.engine.python import PythonEngine

from ..interop.common import PACKAGES
from .common import CHUNK, HEAP_SIZE, INDEX, LAYOUT, PLACE, Circuit, bytes_of, chunk_of, heap, present_in


def test_the_chunk_comes_back_as_the_same_object() -> None:
    class Mine(recv.Chunk):
        """A chunk with something of the user's own."""

        def __init__(self, number: int, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.number = number

    mine = Mine(7, data=np.zeros((4, 8), np.uint16), present=np.zeros(4, bool))
    with Circuit(free=0, max_chunks=1, stream_id=3) as circuit:
        circuit.stream.add_free_chunk(mine)
        (chunk,) = circuit.run([heap(1, 0, 1)])
    assert chunk is mine
    assert (mine.number, mine.chunk_id, mine.stream_id) == (7, 0, 3)
    assert np.asarray(mine.present).tolist() == [False, True, False, False]
    assert np.asarray(mine.data)[1].tolist() == [0x0101] * 8


def test_an_empty_ring_of_free_chunks_pauses_the_stream() -> None:
    with Circuit(free=1, max_chunks=1) as circuit:
        circuit.send(heap(cnt, cnt) for cnt in range(5))
        circuit.queue.stop()
        circuit.start()
        while not circuit.free.statistics().empty:
            pass
        for expected in range(5):
            chunk = circuit.data.get(timeout=30)
            assert (chunk.chunk_id, bytes_of(chunk)[0], present_in(chunk)[0]) == (expected, expected, 1)
            circuit.stream.add_free_chunk(chunk)
        with pytest.raises(Stopped):
            circuit.data.get(timeout=30)
        assert circuit.stream.stats["worker_blocked"] > 0


def test_a_full_ring_of_data_pauses_the_stream() -> None:
    with Circuit(data_size=1, max_chunks=1) as circuit:
        circuit.send(heap(cnt, cnt) for cnt in range(6))
        circuit.queue.stop()
        circuit.start()
        while not circuit.data.statistics().full:
            pass
        assert [circuit.data.get(timeout=30).chunk_id for _ in range(6)] == list(range(6))


def test_a_paused_stream_does_not_stop_others_of_its_thread_pool() -> None:
    with Circuit(free=0) as paused, Circuit() as other:
        shared = recv.ChunkRingStream(paused.pool, None, recv.ChunkStreamConfig(place=LAYOUT), other.data, other.free)
        queue = InprocQueue()
        paused.send([heap(1, 0)])
        paused.start()
        paused.free.statistics()
        for cnt in range(10):
            queue.add_packet(heap(cnt, cnt))
        shared.add_inproc_reader(queue)
        assert [other.data.get(timeout=30).chunk_id for _ in range(8)] == list(range(8))
        shared.stop()
        assert paused.data.empty()


def test_several_readers_wait_for_the_same_chunk() -> None:
    with Circuit(free=0, max_chunks=1) as circuit:
        queues = [InprocQueue() for _ in range(3)]
        for index, queue in enumerate(queues):
            queue.add_packet(heap(index, 0, index))
            circuit.stream.add_inproc_reader(queue)
        circuit.stream.add_free_chunk(chunk_of())
        while circuit.stream.stats["heaps"] < 3:
            with pytest.raises(Empty):
                circuit.data.get(timeout=0.001)
        circuit.stream.stop()
        assert [present_in(chunk) for chunk in circuit.data] == [[1, 1, 1, 0]]


def test_stop_gives_the_chunks_to_the_user_even_if_there_is_no_room() -> None:
    with Circuit(data_size=1, max_chunks=3) as circuit:
        circuit.send(heap(cnt, cnt) for cnt in range(3))
        circuit.start()
        while circuit.stream.stats["heaps"] < 3:
            pass
        circuit.stream.stop()
        circuit.stream.stop()
        assert [chunk.chunk_id for chunk in circuit.data] == [0, 1, 2]


def test_stop_while_the_stream_is_paused_counts_what_it_did_not_take() -> None:
    with Circuit(free=1, max_chunks=1) as circuit:
        circuit.stream.add_buffer_reader(b"".join(heap(cnt, cnt) for cnt in range(5)))  # all in one batch
        while not circuit.stream.stats["worker_blocked"]:
            pass
        circuit.stream.stop()
        stats = circuit.stream.stats
        assert stats["packets"] + stats["rejected_stopped"] == 5
        assert [chunk.chunk_id for chunk in circuit.data] == [0]


@pytest.mark.parametrize("ring", ["data", "free"])
def test_the_stream_ends_when_the_user_stops_a_ring(ring: str) -> None:
    with Circuit(free=1, data_size=1, max_chunks=1) as circuit:
        circuit.start()
        circuit.send([heap(1, 0)])
        while not circuit.stream.stats["heaps"]:
            pass
        getattr(circuit, ring).stop()
        circuit.send([heap(2, 5)])
        while not circuit.stream.stats["rejected_stopped"]:
            pass
        assert [chunk.chunk_id for chunk in circuit.data] == ([0] if ring == "free" else [])


def test_late_packets_do_not_touch_a_chunk_that_the_user_has() -> None:
    with Circuit(max_chunks=1) as circuit:
        circuit.start()
        circuit.send([heap(1, 0, 0, size=8), heap(2, 1)])
        chunk = circuit.data.get(timeout=30)
        np.asarray(chunk.data)[:] = 0x55
        circuit.send([heap(1, 0, 0, size=8, offset=8), heap(3, 2)])
        circuit.data.get(timeout=30)
        assert np.asarray(chunk.data).tolist() == [0x55] * 64
        assert present_in(chunk) == [0, 0, 0, 0]
        assert circuit.stream.stats["too_old_heaps"] == 1


def test_streams_share_rings_and_the_last_one_stops_them() -> None:
    data, free = recv.ChunkRingbuffer(10), recv.ChunkRingbuffer(10)
    with ThreadPool(2) as pool:
        streams = []
        for stream_id in range(2):
            config = recv.StreamConfig(stream_id=stream_id)
            chunk_config = recv.ChunkStreamConfig(place=LAYOUT, max_chunks=1)
            streams.append(recv.ChunkRingStream(pool, config, chunk_config, data, free))
        for _ in range(4):
            free.put(chunk_of())
        queues = [InprocQueue(), InprocQueue()]
        for stream, queue in zip(streams, queues, strict=True):
            queue.add_packet(heap(1, 0))
            stream.add_inproc_reader(queue)
        queues[0].stop()
        assert data.get(timeout=30).stream_id == 0
        with pytest.raises(Empty):
            data.get(timeout=0.01)
        queues[1].stop()
        assert [chunk.stream_id for chunk in data] == [1]


def test_the_classic_arguments_and_a_program_for_both_packages() -> None:
    for package in PACKAGES.values():
        pool = package.ThreadPool()
        data, free = package.recv.ChunkRingbuffer(2), package.recv.ChunkRingbuffer(2)

        config = package.recv.ChunkStreamConfig(
            items=[CHUNK, INDEX], max_chunks=1, place=scipy.LowLevelCallable(PLACE, signature="void (void *, size_t)")
        )
        stream = package.recv.ChunkRingStream(pool, package.recv.StreamConfig(), config, data, free)
        assert isinstance(stream, package.recv.ChunkRingPair)
        assert stream.data_ringbuffer is data
        assert stream.free_ringbuffer is free
        assert not stream.config.allow_unsized_heaps
        for _ in range(2):
            stream.add_free_chunk(chunk_of(package))
        stream.add_buffer_reader(b"".join(heap(cnt, cnt // 4, cnt % 4) for cnt in range(6)))
        seen = []
        for chunk in data:
            seen.append((chunk.chunk_id, present_in(chunk), bytes_of(chunk)[:2]))
            stream.add_free_chunk(chunk)
        assert seen == [(0, [1, 1, 1, 1], [0, 1]), (1, [1, 1, 0, 0], [4, 5])]
        stream.stop()


def test_heaps_from_a_sender_over_udp() -> None:
    values = np.arange(3 * 4 * 2000, dtype=np.uint8).reshape(3, 4, 2000)
    data, free = recv.ChunkRingbuffer(4), recv.ChunkRingbuffer(4)
    layout = recv.ChunkLayout(
        items={"timestamp": 0x1600, "antenna": 0x4100},
        chunk_id="timestamp // 100",
        heap_index="antenna",
    )
    config = recv.ChunkStreamConfig(place=layout, max_chunks=1)
    with recv.ChunkRingStream(None, None, config, data, free) as stream:
        url = stream.add_reader("udp://127.0.0.1:0")
        stream.add_free_chunk(recv.Chunk(data=np.zeros((4, 2000), np.uint8), present=np.zeros(4, np.uint8)))
        stream.add_free_chunk(recv.Chunk(data=np.zeros((4, 2000), np.uint8), present=np.zeros(4, np.uint8)))
        group = send.ItemGroup()
        group.add_item(0x1600, "timestamp", "", (), format=[("u", 40)])
        group.add_item(0x4100, "antenna", "", (), format=[("u", 40)])
        group.add_item(0x4300, "samples", "", (2000,), np.uint8)
        with spead_transport.open_sender(url) as sender:
            for time, antenna in np.ndindex(3, 4):
                group["timestamp"].value = 100 * time
                group["antenna"].value = antenna
                group["samples"].value = values[time, antenna]
                sender.send_heap(group.get_heap(descriptors="none", data="all"))
                if antenna == 0 and time > 0:
                    chunk = data.get(timeout=30)
                    assert chunk.chunk_id == time - 1
                    assert present_in(chunk) == [1] * 4
                    np.testing.assert_array_equal(np.asarray(chunk.data), values[time - 1])
                    stream.add_free_chunk(chunk)


def test_a_stream_that_is_garbage_ends() -> None:
    circuit = Circuit()
    circuit.start()
    data, pool = circuit.data, circuit.pool
    del circuit
    gc.collect()
    with pytest.raises(Stopped):
        data.get(timeout=30)
    pool.stop()


def test_a_paused_stream_that_is_garbage_ends() -> None:
    circuit = Circuit(free=0)
    circuit.send([heap(1, 0)])
    circuit.start()
    data, free = circuit.data, circuit.free
    while not free.statistics().empty:
        pass
    del circuit
    gc.collect()
    with pytest.raises(Stopped):
        data.get(timeout=30)
    free.put(chunk_of())


def test_readers_end_together_or_one_by_one() -> None:
    for end, expected in (("any", 1), ("all", 2)):
        data, free = recv.ChunkRingbuffer(4), recv.ChunkRingbuffer(4)
        config = recv.ChunkStreamConfig(place=LAYOUT, max_chunks=1)
        with ThreadPool() as pool:
            stream = recv.ChunkRingStream(pool, None, config, data, free, end=end)  # type: ignore[arg-type]  # pyright: ignore
            for _ in range(4):
                free.put(chunk_of())
            queues = [InprocQueue(), InprocQueue()]
            for queue in queues:
                stream.add_inproc_reader(queue)
            queues[0].add_packet(heap(1, 0))
            while not stream.stats["heaps"]:
                pass
            queues[0].stop()
            if end == "any":
                assert [chunk.chunk_id for chunk in data] == [0]
            else:
                queues[1].add_packet(heap(2, 1))
                queues[1].stop()
                assert [chunk.chunk_id for chunk in data] == [0, 1]
            assert stream.stats["heaps"] == expected
            stream.stop()
    with pytest.raises(ValueError, match="end must be"):
        recv.ChunkRingStream(None, None, config, data, free, end="some")  # type: ignore[arg-type]  # pyright: ignore


def test_explicit_start() -> None:
    with Circuit(max_chunks=1, explicit_start=True) as circuit:
        circuit.send([heap(1, 0)])
        circuit.queue.stop()
        circuit.start()
        with pytest.raises(Empty):
            circuit.data.get(timeout=0.01)
        circuit.stream.start()
        assert [chunk.chunk_id for chunk in circuit.data] == [0]
        with pytest.raises(Stopped):
            circuit.data.get()


def test_arguments_are_checked() -> None:
    ring = recv.ChunkRingbuffer(1)
    config = recv.ChunkStreamConfig(place=LAYOUT)
    with pytest.raises(TypeError, match="data_ringbuffer"):
        recv.ChunkRingStream(None, None, config, "ring", ring)  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(TypeError, match="chunk_stream_config"):
        recv.ChunkRingStream(None, None, None, ring, ring)  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(ValueError, match="steam"):
        recv.ChunkRingStream(None, None, config, ring, ring, engine="steam")
    assert not ring.remove_producer(), "a stream that does not come into being is no producer"


def test_a_stream_takes_copies_of_its_settings() -> None:
    config = recv.ChunkStreamConfig(place=LAYOUT).enable_packet_presence(8)
    copied = config.copy()
    config.disable_packet_presence()
    assert copied.packet_presence_payload_size == 8
    assert recv.ChunkStreamConfig(place=LAYOUT) == config


def test_an_engine_without_chunks_leaves_them_to_the_python_engine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Simple(PythonEngine):
        name = "simple"

        def chunk_window(self, *arguments: Any, **named: Any) -> Any:
            return None

    simple = {None: Simple()}
    monkeypatch.setattr("spead_transport.engine.selection.get_engine", simple.__getitem__)
    with caplog.at_level(logging.INFO), Circuit() as circuit:
        assert [chunk.chunk_id for chunk in circuit.run([heap(1, 0)])] == [0]
    assert "the simple engine has no chunks" in caplog.text


def test_the_interpreter_ends_with_a_live_stream() -> None:
    code = (
        "import spead_transport as st\n"
        "from spead_transport import recv\n"
        "data, free = recv.ChunkRingbuffer(1), recv.ChunkRingbuffer(4)\n"
        "layout = recv.ChunkLayout(items={}, chunk_id='0')\n"
        "stream = recv.ChunkRingStream(st.ThreadPool(), None, recv.ChunkStreamConfig(place=layout), data, free)\n"
        "queue = st.InprocQueue()\n"
        "stream.add_inproc_reader(queue)\n"
        "queue.add_packet(b'junk')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Exception" not in done.stderr


def test_the_user_and_the_stream_work_at_the_same_time() -> None:
    with Circuit(free=3, data_size=2, max_chunks=2) as circuit:
        circuit.start()
        packets = [heap(cnt, cnt // 4, cnt % 4, size=8, offset=at) for cnt in range(400) for at in (0, 8)]
        sender = threading.Thread(target=circuit.send, args=(packets,))
        sender.start()
        for expected in range(98):
            chunk = circuit.data.get(timeout=30)
            assert chunk.chunk_id == expected
            assert present_in(chunk) == [1] * 4
            assert bytes_of(chunk) == [(4 * expected + index) & 0xFF for index in range(4)]
            assert np.asarray(chunk.data)[HEAP_SIZE - 1] == 4 * expected & 0xFF
            circuit.stream.add_free_chunk(chunk)
        sender.join()
