"""Whatever was opened before, and however, packets of native streams do not pass through Python."""

from __future__ import annotations

import numpy as np
import pytest
from spead_transport_inproc import InprocQueue, InprocReceiver, InprocSender

from spead_transport import recv, send
from spead_transport.transport import (
    PacketReceiver,
    PacketSender,
    open_receiver,
    open_sender,
    redirected,
    transport_from_url,
)

pytest.importorskip("spead_transport_fastpath")


@pytest.fixture(autouse=True)
def only_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calling the Python endpoints is an error."""

    def must_not_be_called(self: object, _: object) -> None:
        raise AssertionError(f"{self!r} was called")

    monkeypatch.setattr(InprocSender, "try_send", must_not_be_called)
    monkeypatch.setattr(InprocReceiver, "try_recv", must_not_be_called)


def carry_heaps(sender: PacketSender, *receivers: PacketReceiver, count: int = 3) -> None:
    """Streams of the native engine send heaps from one endpoint to others, which each get all of them."""
    group = send.ItemGroup()
    group.add_item(0x1000, "data", "", (10_000,), np.uint8, value=np.arange(10_000).astype(np.uint8))
    heap = group.get_heap()
    with send.SyncStream(sender, engine="native") as outgoing:
        streams = [recv.Stream(engine="native") for _ in receivers]
        for stream, receiver in zip(streams, receivers, strict=True):
            stream.add_reader(receiver)
        for index in range(count):
            outgoing.send_heap(heap, substream_index=index % outgoing.num_substreams)
        for stream in streams:
            with stream:
                for _ in range(count):
                    items = {item.id: item for item in stream.get(timeout=10).get_items()}
                    assert bytes(items[0x1000]) == group["data"].value.tobytes()


def test_a_receiver_that_was_there_before_the_sender() -> None:
    queue = InprocQueue()
    receiver = InprocReceiver(queue)
    carry_heaps(InprocSender([queue]), receiver)


def test_a_receiver_of_several_queues() -> None:
    queues = [InprocQueue() for _ in range(3)]
    receiver = InprocReceiver(*queues)
    carry_heaps(InprocSender(queues), receiver)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fan_out(count: int) -> None:
    queue = InprocQueue(mode="fanout")
    receivers = [InprocReceiver(queue) for _ in range(count)]
    carry_heaps(InprocSender([queue]), *receivers)


@pytest.mark.parametrize("url", ["udp://127.0.0.1:7148", "udp://239.2.3.4:7148", "tcp://127.0.0.1:7148"])
def test_redirected_endpoints(url: str) -> None:
    with redirected("udp->inproc,tcp->inproc"):
        transport = transport_from_url(url)
        receivers = [open_receiver(transport) for _ in range(2)]
        carry_heaps(open_sender(transport), *receivers)
