"""Native counterparts of the endpoints of ``spead-transport-shm``, if that is installed."""

from __future__ import annotations

from spead_transport_shm import ShmReceiver, ShmSender

from spead_transport.transport import PacketReceiver, PacketSender

from . import _native

__all__ = ["shm_receiver", "shm_sender"]


def shm_sender(sender: PacketSender, face: PacketSender) -> _native.Sender | None:
    """What sends in place of `sender`; ``None`` if that is another transport's, or is in use already.

    `face` is what is closed in the end: `sender` itself, unless that is inside another endpoint.
    """
    handed_over = sender.hand_over() if type(sender) is ShmSender else None
    return None if handed_over is None else _native.Sender.from_ring(face, *handed_over)


def shm_receiver(receiver: PacketReceiver, face: PacketReceiver) -> _native.Receiver | None:
    """What receives in place of `receiver`; ``None`` as for :func:`shm_sender`."""
    if type(receiver) is not ShmReceiver:
        return None
    listener = receiver.hand_over()
    if listener is None:
        return None
    return _native.Receiver.from_rings(face, listener, receiver.access.value, receiver.senders)
