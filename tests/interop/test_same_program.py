"""Programs written for spead2 do the same after their import is changed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from .common import PACKAGES

INPROC = """
import numpy as np
import PACKAGE as spead2
import PACKAGE.recv
import PACKAGE.send

pool = spead2.ThreadPool()
queues = [spead2.InprocQueue(), spead2.InprocQueue()]
sender = spead2.send.InprocStream(pool, queues, spead2.send.StreamConfig(max_packet_size=256, rate=0, max_heaps=8))
print(sender.num_substreams, sender.queues[0] is queues[0], len(sender.queues))
group = spead2.send.ItemGroup(descriptor_frequency=3, flavour=spead2.Flavour(4, 64, 48))
group.add_item(0x1600, "timestamp", "ADC counter", shape=(), format=[("u", 48)])
group.add_item(0x4101, "xeng_raw", "visibilities", shape=(4, 10, 2), dtype=np.int32)
group.add_item(None, "text", "a comment", shape=(None,), format=[("c", 8)], value="first")
for i in range(5):
    group["timestamp"].value = 1000 + i
    group["xeng_raw"].value = np.full((4, 10, 2), i, np.int32)
    if i == 3:
        group["text"].value = "second"
    print(sender.send_heap(group.get_heap(), substream_index=i % 2))
heap = group.get_heap(descriptors="none", data="all")
references = [spead2.send.HeapReference(heap, cnt=50, substream_index=0), spead2.send.HeapReference(heap, rate=0)]
print(sender.send_heaps(references, spead2.send.GroupMode.ROUND_ROBIN))
sender.set_cnt_sequence(90, 2)
print(sender.send_heap(group.get_start()), sender.send_heap(group.get_end()))
for queue in queues:
    queue.stop()
    config = spead2.recv.StreamConfig(max_heaps=4, allow_out_of_order=False)
    stream = spead2.recv.Stream(pool, config, spead2.recv.RingStreamConfig(heaps=6, contiguous_only=True))
    stream.add_inproc_reader(queue)
    received = spead2.ItemGroup()
    for heap in stream:
        updated = received.update(heap)
        print(heap.cnt, heap.flavour.heap_address_bits, heap.is_start_of_stream(), heap.is_end_of_stream())
        for name in sorted(updated):
            item = received[name]
            value = item.value
            print("  ", name, hex(item.id), item.description, item.shape, item.format,
                  np.asarray(value).ravel()[:3].tolist(), type(value).__name__)
    print(stream.stats.heaps, stream.stats["packets"], stream.stats["incomplete_heaps_evicted"])
    try:
        stream.get()
    except spead2.Stopped:
        print("stopped")
"""

ASYNCIO = """
import asyncio
import numpy as np
import PACKAGE as spead2
import PACKAGE.recv.asyncio
import PACKAGE.send.asyncio

async def main():
    pool = spead2.ThreadPool(1)
    queue = spead2.InprocQueue()
    sender = spead2.send.asyncio.InprocStream(pool, [queue], spead2.send.StreamConfig(max_heaps=100))
    stream = spead2.recv.asyncio.Stream(pool, ring_config=spead2.recv.RingStreamConfig(heaps=200))
    stream.add_inproc_reader(queue)
    group = spead2.send.ItemGroup()
    group.add_item(0x1000, "x", "a number", (), format=[("u", 32)])
    futures = []
    for i in range(50):
        group["x"].value = i
        futures.append(sender.async_send_heap(group.get_heap()))
    print(await asyncio.gather(*futures))
    await sender.async_flush()
    await sender.async_send_heap(group.get_end())
    received = spead2.ItemGroup()
    total = 0
    async for heap in stream:
        received.update(heap)
        total += received["x"].value
    print(total)
    try:
        await stream.get()
    except spead2.Stopped:
        print("stopped")

asyncio.run(main())
"""


def run(program: str, package: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program.replace("PACKAGE", package)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("program", [INPROC, ASYNCIO], ids=["inproc", "asyncio"])
def test_the_output_is_the_same(program: str) -> None:
    ours = run(program, "spead_transport")
    assert ours == run(program, "spead2")
    assert ours


def test_one_import_brings_everything() -> None:
    program = "import spead_transport as spead2; print(spead2.recv.asyncio.Stream, spead2.send.asyncio.InprocStream)"
    assert "InprocStream" in run(program, "spead_transport")


def make_heap(package: Any) -> Any:
    return package.send.ItemGroup().get_end()


def bytes_stream(package: Any, **config: Any) -> Any:
    return package.send.BytesStream(package.ThreadPool(), package.send.StreamConfig(**config))


def queue_full(package: Any) -> None:
    config = package.send.StreamConfig(max_heaps=1)
    stream = package.send.BytesStream(package.ThreadPool(), config)
    references = [package.send.HeapReference(make_heap(package)) for _ in range(2)]
    stream.send_heaps(references, package.send.GroupMode.SERIAL)


def stopped_queue(package: Any) -> None:
    queue = package.InprocQueue()
    queue.stop()
    package.send.InprocStream(package.ThreadPool(), [queue]).send_heap(make_heap(package))


def add_after_stop(package: Any) -> None:
    queue = package.InprocQueue()
    queue.stop()
    queue.add_packet(b"")


def oversize_datagram(package: Any) -> None:
    config = package.send.StreamConfig(max_packet_size=100_000)
    stream = package.send.UdpStream(package.ThreadPool(), [("127.0.0.1", 8888)], config)
    group = package.send.ItemGroup()
    group.add_item(0x1000, "x", "", (90_000,), format=[("u", 8)], value=bytes(90_000))
    item = package.Item(0x1000, "x", "", (90_000,), format=[("u", 8)], value=[0] * 90_000)
    heap = package.send.Heap(package.Flavour())
    heap.add_item(item)
    stream.send_heap(heap)


def add_reader(package: Any, *arguments: Any) -> None:
    package.recv.Stream(package.ThreadPool()).add_udp_reader(*arguments)


MISTAKES: dict[str, tuple[Any, type[BaseException]]] = {
    "a port above 65535": (lambda p: add_reader(p, 70_000), TypeError),
    "an endpoint's port": (lambda p: p.send.UdpStream(p.ThreadPool(), [("127.0.0.1", 70_000)]), TypeError),
    "negative max_heaps": (lambda p: p.send.StreamConfig(max_heaps=-1), TypeError),
    "negative max_heaps, receiving": (lambda p: p.recv.StreamConfig(max_heaps=-1), TypeError),
    "an unknown keyword": (lambda p: p.send.StreamConfig(maximum=1), TypeError),
    "no heap references": (lambda p: p.send.HeapReferenceList([1]), TypeError),
    "max_heaps 0": (lambda p: p.send.StreamConfig(max_heaps=0), ValueError),
    "max_heaps 0, receiving": (lambda p: p.recv.StreamConfig(max_heaps=0), ValueError),
    "no ring": (lambda p: p.recv.RingStreamConfig(heaps=0), ValueError),
    "no threads": (lambda p: p.ThreadPool(0), ValueError),
    "a negative rate": (lambda p: p.send.StreamConfig(rate=-1.0), ValueError),
    "no rate at all": (lambda p: p.send.StreamConfig(rate=float("nan")), ValueError),
    "a ratio below 1": (lambda p: p.send.StreamConfig(burst_rate_ratio=0.5), ValueError),
    "step 0 of a slice": (lambda p: p.send.HeapReferenceList([])[::0], ValueError),
    "no queues": (lambda p: p.send.InprocStream(p.ThreadPool(), []), ValueError),
    "step 0 of the cnt sequence": (lambda p: bytes_stream(p).set_cnt_sequence(1, 0), ValueError),
    "a wrong flavour": (lambda p: p.Flavour(4, 64, 47), ValueError),
    "a wrong version": (lambda p: p.Flavour(3, 64, 40, 0), ValueError),
    "ttl for unicast": (lambda p: p.send.UdpStream(p.ThreadPool(), [("127.0.0.1", 1)], ttl=1), ValueError),
    "no dtype and no format": (lambda p: p.Descriptor(0x1000, "x", "", ()), ValueError),
    "dtype and format": (lambda p: p.Descriptor(0x1000, "x", "", (), "u1", format=[("u", 8)]), ValueError),
    "two unknown dimensions": (
        lambda p: p.Descriptor(0x1000, "x", "", (None, None), format=[("u", 8)]),
        ValueError,
    ),
    "nonsense for descriptors": (lambda p: p.send.ItemGroup().get_heap(descriptors="some"), ValueError),
    "an unknown item": (lambda p: p.ItemGroup()["x"], KeyError),
    "an unknown statistic": (lambda p: p.recv.StreamConfig().get_stat_index("x"), IndexError),
    "too many heaps": (queue_full, BlockingIOError),
    "a large heap cnt": (lambda p: bytes_stream(p).send_heap(make_heap(p), 1 << 40), OSError),
    "a wrong substream": (lambda p: bytes_stream(p).send_heap(make_heap(p), substream_index=1), OSError),
    "no heaps": (lambda p: bytes_stream(p).send_heaps([], p.send.GroupMode.SERIAL), OSError),
    "a stopped queue": (stopped_queue, OSError),
    "packets after stop": (add_after_stop, Exception),
    "an oversized datagram": (oversize_datagram, OSError),
    "a name that does not resolve": (
        lambda p: add_reader(p, 8888, 9200, 1 << 20, "no.such.host.invalid"),
        RuntimeError,
    ),
    "an address of another host": (lambda p: add_reader(p, 8888, 9200, 1 << 20, "192.0.2.1"), RuntimeError),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_same_exception_for_the_same_mistake(mistake: str) -> None:
    make, expected = MISTAKES[mistake]
    errors: dict[str, BaseException] = {}
    for name, package in PACKAGES.items():
        with pytest.raises(expected) as caught:
            make(package)
        errors[name] = caught.value
    theirs = getattr(errors["spead2"], "errno", None)
    if theirs is not None:
        assert getattr(errors["ours"], "errno", None) == theirs
