"""Streams over real sockets on this machine, from either package to the other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import spead2
import spead2.recv
import spead2.recv.asyncio
import spead2.send
import spead2.send.asyncio

import spead_transport

from .common import FLAVOURS, PACKAGES, ItemSpec, assert_same_values, make_group

#: Less than any socket buffer holds, so that nothing depends on who runs when.
COUNT = 5
ITEMS = [
    ItemSpec("timestamp", 0, (), format=[("u", 16)]),
    ItemSpec("samples", np.arange(4096, dtype=">i2"), (4096,), dtype=">i2"),
    ItemSpec("packed", np.arange(-20, 20).reshape(4, 10), (4, 10), format=[("i", 10)]),
    ItemSpec("comment", "over the wire", (None,), format=[("c", 8)]),
]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A bound socket, given to the receiver: so the sender knows the port whichever package receives."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sock.bind(("127.0.0.1", 0))
        yield sock


def send_all(package: Any, endpoint: tuple[str, int], bits: int, bug_compat: int, **config: Any) -> None:
    """Send some heaps, the first with descriptors, and the end of the stream."""
    group = make_group(package, ITEMS, bits, bug_compat)
    settings = package.send.StreamConfig(**config)
    stream = package.send.UdpStream(package.ThreadPool(), [endpoint], settings)
    for index in range(COUNT):
        group["timestamp"].value = index
        stream.send_heap(group.get_heap())
    stream.send_heap(group.get_end())


def check_received(received: list[dict[str, Any]]) -> None:
    assert len(received) == COUNT
    for index, values in enumerate(received):
        assert_same_values(values, {item.name: item.value for item in ITEMS} | {"timestamp": index})


@pytest.mark.parametrize(("sender", "receiver"), [("ours", "spead2"), ("spead2", "ours"), ("ours", "ours")])
@pytest.mark.parametrize(("bits", "bug_compat"), FLAVOURS)
def test_every_flavour(sender: str, receiver: str, bits: int, bug_compat: int, listener: socket.socket) -> None:
    package = PACKAGES[receiver]
    stream = package.recv.Stream(
        package.ThreadPool(),
        package.recv.StreamConfig(bug_compat=bug_compat),
        package.recv.RingStreamConfig(heaps=16),
    )
    stream.add_udp_reader(socket=listener)
    send_all(PACKAGES[sender], listener.getsockname(), bits, bug_compat)
    group = package.ItemGroup()
    received = []
    for heap in stream:
        group.update(heap)
        received.append({name: item.value for name, item in group.items()})
        assert heap.flavour.heap_address_bits == bits
    check_received(received)


@pytest.mark.parametrize(("sender", "receiver"), [("ours", "spead2"), ("spead2", "ours")])
@pytest.mark.parametrize("max_packet_size", [128, 1472, 8972])
@pytest.mark.parametrize("rate", [0.0, 2e6])
def test_packet_sizes_and_rates(
    sender: str, receiver: str, max_packet_size: int, rate: float, listener: socket.socket
) -> None:
    package = PACKAGES[receiver]
    stream = package.recv.Stream(package.ThreadPool(), ring_config=package.recv.RingStreamConfig(heaps=16))
    stream.add_udp_reader(listener, 9200)
    send_all(PACKAGES[sender], listener.getsockname(), 48, 0, max_packet_size=max_packet_size, rate=rate)
    assert [heap.cnt for heap in stream] == list(range(1, COUNT + 1))


@pytest.mark.parametrize(("sender", "receiver"), [("ours", "spead2"), ("spead2", "ours")])
async def test_asyncio(sender: str, receiver: str, listener: socket.socket) -> None:
    package, other = PACKAGES[receiver], PACKAGES[sender]
    stream = package.recv.asyncio.Stream(package.ThreadPool(), ring_config=package.recv.RingStreamConfig(heaps=16))
    stream.add_udp_reader(listener)
    group = make_group(other, ITEMS)
    send_stream = other.send.asyncio.UdpStream(
        other.ThreadPool(), [listener.getsockname()], other.send.StreamConfig(max_heaps=COUNT + 1)
    )
    futures = []
    for index in range(COUNT):
        group["timestamp"].value = index
        futures.append(send_stream.async_send_heap(group.get_heap()))
    futures.append(send_stream.async_send_heap(group.get_end()))
    sizes = await asyncio.gather(*futures)
    assert all(size > 0 for size in sizes)
    await send_stream.async_flush()
    receiving = package.ItemGroup()
    received = []
    async with asyncio.timeout(30):
        async for heap in stream:
            receiving.update(heap)
            received.append({name: item.value for name, item in receiving.items()})
    check_received(received)


def test_multicast(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    for sender, receiver in (("ours", "spead2"), ("spead2", "ours")):
        package, other = PACKAGES[receiver], PACKAGES[sender]
        stream = package.recv.Stream(package.ThreadPool(), ring_config=package.recv.RingStreamConfig(heaps=16))
        stream.add_udp_reader("239.255.88.88", port, 9200, 1 << 20, "127.0.0.1")
        send_stream = other.send.UdpStream(
            other.ThreadPool(), [("239.255.88.88", port)], ttl=1, interface_address="127.0.0.1"
        )
        group = make_group(other, ITEMS)
        send_stream.send_heap(group.get_heap())
        send_stream.send_heap(group.get_end())
        assert len(list(stream)) == 1


def test_substreams() -> None:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        endpoints = [sock.getsockname() for sock in sockets]
        group = make_group(spead_transport, ITEMS)
        stream = spead_transport.send.UdpStream(spead_transport.ThreadPool(), endpoints)
        assert stream.num_substreams == 3
        for index in range(3):
            stream.send_heap(group.get_heap(descriptors="all", data="all"), 100 + index, substream_index=index)
            stream.send_heap(group.get_end(), substream_index=index)
        for index, sock in enumerate(sockets):
            receiver = spead2.recv.Stream(spead2.ThreadPool())
            receiver.add_udp_reader(sock)
            assert [heap.cnt for heap in receiver] == [100 + index]
    finally:
        for sock in sockets:
            sock.close()
