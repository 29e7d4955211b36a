"""Use heaps and memory again and again.

A heap refers to the memory of its items' values. Made once, it can be sent many times, with other values each time:
an array is changed in place, and so is a number, if it is an array without dimensions, in network byte order. The
receiver takes the memory of its heaps from a pool, and gives it back when the last reference to the heap is gone.
"""

import numpy as np

import spead_transport as spead2
import spead_transport.recv
import spead_transport.send

SAMPLES = 8192
HEAPS = 8


def main() -> None:
    thread_pool = spead2.ThreadPool()
    queue = spead2.InprocQueue()
    sender = spead2.send.InprocStream(thread_pool, [queue], spead2.send.StreamConfig(max_packet_size=4096))

    timestamp = np.array(0, ">u8")
    samples = np.zeros(SAMPLES, np.int16)
    group = spead2.send.ItemGroup(flavour=spead2.Flavour(4, 64, 48))
    group.add_item(0x1600, "timestamp", "Number of the first sample", (), format=[("u", 48)], value=timestamp)
    group.add_item(0x3300, "samples", "Samples of the signal", (SAMPLES,), dtype=np.int16, value=samples)
    sender.send_heap(group.get_heap(descriptors="all", data="none"))
    heap = group.get_heap(descriptors="none", data="all")
    for index in range(HEAPS):
        timestamp[...] = index * SAMPLES
        samples[:] = index
        print(sender.send_heap(heap), "bytes")
    sender.send_heap(group.get_end())
    queue.stop()

    pool = spead2.MemoryPool(lower=1024, upper=1 << 16, max_free=4, initial=4)
    pool.warn_on_empty = False
    config = spead2.recv.StreamConfig(max_heaps=2, memory_allocator=pool)
    receiver = spead2.recv.Stream(thread_pool, config, spead2.recv.RingStreamConfig(heaps=2))
    receiver.add_inproc_reader(queue)
    received = spead2.ItemGroup()
    for arrived in receiver:
        assert isinstance(arrived, spead2.recv.Heap)
        updated = received.update(arrived)
        if "samples" in updated:
            value = updated["samples"].value
            print(f"timestamp {updated['timestamp'].value}: from {value.min()} to {value.max()}")


if __name__ == "__main__":
    main()
