"""Packets to try a transport with, and how to get them through it."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

import numpy as np

from ..errors import EndOfStream
from ..protocol.batch import PacketBatch
from ..protocol.constants import HEAP_CNT_ID, HEAP_LENGTH_ID, MAGIC, PAYLOAD_LENGTH_ID, PAYLOAD_OFFSET_ID, VERSION
from ..transport import PacketReceiver, PacketSender, Readiness
from .check import expect
from .subject import TransportUnderTest

__all__ = [
    "FEW",
    "HEADER_SIZE",
    "PATIENCE",
    "bytes_of",
    "in_thread",
    "make_batch",
    "receive",
    "receive_all",
    "receive_at_least_one",
    "same_packets",
    "send",
    "settle",
    "transfer",
    "wait",
]

_T = TypeVar("_T")

#: Seconds after which something that must happen has not happened. Nothing takes that long when all is well.
PATIENCE: Final = 20.0
#: Bytes of the smallest packet: the header and the four item pointers that every sender of this package writes.
HEADER_SIZE: Final = 40
#: Sizes of a few packets, which no transport loses within one machine even if it may.
FEW: Final = tuple(60 + 7 * index for index in range(50))
#: SPEAD-64-40.
_POINTER_BYTES: Final = 3
_ADDRESS_BYTES: Final = 5


def make_batch(sizes: Sequence[int], *, first_cnt: int = 1, destination: int = 0) -> PacketBatch:
    """A batch of heaps of one packet each, no two of which are alike.

    Parameters
    ----------
    sizes
        Of the packets, in bytes, at least :data:`HEADER_SIZE`.
    first_cnt
        Number of the first heap.
    destination
        Where the batch goes.
    """
    body_sizes = np.array(sizes, np.int64) - HEADER_SIZE
    body_offsets = np.cumsum(body_sizes) - body_sizes
    heads = b"".join(_header(first_cnt + index, size) for index, size in enumerate(body_sizes.tolist()))
    return PacketBatch(
        np.frombuffer(heads, np.uint8).copy(),
        np.arange(len(sizes), dtype=np.int64) * HEADER_SIZE,
        np.full(len(sizes), HEADER_SIZE, np.int64),
        (np.random.default_rng(first_cnt).integers(0, 256, int(body_sizes.sum()), np.uint8),),
        body_offsets,
        body_sizes,
        destination=destination,
    )


def _header(cnt: int, payload: int) -> bytes:
    items = ((HEAP_CNT_ID, cnt), (HEAP_LENGTH_ID, payload), (PAYLOAD_OFFSET_ID, 0), (PAYLOAD_LENGTH_ID, payload))
    pointers = [1 << 63 | item_id << 8 * _ADDRESS_BYTES | value for item_id, value in items]
    return struct.pack(">BBBBHH4Q", MAGIC, VERSION, _POINTER_BYTES, _ADDRESS_BYTES, 0, len(items), *pointers)


def bytes_of(batch: PacketBatch) -> list[bytes]:
    """Copies of the packets."""
    return [packet.tobytes() for packet in batch.packets()]


def wait(readiness: Readiness, what: str) -> None:
    """Wait, and fail if nothing is reported; `what` should have been."""
    expect(readiness.wait(PATIENCE), f"{what} was not reported within {PATIENCE:.0f} seconds")


def send(sender: PacketSender, batch: PacketBatch) -> None:
    """Send all of `batch`, waiting where need be. Somebody must be receiving."""
    while len(batch):
        taken = sender.try_send(batch)
        expect(0 <= taken <= len(batch), f"try_send took {taken} of {len(batch)} packets")
        batch = batch[taken:]
        if len(batch):
            wait(sender.writable, "room for more packets")


def receive(receiver: PacketReceiver, count: int) -> list[bytes]:
    """Receive `count` packets, waiting as often as need be."""
    packets: list[bytes] = []
    deadline = time.monotonic() + PATIENCE
    while len(packets) < count:
        left = deadline - time.monotonic()
        reported = receiver.readable.wait(max(0.0, left))
        got = _receive_some(receiver, count - len(packets), f"{len(packets)} of {count} packets")
        packets += got
        expect(got or left > 0, f"only {len(packets)} of {count} packets arrived in time")
        expect(reported or not got, "packets were there, but the readiness did not report them")
    expect(len(packets) == count, f"{len(packets)} packets arrived, {count} were sent")
    return packets


def _receive_some(receiver: PacketReceiver, limit: int, progress: str) -> list[bytes]:
    try:
        return bytes_of(receiver.try_recv(limit))
    except EndOfStream:
        expect(False, f"the stream ended after {progress}")
        raise


def receive_all(receiver: PacketReceiver) -> Iterator[bytes]:
    """Packets until the end of the stream."""
    while True:
        wait(receiver.readable, "a packet or the end")
        try:
            yield from bytes_of(receiver.try_recv(1000))
        except EndOfStream:
            return


def transfer(sender: PacketSender, receiver: PacketReceiver, batch: PacketBatch) -> list[bytes]:
    """Send all of `batch` and receive it, in turns, so that it need not fit into what the transport can keep."""
    count = len(batch)
    packets: list[bytes] = []
    while len(batch):
        taken = sender.try_send(batch)
        batch = batch[taken:]
        if len(batch) and not taken:
            wait(receiver.readable, "a packet (the sender takes no more)")
            packets += _receive_some(receiver, len(batch), f"{len(packets)} of {count} packets")
    return packets + receive(receiver, count - len(packets))


def receive_at_least_one(receiver: PacketReceiver) -> list[bytes]:
    """Packets, waiting for the first."""
    while True:
        wait(receiver.readable, "a packet")
        packets = bytes_of(receiver.try_recv(1000))
        if packets:
            return packets


def settle(receiver: PacketReceiver) -> None:
    """Look for packets where there are none until the readiness does not report any, as it must sooner or later."""
    for _ in range(100):
        batch = receiver.try_recv(10)
        expect(len(batch) == 0, f"{len(batch)} packets arrived that nobody sent")
        if not receiver.readable.wait(0):
            return
    expect(False, "the readiness goes on reporting although there is nothing: whoever waits will spin")


def same_packets(subject: TransportUnderTest, sent: Sequence[bytes], arrived: Sequence[bytes]) -> None:
    """Fail unless the same packets arrived that were sent: in order, if the transport promises that."""
    if subject.capabilities.ordered:
        for index, (one, other) in enumerate(zip(sent, arrived, strict=True)):
            expect(one == other, f"packet {index} arrived changed or out of order")
    expect(sorted(sent) == sorted(arrived), "what arrived is not what was sent")


def in_thread(function: Callable[[], _T]) -> Callable[[], _T]:
    """Start `function` in a thread; what is returned waits for its result, and raises what it raised."""
    result: list[_T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join() -> _T:
        thread.join(2 * PATIENCE)
        expect(not thread.is_alive(), "a call that never blocks did not return")
        if failure:
            raise failure[0]
        return result[0]

    return join
