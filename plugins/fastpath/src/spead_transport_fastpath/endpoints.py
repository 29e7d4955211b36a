"""From the endpoints of a transport to their native counterparts.

An endpoint of native code brings its own (``native_handle``). For the bundled transports, written in Python,
this library has counterparts that use the same sockets. All others are called from the library, once for each batch.
"""

from __future__ import annotations

from spead_transport_file import FileReceiver, FileSender
from spead_transport_inproc import InprocReceiver, InprocSender
from spead_transport_tcp import TcpReceiver, TcpSender
from spead_transport_udp import UdpReceiver, UdpSender

from spead_transport.recv.buffer import BufferReceiver
from spead_transport.send.bytes_stream import BytesSender
from spead_transport.transport import PacketReceiver, PacketSender
from spead_transport.transport.redirect import RedirectedReceiver, RedirectedSender

from . import _native

try:
    from .shared_memory import shm_receiver, shm_sender
except ModuleNotFoundError:  # spead-transport-shm is a distribution of its own, which need not be there

    def shm_sender(sender: PacketSender, face: PacketSender) -> _native.Sender | None:
        return None

    def shm_receiver(receiver: PacketReceiver, face: PacketReceiver) -> _native.Receiver | None:
        return None


__all__ = ["native_receiver", "native_sender"]


def native_sender(sender: PacketSender) -> _native.Sender:
    """What drives `sender` natively. Closing either of them closes the other, too."""
    native = _sender_like(sender, sender)
    if native is None:
        return _native.Sender.from_python(sender)
    sender.when_closed(native.close)
    return native


def native_receiver(receiver: PacketReceiver) -> _native.Receiver:
    """What drives `receiver` natively. Closing either of them closes the other, too."""
    native = _receiver_like(receiver, receiver)
    if native is None:
        return _native.Receiver.from_python(receiver)
    receiver.when_closed(native.close)
    return native


def _sender_like(sender: PacketSender, face: PacketSender) -> _native.Sender | None:
    """The counterpart of `sender`; ``None`` if it has none.

    Parameters
    ----------
    sender
        The endpoint.
    face
        What is closed in the end: `sender` itself, unless that is inside another endpoint.
    """
    if isinstance(sender, RedirectedSender):
        return _sender_like(sender.inner, face)
    handle = sender.native_handle()
    if handle is not None:
        return _native.Sender.from_capsule(face, handle)
    if type(sender) is UdpSender:
        return _native.Sender.from_socket(face, sender.fileno(), sender.addresses, sender.gso)
    if type(sender) is BytesSender:
        store = _native.PacketStore()
        sender.hand_over(store)
        return _native.Sender.from_store(face, store)
    if type(sender) is InprocSender:
        channels = sender.channels(_native.PacketQueue)
        queues = [channel for channel in channels or () if isinstance(channel, _native.PacketQueue)]
        if len(queues) == sender.num_destinations:
            return _native.Sender.from_queues(face, queues)
    if type(sender) is TcpSender and (connection := sender.hand_over()):
        return _native.Sender.from_connection(face, *connection)
    if type(sender) is FileSender and (file := sender.hand_over()):
        return _native.Sender.from_file(face, *file)
    return shm_sender(sender, face)


def _receiver_like(receiver: PacketReceiver, face: PacketReceiver) -> _native.Receiver | None:
    """The counterpart of `receiver`. The parameters are those of :func:`_sender_like`."""
    if isinstance(receiver, RedirectedReceiver):
        return _receiver_like(receiver.inner, face)
    handle = receiver.native_handle()
    if handle is not None:
        return _native.Receiver.from_capsule(face, handle)
    if type(receiver) is UdpReceiver:
        return _native.Receiver.from_sockets(face, receiver.filenos(), receiver.max_packet_size, receiver.gro)
    if type(receiver) is BufferReceiver:
        return _native.Receiver.from_memory(face, receiver.data)
    if type(receiver) is InprocReceiver:
        readers = receiver.hand_over(_native.PacketQueue, _native.QueueReader)
        if readers is not None:
            return _native.Receiver.from_readers(face, readers)
    if type(receiver) is TcpReceiver and (listener := receiver.hand_over()):
        return _native.Receiver.from_listener(
            face, *listener, connections=receiver.expected, max_size=receiver.max_packet_size
        )
    if type(receiver) is FileReceiver and (fd := receiver.hand_over()) is not None:
        return _native.Receiver.from_file(face, fd, receiver.max_packet_size)
    return shm_receiver(receiver, face)
