"""A process of its own that plays the digitiser: it knows spead2, and nothing of spead_transport."""

from __future__ import annotations

import argparse
import sys

import spead2
import spead2.send

from . import digitiser


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--heaps", type=int, required=True)
    parser.add_argument("--packet-size", type=int, required=True, help="bytes, SPEAD header included")
    parser.add_argument("--rate", type=float, required=True, help="bytes per second")
    arguments = parser.parse_args()

    flavour = spead2.Flavour(4, 64, digitiser.HEAP_ADDRESS_BITS)
    group = spead2.send.ItemGroup(digitiser.DESCRIPTOR_FREQUENCY, flavour)
    digitiser.describe(group)
    readings = [digitiser.reading(heap) for heap in range(arguments.heaps)]
    stream = spead2.send.UdpStream(
        spead2.ThreadPool(),
        [(arguments.host, arguments.port)],
        spead2.send.StreamConfig(max_packet_size=arguments.packet_size, rate=arguments.rate),
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for reading in readings:
        for name, value in reading.values.items():
            group[name].value = value
        stream.send_heap(group.get_heap(data="all"))
    stream.send_heap(group.get_end())


if __name__ == "__main__":
    main()
