"""Wrappers around transports: ``faults+udp://…``, and how a URL becomes a configured transport.

A wrapper is a transport whose endpoints stand around those of another one, and is found by its entry point like
any transport. It has options and no address: the options of the whole chain stand in one URL, and the rule of
:mod:`spead_transport.transport.given` tells them apart.

``ibverbs,udp://…`` names transports in order of preference: the first that is installed and loads is taken. Options
that only one of them has are given with its name, ``ibverbs.comp_vector=3``, and passed over if it is not the one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self, TypeAlias

from ..errors import TransportLookupError
from .contract import ConfigT, PacketReceiver, PacketSender, Transport
from .given import Given, Giver, assign, combine, part_name
from .options import Options, TransportConfig, hide_secrets, join_url, split_url
from .redirect import open_receiver, open_sender, open_sender_async
from .registry import get_transport_class, known_schemes

__all__ = [
    "Chain",
    "WrapperTransport",
    "address_of",
    "build",
    "chain_of",
    "find_chain",
    "parts_of",
    "passed_over",
    "shown_url",
    "transport_from_url",
    "url_of",
]

_log: Final = logging.getLogger("spead_transport")
AnyTransport: TypeAlias = Transport[TransportConfig]
#: The classes that a URL's scheme names, the outermost wrapper first, the transport itself last.
Chain: TypeAlias = tuple[type[AnyTransport], ...]


class WrapperTransport(Transport[ConfigT]):
    """A transport around another one: it changes, records or counts what passes.

    Subclasses state the same class variables as every transport; their configuration class has no address. Their
    ``capabilities`` are those that they leave of a perfect transport; the endpoints state the true ones. In
    ``open_sender`` and ``open_receiver`` they open the inner transport with :meth:`open_inner_sender` and
    :meth:`open_inner_receiver`, and put their own endpoint around it, which closes the inner one when it is closed;
    in ``open_sender_async`` with :meth:`open_inner_sender_async`, so that an inner transport that has to wait does
    not hold the event loop up.

    Parameters
    ----------
    config
        The wrapper's own options.
    inner
        What it wraps.
    """

    def __init__(self, config: ConfigT, inner: Transport[Any]) -> None:
        super().__init__(config)
        self.inner = inner

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and isinstance(other, WrapperTransport) and self.inner == other.inner

    def __hash__(self) -> int:
        return hash((super().__hash__(), self.inner))

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The wrapper that `url` describes, with what it wraps.

        Raises
        ------
        ValueError
            As for :func:`transport_from_url`, or if another transport stands first in the URL.
        """
        transport = transport_from_url(url)
        if not isinstance(transport, cls):
            raise ValueError(f"{transport.url}: expected {cls.scheme}+…://… for {cls.__name__}")
        return transport

    @property
    def url(self) -> str:
        return shown_url(self)

    def open_inner_sender(self) -> PacketSender:
        """A sending endpoint of the inner transport.

        Raises
        ------
        TransportError
            If the system refuses.
        """
        return open_sender(self.inner)

    async def open_inner_sender_async(self) -> PacketSender:
        """Like :meth:`open_inner_sender`, while the event loop goes on."""
        return await open_sender_async(self.inner)

    def open_inner_receiver(self) -> PacketReceiver:
        """A receiving endpoint of the inner transport.

        Raises
        ------
        TransportError
            If the system refuses.
        """
        return open_receiver(self.inner)


def find_chain(scheme: str, *, prefer: Mapping[str, str] | None = None) -> Chain:
    """The classes that `scheme` names: one, or several with ``+`` between them; or the first of alternatives.

    Raises
    ------
    ValueError
        If the schemes cannot stand together so.
    TransportLookupError
        As for :func:`get_transport_class`.
    """
    alternatives = scheme.lower().split(",")
    refusals: list[TransportLookupError] = []
    for alternative in alternatives:
        try:
            return _find_one_chain(alternative, prefer)
        except TransportLookupError as error:
            if len(alternatives) == 1:
                raise
            refusals.append(error)
            _log.info("%s: trying the next: %s", scheme, error.message)
    raise TransportLookupError(f"none of {scheme} can be used: {'; '.join(error.message for error in refusals)}")


def passed_over(scheme: str, chain: Chain, names: Iterable[str]) -> frozenset[str]:
    """Those of `names` that are for an alternative alone that `scheme` names and `chain` is not."""
    if "," not in scheme:
        return frozenset()
    parts = {part_name(member) for member in re.split("[+,]", scheme)} - parts_of(chain).keys()
    return frozenset(name for name in names if name.rpartition(".")[0] in parts)


def _find_one_chain(scheme: str, prefer: Mapping[str, str] | None) -> Chain:
    names = scheme.split("+") if "+" in scheme and scheme not in known_schemes() else [scheme]
    classes = tuple(get_transport_class(name, prefer=prefer) for name in names)
    for outer in classes[:-1]:
        if not issubclass(outer, WrapperTransport):
            raise ValueError(f"{scheme}: {outer.scheme!r} wraps no other transport, so it has to stand last")
    if issubclass(classes[-1], WrapperTransport):
        raise ValueError(
            f"{scheme}: {names[-1]!r} wraps another transport; say which, as in {names[-1]}+inproc://name"
        )
    if len(set(classes)) < len(classes):
        raise ValueError(f"{scheme}: a wrapper can stand once in a chain, so that its options are told apart")
    return classes


def parts_of(chain: Chain) -> dict[str, type[Options]]:
    """The option class of each part of a chain."""
    return {part_name(member.scheme): member.config_type for member in chain}


def build(chain: Chain, address: str, where: str, assigned: Mapping[str, Mapping[str, Given]]) -> AnyTransport:
    """The transport that a chain is, configured.

    Parameters
    ----------
    chain
        The classes.
    address
        What stands between ``scheme://`` and ``?``.
    where
        Where the address was given, for messages.
    assigned
        What :func:`assign` said.

    Raises
    ------
    ValueError
        If an option is malformed or out of range.
    """
    transport: AnyTransport | None = None
    for member in reversed(chain):
        given = assigned[part_name(member.scheme)]

        def place(name: str, given: Mapping[str, Given] = given) -> str:
            return given[name].where if name in given else where

        texts = {name: value.text for name, value in given.items()}
        if transport is None:
            transport = member(member.config_type.from_address(address, texts, place))
        else:
            assert issubclass(member, WrapperTransport)
            transport = member(member.config_type.from_texts(texts, place), transport)
    assert transport is not None
    return transport


def transport_from_url(url: str, *, prefer: Mapping[str, str] | None = None) -> AnyTransport:
    """The transport that `url` describes, configured; nothing is opened.

    Parameters
    ----------
    url
        ``scheme://address?option=value&…``; wrappers stand before the scheme: ``faults+udp://…``.
    prefer
        See :func:`get_transport_class`.

    Raises
    ------
    ValueError
        If the URL is malformed, or an option is unknown, malformed or out of range.
    TransportLookupError
        As for :func:`get_transport_class`; it is a :exc:`ValueError`, too.
    """
    scheme, address, texts = split_url(url)
    chain = find_chain(scheme, prefer=prefer)
    parts = parts_of(chain)
    secret = frozenset().union(*(options.secret_names() for options in parts.values()))
    where = hide_secrets(url, secret)
    given = {name: Given(name, text, where) for name, text in texts.items()}
    return build(chain, address, where, assign(parts, [Giver(given, passed_over(scheme, chain, given))]))


def chain_of(transport: Transport[Any]) -> Sequence[Transport[Any]]:
    """A transport and what it wraps, the outermost first."""
    members = [transport]
    while isinstance(members[-1], WrapperTransport):
        members.append(members[-1].inner)
    return members


def address_of(transport: Transport[Any]) -> str:
    """``scheme://address``, without any options."""
    return join_url(*_ends(transport))


def url_of(transport: Transport[Any], further: Mapping[str, Options] | None = None) -> str:
    """The URL that says the same, secrets included.

    Parameters
    ----------
    transport
        A transport.
    further
        Further parts whose options are to stand in it.
    """
    parts: dict[str, Options] = {part_name(member.scheme): member.config for member in chain_of(transport)}
    return join_url(*_ends(transport), combine({**parts, **(further or {})}))


def _ends(transport: Transport[Any]) -> tuple[str, str]:
    """The scheme and the address of a URL."""
    members = chain_of(transport)
    return "+".join(member.scheme for member in members), members[-1].config.address_text


def shown_url(transport: Transport[Any], further: Mapping[str, Options] | None = None) -> str:
    """Like :func:`url_of`, for messages: without secrets."""
    configs = [member.config for member in chain_of(transport)]
    secret = frozenset().union(*(config.secret_names() for config in configs))
    return hide_secrets(url_of(transport, further), secret)
