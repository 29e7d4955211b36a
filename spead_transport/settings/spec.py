"""A stream in text: the URL that says everything, and the same merged from several places.

Whoever gives something is a :class:`Specification`: a URL, a table of a file, the environment. They are merged value
by value, the first one counting most. The one that names the transport decides about it: options that another one
gave for a transport of another scheme have no effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import attrs

from ..errors import TransportLookupError
from ..transport import Transport
from ..transport.chain import Chain, address_of, build, chain_of, find_chain, parts_of, passed_over, shown_url, url_of
from ..transport.given import Given, Giver, assign, names_of, part_name
from ..transport.options import HIDDEN, Options, hide_secrets, split_url
from .stream_settings import StreamSettings

__all__ = ["STREAM_PART", "Specification", "StreamSpec", "Value", "merge"]

#: The name of the part that is the stream itself.
STREAM_PART: Final = "stream"
_DEFAULT: Final = "default"
_PROGRAM: Final = "the program"


@attrs.frozen(kw_only=True)
class Specification:
    """What one giver says of a stream.

    Parameters
    ----------
    place
        Where it is, for messages; empty for a URL by itself.
    options
        Options by plain name or ``part.name``.
    url
        A URL, which may have options too; none of them twice.

    Raises
    ------
    ValueError
        If the URL is malformed, or an option is given in it and beside it.
    """

    place: str
    options: Mapping[str, Given] = attrs.field(factory=dict)
    url: str | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.url is None:
            return
        try:
            _, _, texts = split_url(self.url)
        except ValueError as error:
            raise ValueError(f"{self.place}: {error}" if self.place else str(error)) from None
        twice = sorted(self.options.keys() & texts.keys())
        if twice:
            raise ValueError(f"{self.options[twice[0]].where} is given in the URL, too; give it once")


@attrs.frozen
class Value:
    """A value of a stream, for people."""

    #: ``part.name``, or ``transport``.
    name: str
    text: str
    #: Where it was given; "default" if nowhere, "the program" if not in text.
    source: str


@attrs.frozen
class StreamSpec:
    """A transport and the settings of a stream over it.

    Parameters
    ----------
    transport
        The transport, configured.
    settings
        The stream's settings.
    sources
        Where each value was given, by ``part.name``; ``url`` for the transport and its address. What is missing has
        its default.
    """

    transport: Transport[Any]
    settings: StreamSettings = attrs.field(factory=StreamSettings)
    sources: Mapping[str, str] = attrs.field(factory=dict, eq=False, repr=False)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """What `url` says.

        Raises
        ------
        ValueError
            If the URL is malformed, or an option is unknown, malformed or out of range.
        TransportLookupError
            If there is no such transport.
        """
        spec = merge([Specification(place="", url=url)])
        return cls(spec.transport, spec.settings, spec.sources)

    def to_url(self) -> str:
        """The URL that says the same, secrets included."""
        return url_of(self.transport, {STREAM_PART: self.settings})

    @property
    def url(self) -> str:
        """The same for messages: without secrets."""
        return shown_url(self.transport, {STREAM_PART: self.settings})

    def parts(self) -> dict[str, Options]:
        """The options of each part: the wrappers, the transport, the stream."""
        members = {part_name(member.scheme): member.config for member in chain_of(self.transport)}
        return {**members, STREAM_PART: self.settings}

    def values(self, *, defaults: bool = False) -> list[Value]:
        """Each value and where it came from, the transport first.

        Parameters
        ----------
        defaults
            Whether to list what has its default, too.
        """
        values = [Value("transport", hide_secrets(address_of(self.transport)), self.sources.get("url", _PROGRAM))]
        for part, options in self.parts().items():
            default_texts = options.default_texts()
            for name, text in options.texts().items():
                source = self.sources.get(f"{part}.{name}", _DEFAULT if text == default_texts[name] else _PROGRAM)
                if source != _DEFAULT or defaults:
                    shown = HIDDEN if name in options.secret_names() else text
                    values.append(Value(f"{part}.{name}", shown, source))
        return values

    def explain(self, *, defaults: bool = False) -> str:
        """The same to print, each on a line."""
        values = self.values(defaults=defaults)
        width = max(len(value.name) for value in values)
        return "\n".join(f"{value.name:{width}} = {value.text}  ({value.source})" for value in values)


def merge(specifications: Sequence[Specification]) -> StreamSpec:
    """The stream that several givers say together, the first one counting most.

    Raises
    ------
    ValueError
        If none names a transport, or an option is unknown, malformed or out of range.
    TransportLookupError
        If there is no such transport.
    """
    resolved = [_Resolved.of(spec) for spec in specifications]
    naming = next((each for each in resolved if each.scheme), None)
    if naming is None:
        places = ", ".join(spec.place for spec in specifications if spec.place) or "nobody"
        raise ValueError(f"{places}: expected a url, such as udp://239.2.3.4:7148, to say which transport to use")
    if naming.error is not None:
        raise naming.error from naming.error.__cause__
    parts = {**parts_of(naming.chain), STREAM_PART: StreamSettings}
    replaced = _replaced_names(resolved, naming.scheme)
    others = passed_over(naming.scheme, naming.chain, (name for each in resolved for name in each.options))
    givers = [Giver(each.options, others if each is naming else others | replaced) for each in resolved]
    assigned = assign(parts, givers)
    transport = build(naming.chain, naming.address, naming.where, assigned)
    of_stream = assigned[STREAM_PART]
    settings = StreamSettings.from_texts(
        {name: given.text for name, given in of_stream.items()},
        lambda name: of_stream[name].where if name else naming.where,
    )
    sources = {f"{part}.{name}": given.place for part, those in assigned.items() for name, given in those.items()}
    sources["url"] = naming.where
    return StreamSpec(transport, settings, sources)


@attrs.frozen
class _Resolved:
    """What one giver says, with the URL taken apart and its transport looked up."""

    options: Mapping[str, Given]
    #: Where the transport was given, for messages.
    where: str = ""
    #: Empty if there is no URL.
    scheme: str = ""
    address: str = ""
    chain: Chain = ()
    #: Why there is no chain although there is a scheme.
    error: ValueError | None = None

    @classmethod
    def of(cls, spec: Specification) -> Self:
        if spec.url is None:
            return cls(spec.options)
        scheme, address, texts = split_url(spec.url)
        chain: Chain = ()
        error = None
        try:
            chain = find_chain(scheme)
            shown = hide_secrets(spec.url, frozenset().union(*(each.config_type.secret_names() for each in chain)))
        except ValueError as refusal:
            shown = hide_secrets(spec.url.partition("?")[0])  # which options are secrets is not known
            error = _located(refusal, spec.place)
        where = f"{spec.place}: {shown}" if spec.place else shown
        given = {name: Given(name, text, where) for name, text in texts.items()}
        return cls({**spec.options, **given}, where, scheme, address, chain, error)


def _replaced_names(resolved: Sequence[_Resolved], scheme: str) -> frozenset[str]:
    """The options of transports that are named and not used."""
    names: set[str] = set()
    for each in resolved:
        if each.error is not None:  # it is not here, so its options are not known; whoever uses it is told
            names.update(*(other.options for other in resolved))
        elif each.scheme and each.scheme != scheme:
            names.update(names_of(parts_of(each.chain)))
    return frozenset(names)


def _located(error: ValueError, place: str) -> ValueError:
    """The same error with the place where the scheme was given."""
    if not place:
        return error
    if isinstance(error, TransportLookupError):
        located: ValueError = TransportLookupError(error.message, url=place, hint=error.hint)
    else:
        located = ValueError(f"{place}: {error}")
    located.__cause__ = error.__cause__
    return located
