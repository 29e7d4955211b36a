"""Send many small heaps at a time, to several destinations.

One call for many heaps costs little more than one call for one. ROUND_ROBIN sends a packet of each in turn, so that
no destination waits for the heaps of another; SERIAL sends heap after heap.
"""

import numpy as np

import spead_transport as spead2
import spead_transport.recv
import spead_transport.send

DESTINATIONS = 4
CHANNELS = 256
ROUNDS = 3


def main() -> None:
    thread_pool = spead2.ThreadPool()
    queues = [spead2.InprocQueue() for _ in range(DESTINATIONS)]
    config = spead2.send.StreamConfig(max_packet_size=512, rate=0.0, max_heaps=DESTINATIONS)
    sender = spead2.send.InprocStream(thread_pool, queues, config)

    # Each destination gets its own part of the channels, from items of its own.
    groups = [spead2.send.ItemGroup() for _ in range(DESTINATIONS)]
    spectra = np.zeros((DESTINATIONS, CHANNELS), np.float32)
    for index, group in enumerate(groups):
        group.add_item(0x4103, "first_channel", "", (), format=[("u", 48)], value=index * CHANNELS)
        group.add_item(0x4300, "spectrum", "Power in each channel", (CHANNELS,), np.float32, value=spectra[index])
    described = _references([group.get_heap(descriptors="all", data="none") for group in groups])
    data = _references([group.get_heap(descriptors="none", data="all") for group in groups])
    ends = _references([group.get_end() for group in groups])

    sender.set_cnt_sequence(100, 10)
    sender.send_heaps(described, spead2.send.GroupMode.SERIAL)
    for round_ in range(ROUNDS):
        spectra[:] = np.arange(DESTINATIONS * CHANNELS).reshape(spectra.shape) + round_
        print(sender.send_heaps(data, spead2.send.GroupMode.ROUND_ROBIN), "bytes")
    sender.send_heaps(ends, spead2.send.GroupMode.SERIAL)

    for queue in queues:
        queue.stop()
        receiver = spead2.recv.Stream(thread_pool)
        receiver.add_inproc_reader(queue)
        received = spead2.ItemGroup()
        for heap in receiver:
            assert isinstance(heap, spead2.recv.Heap)
            updated = received.update(heap)
            if updated:
                first, spectrum = updated["first_channel"].value, updated["spectrum"].value
                print(f"heap {heap.cnt}: channels from {first}, total {spectrum.sum()}")


def _references(heaps: list[spead2.send.Heap]) -> spead2.send.HeapReferenceList:
    """One heap for each destination."""
    return spead2.send.HeapReferenceList(
        [spead2.send.HeapReference(heap, substream_index=index) for index, heap in enumerate(heaps)]
    )


if __name__ == "__main__":
    main()
