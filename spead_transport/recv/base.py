"""What all receiving streams share: readers, statistics, and an end."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, overload

from ..engine.interface import ReaderRunner
from ..engine.recv_config import StreamConfig
from ..engine.stats import StreamStats
from ..errors import no_ibverbs
from ..protocol.batch import BufferLike
from ..settings import Target, as_transport
from ..transport import PacketReceiver
from ..transport import open_receiver as open_transport
from ..transport.options import join_url
from .buffer import BufferReceiver
from .ibverbs import UdpIbvConfig

if TYPE_CHECKING:
    from spead_transport_inproc import InprocQueue

__all__ = ["BaseStream", "ReceiverTarget"]

#: A URL, a configured transport, one with the settings of a stream, or an endpoint that is open already.
ReceiverTarget: TypeAlias = Target | PacketReceiver


class BaseStream:
    """What all receiving streams share, whatever becomes of the heaps. Methods may be called from any thread."""

    DEFAULT_UDP_MAX_SIZE: ClassVar[int] = 9200
    DEFAULT_UDP_BUFFER_SIZE: ClassVar[int] = 8 * 1024 * 1024
    DEFAULT_TCP_MAX_SIZE: ClassVar[int] = 65536
    DEFAULT_TCP_BUFFER_SIZE: ClassVar[int] = 212992

    def __init__(self, config: StreamConfig, runner: ReaderRunner) -> None:
        self._config = config
        self._readers = runner
        self._urls: list[str] = []
        # A method __del__ would not do: of a reference cycle, the receivers might be collected first.
        self._stop_readers = weakref.finalize(self, runner.stop)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} of {', '.join(self._urls) or 'no reader'}>"

    @property
    def urls(self) -> list[str]:
        """Where the stream's readers are, with the addresses that the system gave them, in the order of adding."""
        return list(self._urls)

    @property
    def config(self) -> StreamConfig:
        """A copy of the stream's settings."""
        return self._config.copy()

    @property
    def stats(self) -> StreamStats:
        """A snapshot of the stream's statistics."""
        return self._readers.stats()

    def drops(self) -> dict[str, int]:
        """Packets that the transports know to be lost before they reached the stream, by reason.

        Their sum is ``transport_drops`` in :attr:`stats`.
        """
        return self._readers.drops()

    # ---------------------------------------------------------------------------------------------------- readers

    def add_reader(self, target: ReceiverTarget, *, worker: bool | None = None) -> str:
        """Receive from a transport too.

        Parameters
        ----------
        target
            Where from: a URL such as ``udp://239.2.3.4:7148?interface=eth0``, a configured transport, or an
            endpoint, which belongs to the stream from now on.
        worker
            Whether a thread of the pool drains the transport, or whoever asks the stream for heaps. By default
            it is the thread if packets come over a network, whose buffers should not fill up while the user computes,
            if the transport would otherwise lose packets, or if ``max_heap_age`` is set. (Chunks are always filled by
            threads.)

        Returns
        -------
        str
            The transport's URL, with the address that the system gave it.

        Raises
        ------
        ValueError
            If the URL is malformed, or names an unknown transport or option.
        TransportError
            If the system refuses to open the transport.
        RuntimeError
            If the stream has ``explicit_start`` and was started.
        """
        receiver = _open_packet_receiver(target)
        url = receiver.url
        try:
            self._readers.add_reader(receiver, worker=self._needs_worker(receiver) if worker is None else worker)
        except BaseException:
            receiver.close()
            raise
        self._urls.append(url)
        return url

    def _needs_worker(self, receiver: PacketReceiver) -> bool:
        capabilities = receiver.capabilities
        return capabilities.lossy or capabilities.reach == "network" or self._config.max_heap_age > 0

    def add_readers(self, targets: Iterable[ReceiverTarget]) -> None:
        """Receive from several transports. If one does not open, the stream is stopped and the error raised."""
        try:
            for target in targets:
                self.add_reader(target)
        except BaseException:
            self.stop()
            raise

    def add_buffer_reader(self, buffer: BufferLike) -> None:
        """Receive packets that lie back to back in memory, then end.

        Raises
        ------
        ValueError
            If `buffer` is not contiguous.
        """
        self.add_reader(BufferReceiver(buffer))

    def add_inproc_reader(self, queue: InprocQueue) -> None:
        """Receive from an in-process queue, until it is stopped."""
        from spead_transport_inproc import InprocReceiver

        self.add_reader(InprocReceiver(queue))

    def add_udp_pcap_file_reader(self, filename: str, filter: str = "") -> None:
        """Receive the UDP payloads in a capture file, then end. This needs the package ``spead-transport-pcap``.

        Parameters
        ----------
        filename
            A pcap or pcapng file.
        filter
            Which packets to receive, as for tcpdump (pcap-filter(7)).

        Raises
        ------
        TransportLookupError
            If the package is not installed; the message says how to do that.
        TransportError
            If the file or the filter is not what it should be.
        """
        self.add_reader(join_url("pcap", filename, {"filter": filter} if filter else {}))

    @overload
    def add_udp_reader(
        self, port: int, max_size: int = ..., buffer_size: int = ..., bind_hostname: str = ...
    ) -> None: ...
    @overload
    def add_udp_reader(self, socket: socket.socket, max_size: int = ...) -> None: ...
    @overload
    def add_udp_reader(
        self,
        multicast_group: str,
        port: int,
        max_size: int = ...,
        buffer_size: int = ...,
        interface_address: str = ...,
    ) -> None: ...
    @overload
    def add_udp_reader(
        self,
        multicast_group: str,
        port: int,
        max_size: int = ...,
        buffer_size: int = ...,
        *,
        interface_index: int,
    ) -> None: ...
    @overload
    def add_udp_reader(
        self, multicast_group: str, port: int, max_size: int, buffer_size: int, interface_index: int
    ) -> None: ...
    def add_udp_reader(self, *arguments: Any, **named: Any) -> None:
        """Receive from a UDP port, a socket, or a multicast group.

        Parameters
        ----------
        port
            The port to bind to.
        socket
            A bound socket; it is duplicated.
        multicast_group
            Address of a group to join.
        max_size
            Largest datagram, in bytes; larger ones are counted and dropped.
        buffer_size
            Size of the socket's receive buffer, in bytes; 0 leaves the system's.
        bind_hostname
            The local address to bind to; by default all.
        interface_address, interface_index
            Address of the interface (IPv4), or its index (IPv6), on which to join the group.

        Raises
        ------
        TransportError
            If an address does not resolve or cannot be bound.
        TypeError
            If the arguments fit none of the three forms.
        """
        from spead_transport_udp import classic_receiver

        self.add_reader(classic_receiver(*arguments, **named))

    @overload
    def add_tcp_reader(
        self, port: int, max_size: int = ..., buffer_size: int = ..., bind_hostname: str = ...
    ) -> None: ...
    @overload
    def add_tcp_reader(self, acceptor: socket.socket, max_size: int = ...) -> None: ...
    def add_tcp_reader(self, *arguments: Any, **named: Any) -> None:
        """Receive from the one sender that connects to a TCP port or socket, until it closes the connection.

        Parameters
        ----------
        port
            The port to listen at.
        acceptor
            A listening socket; it is duplicated, and switched to non-blocking mode.
        max_size
            Largest packet, in bytes; larger ones are counted as truncated and skipped.
        buffer_size
            Size of the socket's receive buffer, in bytes; 0 leaves it to the system.
        bind_hostname
            The local address to listen at; by default all.

        Raises
        ------
        TransportError
            If an address does not resolve or cannot be listened at.
        TypeError
            If the arguments fit neither of the two forms.
        """
        from spead_transport_tcp import classic_receiver

        self.add_reader(classic_receiver(*arguments, **named))

    def add_udp_ibv_reader(self, config: UdpIbvConfig) -> None:
        """Would receive with ibverbs.

        Raises
        ------
        TransportError
            Always: use :meth:`add_udp_reader`.
        """
        raise no_ibverbs("add_udp_reader()")

    def start(self) -> None:
        """Begin to receive, if the stream was made with ``explicit_start``; readers are added before."""
        self._readers.start()

    def stop(self) -> None:
        """End the stream and close its readers. What was finished before can still be taken. Idempotent."""
        self._stop_readers()


def _open_packet_receiver(target: ReceiverTarget) -> PacketReceiver:
    return target if isinstance(target, PacketReceiver) else open_transport(as_transport(target))
