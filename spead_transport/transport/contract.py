"""What a transport is: the contract between the streams of this package and whoever moves their packets.

A transport subclasses :class:`Transport`, :class:`PacketSender` and :class:`PacketReceiver`, and is found by the
entry point of its scheme in the group ``spead_transport.transports``. The rules that hold for all of them:

* Nothing blocks but :meth:`Readiness.wait <spead_transport.transport.Readiness.wait>`.
* Back-pressure is simply *not calling*: a sender that is full takes 0 packets, a receiver that is not called
  keeps its packets (or loses them in the network, if the transport is lossy).
* One caller at a time uses an endpoint: a second one gets :exc:`BusyError`. Only ``close`` and ``wake`` may be
  called from any thread at any time.
* A failure is one of four: :exc:`EndOfStream` (the ordinary end), :exc:`ClosedError` (closed on this side),
  :exc:`BrokenTransportError` (an outside cause), :exc:`BusyError`.
"""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final, Generic, Literal, Self, TypeVar

import attrs

from ..errors import BusyError, ClosedError
from ..protocol.batch import PacketBatch
from .options import TransportConfig
from .readiness import Readiness

__all__ = [
    "CONTRACT_VERSION",
    "Capabilities",
    "ConfigT",
    "PacketReceiver",
    "PacketSender",
    "Transport",
]

#: Version of this contract. A transport states the one that it was written for as ``Transport.contract``.
CONTRACT_VERSION: Final = 1


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a transport promises; streams and tests decide by this, never by a transport's name."""

    #: Packets may vanish on the way. A stream then keeps the receiver drained from a worker thread.
    lossy: bool
    #: Packets arrive in the order in which one sender sent them.
    ordered: bool
    #: How far packets travel: within a process, between processes of a host, or between hosts. Over a network, too, a
    #: stream keeps the receiver drained from a worker thread.
    reach: Literal["process", "host", "network"]
    #: Largest packet, in bytes; ``None`` if there is no limit.
    largest_packet: int | None = None
    #: Largest number of packets worth offering to one ``try_send``; ``None`` if there is no limit.
    largest_batch: int | None = None
    #: One sender can have several destinations (substreams).
    several_destinations: bool = False
    #: A receiver learns that the senders are finished (:exc:`EndOfStream`).
    signals_end: bool = False
    #: Several senders may feed one receiver.
    several_senders: bool = False
    #: Endpoints offer a native handle beside their Python face.
    native: bool = False
    #: Streams keep their rates. Where a network is only simulated they need not: they send as fast as it goes.
    keeps_rate: bool = True


class _Endpoint:
    """The part of the contract that both directions share: one user at a time, and how to close.

    Parameters
    ----------
    url
        Where the endpoint is, without secrets.
    capabilities
        What it promises.
    """

    def __init__(self, url: str, capabilities: Capabilities) -> None:
        self._url = url
        self._capabilities = capabilities
        self._in_use = threading.Lock()
        self._closed = False
        self._released = False
        self._when_closed: deque[Callable[[], None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"{self!r} was never closed", ResourceWarning, source=self, stacklevel=2)
            self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url}{' closed' if self._closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    @property
    def capabilities(self) -> Capabilities:
        """What this endpoint promises: its transport's capabilities, unless a wrapper or the system changed them."""
        return self._capabilities

    @property
    def url(self) -> str:
        """Where this endpoint is, as a URL: with the address that the system gave it, if any was left open."""
        return self._url

    def close(self) -> None:
        """Give up the endpoint and wake whoever waits for it. Any thread, any number of times; never waits.

        Packets that were taken by ``try_send`` stay sent; those that ``try_recv`` did not hand out are discarded.
        """
        self._closed = True
        self._tell_closed()  # first, so that a counterpart does not take what is released for an end of the stream
        with self._in_use:
            if not self._released:
                self._released = True
                self._release_resources()

    def when_closed(self, callback: Callable[[], None]) -> None:
        """For engines that use a counterpart of this endpoint: call `callback` when this one is closed.

        It is called once, by whichever thread, which is now if the endpoint is closed already. It must not wait.
        """
        self._when_closed.append(callback)
        if self._closed:
            self._tell_closed()

    def _tell_closed(self) -> None:
        while True:
            try:
                callback = self._when_closed.popleft()
            except IndexError:
                return
            callback()

    def _release_resources(self) -> None:
        """For subclasses: close sockets and the like, and wake the readiness. Called once; nobody is inside."""
        raise NotImplementedError

    def native_handle(self) -> object | None:
        """For endpoints of native code: a PyCapsule that lets engines move packets without Python.

        Its content is described in ``spead_transport.h``, which the distribution ``spead-transport-fastpath`` brings.
        An engine that uses it does not call ``try_send`` or ``try_recv``, but closes this object in the end.
        """
        return None

    @contextmanager
    def _using(self) -> Iterator[None]:
        """For subclasses: wrap the body of ``try_send`` and ``try_recv``.

        Raises
        ------
        BusyError
            If another caller is inside.
        ClosedError
            If the endpoint was closed.
        """
        if not self._in_use.acquire(blocking=False):
            if self._closed:  # the other caller is in close()
                raise ClosedError("the endpoint is closed", url=self._url)
            raise BusyError("two callers at the same time", url=self._url)
        try:
            if self._closed:
                raise ClosedError("the endpoint is closed", url=self._url)
            yield
        finally:
            self._in_use.release()


class PacketSender(_Endpoint, ABC):
    """Takes packets. See the module's rules for who may call what."""

    @property
    @abstractmethod
    def writable(self) -> Readiness:
        """Reports that :meth:`try_send` may take packets again. The same object at every call."""

    @property
    def num_destinations(self) -> int:
        """How many destinations a batch may name."""
        return 1

    @abstractmethod
    def try_send(self, batch: PacketBatch) -> int:
        """Take packets from the front of `batch`, without waiting.

        The batch's memory is borrowed until the call returns: a transport that keeps packets copies them
        (:meth:`PacketBatch.copy`).

        Returns
        -------
        int
            How many packets were taken, 0 if there is no room now. As with ``sendmmsg(2)``, a failure at a later
            packet counts as "taken so far", and is raised by the next call, which starts with that packet. An empty
            packet can be taken and lost, but harms nothing.

        Raises
        ------
        ClosedError, BusyError
            See the module's rules.
        BrokenTransportError
            For an outside cause; the sender can only be closed.
        TransportError
            The first packet cannot be sent (it is too large, say), but others may be.
        ValueError
            If the sender has no such destination; the sender can be used further.
        """


class PacketReceiver(_Endpoint, ABC):
    """Hands out packets. See the module's rules for who may call what."""

    @property
    @abstractmethod
    def readable(self) -> Readiness:
        """Reports that :meth:`try_recv` may have packets, or an end. The same object at every call."""

    @abstractmethod
    def try_recv(self, limit: int) -> PacketBatch:
        """Hand out packets that have arrived, without waiting.

        The batch's memory is valid until the next call, :meth:`release` or :meth:`close`, unless the batch says
        that it is adoptable.

        Parameters
        ----------
        limit
            How many packets are wanted at most (> 0). A transport that receives many in one piece may exceed it.

        Returns
        -------
        PacketBatch
            Empty if nothing is there now.

        Raises
        ------
        EndOfStream
            After the last packet, at this and every later call.
        ClosedError, BusyError
            See the module's rules.
        BrokenTransportError
            For an outside cause; the receiver can only be closed.
        """

    def release(self) -> None:
        """Say that the memory of the last batch is no longer used. Optional to call, harmless to repeat."""

    def drops(self) -> dict[str, int]:
        """Packets that this endpoint saw or knows of and did not hand out, counted by reason."""
        return {}


ConfigT = TypeVar("ConfigT", bound=TransportConfig)


class Transport(ABC, Generic[ConfigT]):
    """A way to move packets, configured. Cheap to make: nothing is opened before ``open_…`` is called.

    Parameters
    ----------
    config
        An instance of the class's ``config_type``.
    """

    #: Version of the contract that the class was written for: a number, not a reference to `CONTRACT_VERSION`.
    contract: ClassVar[int]
    #: The first part of a URL; equal to the entry point's name.
    scheme: ClassVar[str]
    #: The attrs class of the options.
    config_type: ClassVar[type[TransportConfig]]
    capabilities: ClassVar[Capabilities]

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Transport) and self.config == other.config

    def __hash__(self) -> int:
        return hash((type(self), self.config))

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The transport that `url` describes.

        Raises
        ------
        ValueError
            If an option is unknown, malformed or out of range; the message names the part of the URL.
        """
        return cls(cls.config_type.from_url(url))  # type: ignore[arg-type]

    @classmethod
    def loopback_url(cls) -> str:
        """A URL to receive on, within this machine, that nobody else uses; for tests and trials.

        A different one at each call, or one that the system completes when it is opened (port 0).

        Raises
        ------
        NotImplementedError
            If there is no such thing: the transport needs hardware, say.
        """
        raise NotImplementedError(f"{cls.__name__} has no URL that could be tried on any machine")

    def channels(self, *, sending: bool) -> tuple[str, ...]:
        """Names of where packets go, one for each destination, or of where they come from.

        Two ends that reach each other have a name in common, so that another transport can be put in place of this
        one: see :mod:`spead_transport.transport.redirect`. By default it is the address.

        Parameters
        ----------
        sending
            Whether the names of the destinations are wanted, or those of the sources.
        """
        return (self.config.address_text,)

    @classmethod
    def for_channels(cls, names: Sequence[str]) -> Self:
        """The transport to put in place of another one that has these channels.

        It is on the sending side, with a destination for each name, or on the receiving one. Every receiver of a
        name gets all that is sent to it.

        Parameters
        ----------
        names
            At least one. Any text.

        Raises
        ------
        NotImplementedError
            If this transport cannot stand in for others.
        """
        raise NotImplementedError(f"{cls.scheme!r} cannot stand in for other transports")

    @classmethod
    def leftovers(cls) -> dict[str, str]:
        """What there is in this process apart from endpoints, such as named queues: what each is, by its URL.

        For tests, which should leave nothing behind. A transport that keeps everything in its endpoints has none.
        """
        return {}

    @property
    def url(self) -> str:
        """The configuration as a URL, for messages: without secrets, which ``config.to_url`` keeps."""
        return self.config.shown_url(self.scheme)

    @abstractmethod
    def open_sender(self) -> PacketSender:
        """A new sending endpoint.

        Raises
        ------
        TransportError
            If the system refuses: an address that does not resolve, a port in use …
        """

    async def open_sender_async(self) -> PacketSender:
        """Like :meth:`open_sender`, while the event loop goes on. For transports whose opening has to wait."""
        return self.open_sender()

    @abstractmethod
    def open_receiver(self) -> PacketReceiver:
        """A new receiving endpoint.

        Raises
        ------
        TransportError
            As for :meth:`open_sender`.
        """
