"""Receive the samples of a signal over UDP, and show the power in each heap of them: ``python receiver.py 8888``."""

import argparse

import numpy as np

import spead_transport as spead2
import spead_transport.recv


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()

    stream = spead2.recv.Stream(
        spead2.ThreadPool(),
        spead2.recv.StreamConfig(max_heaps=2),
        spead2.recv.RingStreamConfig(heaps=16, contiguous_only=False),
    )
    stream.add_udp_reader(arguments.port, bind_hostname="127.0.0.1")
    group = spead2.ItemGroup()
    missing = 0
    for heap in stream:
        if isinstance(heap, spead2.recv.IncompleteHeap):
            missing += 1
            continue
        updated = group.update(heap)
        if "adc_samples" in updated:
            power = np.mean(np.square(updated["adc_samples"].value, dtype=np.float64))
            print(f"timestamp {updated['timestamp'].value:6}: power {power:.3f}")
    stream.stop()
    print(f"{missing} heaps were incomplete; {stream.stats['packets']} packets")


if __name__ == "__main__":
    main()
