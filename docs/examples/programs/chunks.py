"""Receive into large arrays, with a callback that says which heap goes where.

The callback is a C function. Here it is made of Python by ctypes, which anybody has; a program that is to be fast
uses numba or a compiler.
"""

import ctypes

import numpy as np
import scipy

import spead_transport as spead2
import spead_transport.recv
import spead_transport.send

HEAP_SAMPLES = 1024
CHUNK_HEAPS = 8
HEAPS = 30
LOST = 13
TIMESTAMP, SAMPLES = 0x1600, 0x3300


class PlaceData(ctypes.Structure):
    """What the callback is told, and what it answers."""

    _fields_ = (
        ("packet", ctypes.c_void_p),
        ("packet_size", ctypes.c_size_t),
        ("items", ctypes.POINTER(ctypes.c_int64)),
        ("chunk_id", ctypes.c_int64),
        ("heap_index", ctypes.c_size_t),
        ("heap_offset", ctypes.c_size_t),
        ("batch_stats", ctypes.c_void_p),
        ("extra", ctypes.c_void_p),
        ("extra_offset", ctypes.c_size_t),
        ("extra_size", ctypes.c_size_t),
    )


def place(address: int, size: int) -> None:
    """By time: so many heaps to a chunk. What has no timestamp is left out."""
    data = PlaceData.from_address(address)
    timestamp = data.items[0]
    if timestamp >= 0:
        heap = timestamp // HEAP_SAMPLES
        data.chunk_id = heap // CHUNK_HEAPS
        data.heap_index = heap % CHUNK_HEAPS
        data.heap_offset = heap % CHUNK_HEAPS * HEAP_SAMPLES * 2


def main() -> None:
    thread_pool = spead2.ThreadPool()
    queue = spead2.InprocQueue()
    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)(place)
    _send(thread_pool, queue)
    queue.stop()

    data_ring, free_ring = spead2.recv.ChunkRingbuffer(8), spead2.recv.ChunkRingbuffer(8)
    stream = spead2.recv.ChunkRingStream(
        thread_pool,
        spead2.recv.StreamConfig(max_heaps=2),
        spead2.recv.ChunkStreamConfig(
            items=[TIMESTAMP],
            max_chunks=2,
            place=scipy.LowLevelCallable(callback, signature="void (void *, size_t)"),
        ),
        data_ring,
        free_ring,
    )
    for _ in range(8):
        data = np.zeros(CHUNK_HEAPS * HEAP_SAMPLES, np.int16)
        stream.add_free_chunk(spead2.recv.Chunk(data=data, present=np.zeros(CHUNK_HEAPS, np.uint8)))
    stream.add_inproc_reader(queue)
    for chunk in data_ring:
        present, data = np.asarray(chunk.present), np.asarray(chunk.data)
        heaps = data.reshape(CHUNK_HEAPS, HEAP_SAMPLES)[present.astype(bool)]
        print(f"chunk {chunk.chunk_id}: {present.tolist()}, {heaps.mean(axis=1).tolist()}")
        stream.add_free_chunk(chunk)
    stream.stop()


def _send(thread_pool: spead2.ThreadPool, queue: spead2.InprocQueue) -> None:
    config = spead2.send.StreamConfig(max_packet_size=9000)
    sender = spead2.send.InprocStream(thread_pool, [queue], config)
    # Callbacks are told of items that travel in the packets' headers. With 48 bits for addresses, so many fit there.
    group = spead2.send.ItemGroup(flavour=spead2.Flavour(4, 64, 48))
    group.add_item(TIMESTAMP, "timestamp", "Number of the first sample", (), format=[("u", 48)])
    group.add_item(SAMPLES, "samples", "Samples of the signal", (HEAP_SAMPLES,), dtype=np.int16)
    for heap in range(HEAPS):
        group["timestamp"].value = heap * HEAP_SAMPLES
        group["samples"].value = np.full(HEAP_SAMPLES, heap, np.int16)
        if heap != LOST:
            sender.send_heap(group.get_heap(descriptors="none", data="all"))
    sender.send_heap(group.get_end())


if __name__ == "__main__":
    main()
