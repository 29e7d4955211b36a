"""Pointing whole programs at another transport from outside: the one place where transports are opened.

A *redirection* is a list of rules such as ``udp->inproc,tcp->inproc``. While one is in force, :func:`open_sender` and
:func:`open_receiver` open the other transport in place of the one they were given, with names that let the same ends
meet. A program that was written for a network is so tested without one, and without changing or patching it.

Every transport names its destinations and sources (:meth:`Transport.channels`), and one that can stand in for others
makes itself for such names (:meth:`Transport.for_channels`); no scheme is known here.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypeAlias

import attrs

from ..protocol.batch import PacketBatch
from .contract import PacketReceiver, PacketSender, Transport
from .options import TransportConfig
from .readiness import Readiness
from .registry import get_transport_class

__all__ = [
    "REDIRECT_VARIABLE",
    "RedirectedReceiver",
    "RedirectedSender",
    "Redirection",
    "open_receiver",
    "open_sender",
    "open_sender_async",
    "redirected",
]

#: Environment variable that holds the rules of a redirection for the whole process.
REDIRECT_VARIABLE: Final = "SPEAD_TRANSPORT_REDIRECT"

_AnyTransport: TypeAlias = Transport[TransportConfig]
_END: Final = re.compile(r"([a-z][a-z0-9+.-]*)(?:://(.*))?")
_serial = itertools.count(1)


@attrs.frozen
class Rule:
    """One rule: ``scheme->scheme``, or ``scheme://channel->scheme://channel``.

    A ``*`` in the first channel stands for any text, one in the second for the whole name of the channel.
    """

    source_scheme: str
    source_channel: str
    target_scheme: str
    target_channel: str

    @classmethod
    def parse(cls, text: str) -> Rule:
        source, arrow, target = (part.strip() for part in text.partition("->"))
        ends = [_END.fullmatch(source), _END.fullmatch(target)]
        if not arrow or None in ends or "?" in text:
            raise ValueError(
                f"expected rules such as udp->inproc or udp://239.2.3.4:*->inproc://name, with commas between them, "
                f"not {text!r}"
            )
        (source_scheme, source_channel), (target_scheme, target_channel) = (end.groups() for end in ends if end)
        return cls(source_scheme, source_channel or "*", target_scheme, target_channel or f"{source_scheme}:*")

    def apply(self, scheme: str, channel: str) -> str | None:
        """The name that stands for `channel`; ``None`` if the rule is not about it."""
        pattern = ".*".join(map(re.escape, self.source_channel.split("*")))
        if scheme != self.source_scheme or not re.fullmatch(pattern, channel):
            return None
        return self.target_channel.replace("*", channel)


@attrs.define(eq=False)
class Redirection:
    """Rules, and what was opened because of them.

    Parameters
    ----------
    text
        Rules as in ``SPEAD_TRANSPORT_REDIRECT``.
    origin
        Who gave them, for messages.
    prefix
        Begins the name of every channel.

    Raises
    ------
    ValueError
        If a rule is malformed.
    """

    text: str
    origin: str
    prefix: str = ""
    rules: tuple[Rule, ...] = attrs.field(init=False)
    _opened: set[_AnyTransport] = attrs.field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        try:
            self.rules = tuple(Rule.parse(part) for part in self.text.split(",") if part.strip())
        except ValueError as error:
            raise ValueError(f"{self.origin}: {error}") from None

    def replace(self, transport: Transport[Any], *, sending: bool) -> _AnyTransport | None:
        """What to open in place of `transport`; ``None`` if the rules are not about it.

        Raises
        ------
        ValueError
            If some of its channels are redirected and others not or to another scheme, or if the other transport
            cannot stand in.
        """
        if all(rule.source_scheme != transport.scheme for rule in self.rules):
            return None
        channels = transport.channels(sending=sending)
        targets = [self._target(transport.scheme, channel) for channel in channels]
        schemes = {None if target is None else target[0] for target in targets}
        if schemes == {None}:
            return None
        if len(schemes) > 1:
            raise ValueError(
                f"{self.origin}: the channels of {transport.url} ({', '.join(channels)}) are one transport, "
                f"and the rules {self.text} are not the same for all of them"
            )
        scheme = next(scheme for scheme in schemes if scheme is not None)
        names = [f"{self.prefix}{target[1]}" for target in targets if target is not None]
        try:
            target = get_transport_class(scheme).for_channels(names)
        except NotImplementedError as error:
            raise ValueError(f"{self.origin}: {error}") from None
        self._opened.add(target)
        return target

    def discard(self) -> None:
        """Throw away what nobody received."""
        for transport in self._opened:
            transport.open_receiver().close()
        self._opened.clear()

    def _target(self, scheme: str, channel: str) -> tuple[str, str] | None:
        for rule in self.rules:
            name = rule.apply(scheme, channel)
            if name is not None:
                return rule.target_scheme, name
        return None


# Those of redirected(), the innermost first. Replaced as a whole, so that any thread can read it without the lock.
_in_force: tuple[Redirection, ...] = ()
_in_force_lock = threading.Lock()


@contextmanager
def redirected(rules: str) -> Iterator[Redirection]:
    """Have transports that are opened meanwhile, by any thread, redirected.

    The names are this redirection's own: nothing meets what was opened before or is opened later. What nobody
    received is thrown away at the end.

    Parameters
    ----------
    rules
        Such as ``udp->inproc,tcp->inproc``; they count more than those that are in force.

    Raises
    ------
    ValueError
        If a rule is malformed.
    """
    global _in_force
    redirection = Redirection(rules, f"redirected({rules!r})", prefix=f"{next(_serial)}/")
    with _in_force_lock:
        _in_force = (redirection, *_in_force)
    try:
        yield redirection
    finally:
        with _in_force_lock:
            _in_force = tuple(other for other in _in_force if other is not redirection)
        redirection.discard()


def open_sender(transport: Transport[Any]) -> PacketSender:
    """Open a transport to send, or the one that a redirection puts in its place.

    Raises
    ------
    TransportError
        If the system refuses.
    ValueError
        If a redirection is malformed or impossible.
    """
    target = _replacement(transport, sending=True)
    return transport.open_sender() if target is None else RedirectedSender(target.open_sender())


async def open_sender_async(transport: Transport[Any]) -> PacketSender:
    """Like :func:`open_sender`, while the event loop goes on."""
    target = _replacement(transport, sending=True)
    if target is None:
        return await transport.open_sender_async()
    return RedirectedSender(await target.open_sender_async())


def open_receiver(transport: Transport[Any]) -> PacketReceiver:
    """Open a transport to receive, or the one that a redirection puts in its place.

    Raises
    ------
    TransportError, ValueError
        As for :func:`open_sender`.
    """
    target = _replacement(transport, sending=False)
    if target is None:
        return transport.open_receiver()
    with ExitStack() as undo:
        receiver = undo.enter_context(target.open_receiver())
        # Where the ends of senders go unnoticed, as on a network, a sender that stays keeps the end from coming.
        keeper = None if transport.capabilities.signals_end else undo.enter_context(target.open_sender())
        undo.pop_all()
    return RedirectedReceiver(receiver, keeper)


def _replacement(transport: Transport[Any], *, sending: bool) -> _AnyTransport | None:
    for redirection in (*_in_force, *_from_environment()):
        target = redirection.replace(transport, sending=sending)
        if target is not None:
            return target
    return None


def _from_environment() -> Sequence[Redirection]:
    text = os.environ.get(REDIRECT_VARIABLE)
    return [Redirection(text, f"{REDIRECT_VARIABLE}={text}")] if text else []


class RedirectedSender(PacketSender):
    """Another transport's sender, on which streams do not keep their rates: the network is only simulated."""

    def __init__(self, inner: PacketSender) -> None:
        super().__init__(inner.url, attrs.evolve(inner.capabilities, keeps_rate=False))
        self._inner = inner

    @property
    def inner(self) -> PacketSender:
        """The sender that is really there."""
        return self._inner

    @property
    def writable(self) -> Readiness:
        return self._inner.writable

    @property
    def num_destinations(self) -> int:
        return self._inner.num_destinations

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            return self._inner.try_send(batch)

    def _release_resources(self) -> None:
        self._inner.close()


class RedirectedReceiver(PacketReceiver):
    """Another transport's receiver, and a sender that keeps it from ending."""

    def __init__(self, inner: PacketReceiver, keeper: PacketSender | None) -> None:
        super().__init__(inner.url, attrs.evolve(inner.capabilities, signals_end=keeper is None))
        self._inner = inner
        self._keeper = keeper

    @property
    def inner(self) -> PacketReceiver:
        """The receiver that is really there."""
        return self._inner

    @property
    def readable(self) -> Readiness:
        return self._inner.readable

    def try_recv(self, limit: int) -> PacketBatch:
        with self._using():
            return self._inner.try_recv(limit)

    def release(self) -> None:
        self._inner.release()

    def drops(self) -> dict[str, int]:
        return self._inner.drops()

    def _release_resources(self) -> None:
        if self._keeper is not None:
            self._keeper.close()
        self._inner.close()
