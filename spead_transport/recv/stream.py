"""Receiving streams."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, overload

import attrs

from ..engine import get_engine
from ..engine.interface import EndPolicy, ReceivedHeap, ReceiveRunner
from ..engine.recv_config import RingStreamConfig, StreamConfig
from ..engine.stats import StreamStats
from ..engine.thread_pool import ThreadPool
from ..errors import Stopped, no_ibverbs
from ..protocol.batch import BufferLike
from ..settings import StreamSettings, StreamSpec, Target, as_spec, as_transport, common_settings
from ..transport import PacketReceiver
from ..transport import open_receiver as open_transport
from .buffer import BufferReceiver
from .ibverbs import UdpIbvConfig

if TYPE_CHECKING:
    from spead_transport_inproc import InprocQueue

__all__ = ["ReceiverTarget", "RingStream", "Ringbuffer", "Stream", "open_receiver", "specify"]

#: A URL, a configured transport, one with the settings of a stream, or an endpoint that is open already.
ReceiverTarget: TypeAlias = Target | PacketReceiver


class Ringbuffer:
    """What is known of the heaps that wait for the user."""

    def __init__(self, runner: ReceiveRunner, capacity: int) -> None:
        self._runner = runner
        self._capacity = capacity

    def size(self) -> int:
        """How many heaps are waiting."""
        return self._runner.waiting

    def capacity(self) -> int:
        """How many may wait before the stream pauses its readers."""
        return self._capacity


class RingStream:
    """What synchronous and asynchronous receivers share. Methods may be called from any thread.

    Parameters
    ----------
    thread_pool
        Whose threads drain the readers that lose packets when they are not drained; if not given, the stream has
        a thread of its own for that, which starts when it is needed.
    config
        The stream's settings, of which it takes a copy; the defaults if not given.
    ring_config
        Settings of the ring of heaps that wait for the user, likewise.
    engine
        Name of the engine; see :func:`spead_transport.engine.get_engine`.
    end
        Whether the stream ends with the first of its readers that ends (``"any"``), or with the last (``"all"``).
    """

    DEFAULT_UDP_MAX_SIZE: ClassVar[int] = 9200
    DEFAULT_UDP_BUFFER_SIZE: ClassVar[int] = 8 * 1024 * 1024
    DEFAULT_TCP_MAX_SIZE: ClassVar[int] = 65536
    DEFAULT_TCP_BUFFER_SIZE: ClassVar[int] = 212992

    def __init__(
        self,
        thread_pool: ThreadPool | None = None,
        config: StreamConfig | None = None,
        ring_config: RingStreamConfig | None = None,
        *,
        engine: str | None = None,
        end: EndPolicy = "any",
    ) -> None:
        if end not in ("any", "all"):
            raise ValueError(f"end must be 'any' or 'all', not {end!r}")
        self._config = StreamConfig() if config is None else config.copy()
        self._ring_config = RingStreamConfig() if ring_config is None else attrs.evolve(ring_config)
        pool = ThreadPool() if thread_pool is None else thread_pool
        self._runner = get_engine(engine).receive_runner(self._config, self._ring_config, pool, end)
        self._urls: list[str] = []
        # A method __del__ would not do: of a reference cycle, the receivers might be collected first.
        weakref.finalize(self, self._runner.stop)

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
    def ring_config(self) -> RingStreamConfig:
        """A copy of the ring's settings."""
        return attrs.evolve(self._ring_config)

    @property
    def ringbuffer(self) -> Ringbuffer:
        """The heaps that wait for the user."""
        return Ringbuffer(self._runner, self._ring_config.heaps)

    @property
    def stats(self) -> StreamStats:
        """A snapshot of the stream's statistics."""
        return self._runner.stats()

    def drops(self) -> dict[str, int]:
        """Packets that the transports know to be lost before they reached the stream, by reason.

        Their sum is ``transport_drops`` in :attr:`stats`.
        """
        return self._runner.drops()

    @property
    def fd(self) -> int:
        """A file descriptor that polls readable when it is worth calling :meth:`get_nowait`."""
        return self._runner.fileno()

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
            it is the thread if the transport would otherwise lose packets.

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
            self._runner.add_reader(receiver, worker=receiver.capabilities.lossy if worker is None else worker)
        except BaseException:
            receiver.close()
            raise
        self._urls.append(url)
        return url

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
            Largest packet, in bytes; what claims to be larger is skipped as junk.
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

    # ------------------------------------------------------------------------------------------------------ heaps

    def start(self) -> None:
        """Begin to receive, if the stream was made with ``explicit_start``; readers are added before."""
        self._runner.start()

    def stop(self) -> None:
        """End the stream and close its readers. Heaps that arrived before can still be taken. Idempotent."""
        self._runner.stop()

    def get_nowait(self) -> ReceivedHeap:
        """The next heap, if there is one.

        Raises
        ------
        Empty
            If there is none now.
        Stopped
            If the stream ended and all heaps were taken.
        TransportError
            Once, before :exc:`Stopped`, if a reader broke.
        """
        return self._runner.get_nowait()


class Stream(RingStream):
    """A stream of heaps: iterate over it, or call :meth:`get`. It is a context manager that stops the stream."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __iter__(self) -> Iterator[ReceivedHeap]:
        """The heaps until the stream ends."""
        return self

    def __next__(self) -> ReceivedHeap:
        try:
            return self._runner.get(None)
        except Stopped:
            raise StopIteration from None

    def get(self, timeout: float | None = None) -> ReceivedHeap:
        """The next heap; wait for it if there is none.

        Parameters
        ----------
        timeout
            The longest wait, in seconds; ``None`` waits for ever.

        Raises
        ------
        Empty
            If the time ran out.
        Stopped
            If the stream ended and all heaps were taken.
        TransportError
            Once, before :exc:`Stopped`, if a reader broke.
        """
        return self._runner.get(timeout)


def open_receiver(
    *targets: ReceiverTarget,
    config: StreamConfig | None = None,
    ring_config: RingStreamConfig | None = None,
    thread_pool: ThreadPool | None = None,
    engine: str | None = None,
    end: EndPolicy | None = None,
) -> Stream:
    """Open a stream to receive heaps.

    Parameters
    ----------
    targets
        Where from: URLs such as ``udp://239.2.3.4:7148?interface=eth0``, which may have the stream's settings, too
        (``&max_heaps=16``), configured transports, streams of a configuration file, or endpoints.
    config, ring_config
        The settings of the stream, and of the ring of heaps that wait for the user. Those that differ from their
        defaults count more than those in `targets`.
    thread_pool
        Whose threads to use; by default the stream has its own.
    engine
        Which engine to use, or several in order of preference (``"native,python"``); by default what `targets` say,
        or the fastest that is installed.
    end
        Whether the stream ends when all of its readers have ended (``"all"``), or with the first of them
        (``"any"``); by default what `targets` say, or the former.

    Raises
    ------
    ValueError
        If a URL is malformed, or names an unknown transport, option or engine, or two of them give a setting of the
        stream different values.
    TransportError
        If the system refuses to open a transport.
    """
    specified, settings = specify(targets)
    stream = Stream(
        thread_pool,
        settings.recv_config(config),
        settings.ring_config(ring_config),
        engine=engine or settings.engine or None,
        end=end or settings.end,
    )
    stream.add_readers(specified)
    return stream


def specify(targets: Iterable[ReceiverTarget]) -> tuple[list[ReceiverTarget], StreamSettings]:
    """What to read from, and the settings of the stream that does."""
    specified = [target if isinstance(target, PacketReceiver) else as_spec(target) for target in targets]
    return [*specified], common_settings([spec for spec in specified if isinstance(spec, StreamSpec)])


def _open_packet_receiver(target: ReceiverTarget) -> PacketReceiver:
    return target if isinstance(target, PacketReceiver) else open_transport(as_transport(target))
