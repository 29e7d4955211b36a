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

from . import _native

try:
    from .shared_memory import shm_receiver, shm_sender
except ModuleNotFoundError:  # spead-transport-shm is a distribution of its own, which need not be there

    def shm_sender(sender: PacketSender) -> _native.Sender | None:
        return None

    def shm_receiver(receiver: PacketReceiver) -> _native.Receiver | None:
        return None


__all__ = ["native_receiver", "native_sender"]


def native_sender(sender: PacketSender) -> _native.Sender:
    """What drives `sender` natively."""
    handle = sender.native_handle()
    if handle is not None:
        return _native.Sender.from_capsule(sender, handle)
    if type(sender) is UdpSender:
        return _native.Sender.from_socket(sender, sender.fileno(), sender.addresses, sender.gso)
    if type(sender) is BytesSender:
        store = _native.PacketStore()
        sender.hand_over(store)
        return _native.Sender.from_store(sender, store)
    if type(sender) is InprocSender:
        channels = sender.channels(_native.PacketQueue)
        queues = [channel for channel in channels or () if isinstance(channel, _native.PacketQueue)]
        if len(queues) == sender.num_destinations:
            return _native.Sender.from_queues(sender, queues)
    if type(sender) is TcpSender and (connection := sender.hand_over()):
        return _native.Sender.from_connection(sender, *connection)
    if type(sender) is FileSender and (file := sender.hand_over()):
        return _native.Sender.from_file(sender, *file)
    return shm_sender(sender) or _native.Sender.from_python(sender)


def native_receiver(receiver: PacketReceiver) -> _native.Receiver:
    """What drives `receiver` natively."""
    handle = receiver.native_handle()
    if handle is not None:
        return _native.Receiver.from_capsule(receiver, handle)
    if type(receiver) is UdpReceiver:
        return _native.Receiver.from_sockets(receiver, receiver.filenos(), receiver.max_packet_size, receiver.gro)
    if type(receiver) is BufferReceiver:
        return _native.Receiver.from_memory(receiver, receiver.data)
    if type(receiver) is InprocReceiver:
        channel = receiver.take_over(_native.PacketQueue)
        if isinstance(channel, _native.PacketQueue):
            return _native.Receiver.from_queues(receiver, [channel])
    if type(receiver) is TcpReceiver and (listener := receiver.hand_over()):
        return _native.Receiver.from_listener(
            receiver, *listener, connections=receiver.expected, max_size=receiver.max_packet_size
        )
    if type(receiver) is FileReceiver and (fd := receiver.hand_over()) is not None:
        return _native.Receiver.from_file(receiver, fd, receiver.max_packet_size)
    return shm_receiver(receiver) or _native.Receiver.from_python(receiver)
