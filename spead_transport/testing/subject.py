"""The transport under test, and how to come by endpoints that are connected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..transport import Capabilities, PacketReceiver, PacketSender, Transport
from ..transport.chain import Chain, find_chain

__all__ = ["TransportUnderTest"]


class TransportUnderTest:
    """A transport, and where it can be tried on this machine.

    Override :meth:`receiver_url` and :meth:`sender_url` for a transport that needs more than they do.

    Parameters
    ----------
    transport
        The class.
    options
        Options of both ends, as in a URL: ``max_packets=7&mode=fanout``.
    """

    def __init__(self, transport: type[Transport[Any]], options: str = "") -> None:
        self.transport = transport
        self.options = options

    def __repr__(self) -> str:
        options = f", {self.options!r}" if self.options else ""
        return f"{type(self).__name__}({self.transport.__name__}{options})"

    def __str__(self) -> str:
        """What :meth:`of` calls it."""
        return f"{self.scheme}?{self.options}" if self.options else self.scheme

    @staticmethod
    def of(target: str | type[Transport[Any]] | TransportUnderTest) -> TransportUnderTest:
        """What `target` names.

        Parameters
        ----------
        target
            A transport's class; a scheme, alone (``udp``), behind wrappers (``faults+udp``), or with options
            (``inproc?max_packets=7``); or a whole URL to receive on.

        Raises
        ------
        TransportLookupError, ValueError
            If there is no such transport.
        """
        if isinstance(target, TransportUnderTest):
            return target
        if not isinstance(target, str):
            return TransportUnderTest(target)
        if "://" in target:
            return _AtUrl(target)
        scheme, _, options = target.partition("?")
        return _Chain(find_chain(scheme), options)

    @property
    def scheme(self) -> str:
        return self.transport.scheme

    @property
    def capabilities(self) -> Capabilities:
        return self.transport.capabilities

    def receiver_url(self) -> str:
        """A URL to receive on that nobody uses: another one at each call.

        Raises
        ------
        NotImplementedError
            If the transport has no ``loopback_url()``.
        """
        return _with_options(self.transport.loopback_url(), self.options)

    def sender_url(self, *receivers: PacketReceiver) -> str:
        """A URL of a sender that has these open receivers as its destinations, in this order.

        By default the first one's URL, with the addresses of all, separated by commas.
        """
        scheme, _, rest = receivers[0].url.partition("://")
        _, _, options = rest.partition("?")
        addresses = ",".join(receiver.url.partition("://")[2].partition("?")[0] for receiver in receivers)
        return f"{scheme}://{addresses}{'?' if options else ''}{options}"

    def open_receiver(self) -> PacketReceiver:
        """A receiver that nobody sends to yet."""
        return self.transport.from_url(self.receiver_url()).open_receiver()

    def open_sender(self, *receivers: PacketReceiver) -> PacketSender:
        """A sender to these open receivers."""
        return self.transport.from_url(self.sender_url(*receivers)).open_sender()

    @contextmanager
    def pair(self) -> Iterator[tuple[PacketSender, PacketReceiver]]:
        """A sender and the receiver that it sends to, until the end of the ``with`` block."""
        with self.open_receiver() as receiver, self.open_sender(receiver) as sender:
            yield sender, receiver

    @contextmanager
    def fan(self, destinations: int) -> Iterator[tuple[PacketSender, list[PacketReceiver]]]:
        """A sender and the receivers that are its destinations, until the end of the ``with`` block."""
        with ExitStack() as stack:
            receivers = [stack.enter_context(self.open_receiver()) for _ in range(destinations)]
            yield stack.enter_context(self.open_sender(*receivers)), receivers


def _with_options(url: str, options: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{options}" if options else url


class _Chain(TransportUnderTest):
    """A transport behind wrappers, or alone, where it can be tried on any machine."""

    def __init__(self, chain: Chain, options: str) -> None:
        super().__init__(chain[0], options)
        self._chain = chain

    def __str__(self) -> str:
        schemes = "+".join(member.scheme for member in self._chain)
        return f"{schemes}?{self.options}" if self.options else schemes

    def receiver_url(self) -> str:
        wrappers = "".join(f"{wrapper.scheme}+" for wrapper in self._chain[:-1])
        return _with_options(f"{wrappers}{self._chain[-1].loopback_url()}", self.options)


class _AtUrl(TransportUnderTest):
    """A transport at one address."""

    def __init__(self, url: str) -> None:
        super().__init__(find_chain(url.partition("://")[0])[0])
        self._url = url

    def __str__(self) -> str:
        return self._url

    def receiver_url(self) -> str:
        return self._url
