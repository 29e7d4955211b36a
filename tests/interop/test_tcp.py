"""Streams over TCP, from either package to the other: neither puts anything between the packets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from .common import FLAVOURS, PACKAGES, ItemSpec, assert_same_values, make_group

COUNT = 5
ITEMS = [
    ItemSpec("timestamp", 0, (), format=[("u", 16)]),
    ItemSpec("samples", np.arange(100_000, dtype=">i2"), (100_000,), dtype=">i2"),
    ItemSpec("packed", np.arange(-20, 20).reshape(4, 10), (4, 10), format=[("i", 10)]),
    ItemSpec("comment", "over the wire", (None,), format=[("c", 8)]),
]
BOTH_WAYS = pytest.mark.parametrize(("sender", "receiver"), [("ours", "spead2"), ("spead2", "ours")])


@pytest.fixture
def acceptor() -> Iterator[socket.socket]:
    """A listening socket, given to the receiver: so the sender knows the port whichever package receives."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def send_all(stream: Any, group: Any) -> None:
    """Send some heaps, the first with descriptors, and close the connection."""
    for index in range(COUNT):
        group["timestamp"].value = index
        stream.send_heap(group.get_heap())


def receiving(package: Any, acceptor: socket.socket, max_size: int = 65536, **config: Any) -> Any:
    stream = package.recv.Stream(
        package.ThreadPool(),
        package.recv.StreamConfig(**config),
        package.recv.RingStreamConfig(heaps=16),
    )
    stream.add_tcp_reader(acceptor, max_size)
    return stream


def check_received(package: Any, heaps: Iterator[Any]) -> None:
    group = package.ItemGroup()
    count = 0
    for index, heap in enumerate(heaps):
        group.update(heap)
        values = {name: item.value for name, item in group.items()}
        assert_same_values(values, {item.name: item.value for item in ITEMS} | {"timestamp": index})
        count += 1
    assert count == COUNT


@BOTH_WAYS
@pytest.mark.parametrize(("bits", "bug_compat"), FLAVOURS[::3])
def test_every_flavour(sender: str, receiver: str, bits: int, bug_compat: int, acceptor: socket.socket) -> None:
    package, other = PACKAGES[receiver], PACKAGES[sender]
    heaps = receiving(package, acceptor, bug_compat=bug_compat)
    stream = other.send.TcpStream(other.ThreadPool(), [acceptor.getsockname()])
    send_all(stream, make_group(other, ITEMS, bits, bug_compat))
    del stream  # which closes the connection
    check_received(package, heaps)


@BOTH_WAYS
@pytest.mark.parametrize("max_packet_size", [128, 1472, 8972, 65536, 1 << 20])
@pytest.mark.parametrize("rate", [0.0, 5e6])
def test_packet_sizes_and_rates(
    sender: str, receiver: str, max_packet_size: int, rate: float, acceptor: socket.socket
) -> None:
    package, other = PACKAGES[receiver], PACKAGES[sender]
    heaps = receiving(package, acceptor, max(max_packet_size, 9200))
    config = other.send.StreamConfig(max_packet_size=max_packet_size, rate=rate)
    stream = other.send.TcpStream(other.ThreadPool(), [acceptor.getsockname()], config)
    send_all(stream, make_group(other, ITEMS))
    del stream
    check_received(package, heaps)


@BOTH_WAYS
def test_sockets(sender: str, receiver: str, acceptor: socket.socket) -> None:
    package, other = PACKAGES[receiver], PACKAGES[sender]
    heaps = receiving(package, acceptor)
    with socket.create_connection(acceptor.getsockname()) as connection:
        stream = other.send.TcpStream(other.ThreadPool(), connection)
    send_all(stream, make_group(other, ITEMS))
    del stream
    check_received(package, heaps)


@BOTH_WAYS
def test_a_stop_item(sender: str, receiver: str, acceptor: socket.socket) -> None:
    package, other = PACKAGES[receiver], PACKAGES[sender]
    heaps = receiving(package, acceptor)
    stream = other.send.TcpStream(other.ThreadPool(), [acceptor.getsockname()])
    group = make_group(other, ITEMS)
    send_all(stream, group)
    stream.send_heap(group.get_end())
    check_received(package, heaps)


@BOTH_WAYS
async def test_asyncio(sender: str, receiver: str, acceptor: socket.socket) -> None:
    package, other = PACKAGES[receiver], PACKAGES[sender]
    stream = package.recv.asyncio.Stream(package.ThreadPool(), ring_config=package.recv.RingStreamConfig(heaps=16))
    stream.add_tcp_reader(acceptor)
    group = make_group(other, ITEMS)
    sending = await other.send.asyncio.TcpStream.connect(
        other.ThreadPool(), [acceptor.getsockname()], other.send.StreamConfig(max_heaps=COUNT + 1)
    )
    futures = []
    for index in range(COUNT):
        group["timestamp"].value = index
        futures.append(sending.async_send_heap(group.get_heap()))
    futures.append(sending.async_send_heap(group.get_end()))

    async def collect() -> list[Any]:
        return [heap async for heap in stream]

    async with asyncio.timeout(30):
        heaps = await collect()
        assert all(size > 0 for size in await asyncio.gather(*futures))
    check_received(package, iter(heaps))
