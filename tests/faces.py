"""Endpoints that are driven natively, as a stream of the native engine drives them, with the face of Python's.

So the tests of a transport's endpoints hold for both of its implementations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from spead_transport.transport import FdReadiness, PacketBatch, PacketReceiver, PacketSender, Transport

if TYPE_CHECKING:
    from spead_transport_fastpath import _native

__all__ = ["FACES", "DrivenReceiver", "DrivenSender", "faces_of"]

#: Parameters of a fixture that hands its request to :func:`faces_of`.
FACES = ["python", "native"]


class DrivenSender(PacketSender):
    """What the native engine would drive in place of `sender`."""

    def __init__(self, sender: PacketSender) -> None:
        endpoints = pytest.importorskip("spead_transport_fastpath.endpoints")
        super().__init__(sender.url, sender.capabilities)
        self._sender = sender
        self._native: _native.Sender = endpoints.native_sender(sender)
        self._writable = FdReadiness(self._native.fileno())

    @property
    def writable(self) -> FdReadiness:
        return self._writable

    @property
    def num_destinations(self) -> int:
        return self._sender.num_destinations

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            if not 0 <= batch.destination < self.num_destinations:
                raise ValueError(f"{self.url}: there is no destination {batch.destination}")
            return self._native.try_send(batch)

    def _release_resources(self) -> None:
        self._native.close()
        self._sender.close()
        self._writable.wake()


class DrivenReceiver(PacketReceiver):
    """What the native engine would drive in place of `receiver`."""

    def __init__(self, receiver: PacketReceiver) -> None:
        endpoints = pytest.importorskip("spead_transport_fastpath.endpoints")
        super().__init__(receiver.url, receiver.capabilities)
        self._receiver = receiver
        self._native: _native.Receiver = endpoints.native_receiver(receiver)
        self._readable = FdReadiness(self._native.fileno())

    @property
    def readable(self) -> FdReadiness:
        return self._readable

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            return self._native.try_recv(limit)

    def drops(self) -> dict[str, int]:
        return self._native.drops()

    def _release_resources(self) -> None:
        self._native.close()
        self._receiver.close()
        self._readable.wake()


def faces_of(face: str, transport: type[Transport[Any]]) -> Iterator[str]:
    """During this generator, `transport` opens endpoints that have one of :data:`FACES`."""
    if face == "python":
        yield face
        return
    open_sender, open_receiver = transport.open_sender, transport.open_receiver
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "open_sender", lambda self: DrivenSender(open_sender(self)))
        patch.setattr(transport, "open_receiver", lambda self: DrivenReceiver(open_receiver(self)))
        yield face
