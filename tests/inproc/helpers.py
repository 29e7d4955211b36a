"""Short ways to put packets into queues and take them out."""

from __future__ import annotations

from collections.abc import Iterable

from spead_transport.errors import EndOfStream
from spead_transport.transport import PacketBatch, PacketReceiver


def batch(*packets: bytes, destination: int = 0) -> PacketBatch:
    return PacketBatch.of(packets, destination=destination)


def bytes_of(packets: PacketBatch) -> list[bytes]:
    return [packet.tobytes() for packet in packets.packets()]


def take(receiver: PacketReceiver, limit: int = 10**6) -> list[bytes]:
    """What is there now."""
    taken: list[bytes] = []
    while True:
        try:
            got = bytes_of(receiver.try_recv(limit))
        except EndOfStream:
            return taken
        if not got:
            return taken
        taken += got


def ended(receiver: PacketReceiver) -> bool:
    """Whether the receiver has nothing more to say; what it has is lost."""
    try:
        while len(receiver.try_recv(10**6)):
            pass
    except EndOfStream:
        return True
    return False


def numbered(numbers: Iterable[int]) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in numbers]
