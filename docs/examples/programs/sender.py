"""Send the samples of a signal over UDP: ``python sender.py localhost 8888``."""

import argparse

import numpy as np

import spead_transport as spead2
import spead_transport.send

SAMPLES = 4096
RATE = 20e6  # bytes per second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--heaps", type=int, default=10)
    arguments = parser.parse_args()

    config = spead2.send.StreamConfig(max_packet_size=1472, rate=RATE)
    stream = spead2.send.UdpStream(spead2.ThreadPool(), [(arguments.host, arguments.port)], config)
    group = spead2.send.ItemGroup(descriptor_frequency=4)
    group.add_item(0x1600, "timestamp", "Number of the first sample", (), format=[("u", 48)])
    group.add_item(0x3300, "adc_samples", "Samples of the signal", (SAMPLES,), dtype=np.int16)
    rng = np.random.default_rng(seed=1)
    nbytes = 0
    for heap in range(arguments.heaps):
        group["timestamp"].value = heap * SAMPLES
        group["adc_samples"].value = rng.normal(scale=100 * (1 + heap), size=SAMPLES).astype(np.int16)
        nbytes += stream.send_heap(group.get_heap())
    nbytes += stream.send_heap(group.get_end())
    print(f"{nbytes} bytes sent")


if __name__ == "__main__":
    main()
