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
from ..transport import Transport, get_transport_class
from ..transport.chain import build, chain_of, find_chain, parts_of, shown_url, url_of
from ..transport.given import Given, Giver, assign, part_name
from ..transport.options import HIDDEN, Options, hide_secrets, split_url
from .stream_settings import StreamSettings

__all__ = ["STREAM_PART", "Specification", "StreamSpec", "merge"]

#: The name of the part that is the stream itself.
STREAM_PART: Final = "stream"


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
    #: From the URL, if there is one.
    scheme: str | None = attrs.field(default=None, init=False)
    address: str = attrs.field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        if self.url is None:
            return
        try:
            scheme, address, texts = split_url(self.url)
        except ValueError as error:
            raise ValueError(f"{self.place}: {error}" if self.place else str(error)) from None
        twice = sorted(self.options.keys() & texts.keys())
        if twice:
            raise ValueError(f"{self.options[twice[0]].where} is given in the URL, too; give it once")
        shown = self.shown_url
        where = f"{self.place}: {shown}" if self.place else shown
        given = {name: Given(name, text, where) for name, text in texts.items()}
        object.__setattr__(self, "options", {**self.options, **given})
        object.__setattr__(self, "scheme", scheme)
        object.__setattr__(self, "address", address)

    @property
    def shown_url(self) -> str:
        """The URL for messages."""
        return hide_secrets(self.url or "", _secret_names(self.scheme or (self.url or "").partition("://")[0]))


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

    def explain(self, *, defaults: bool = False) -> str:
        """Each value and where it came from, one on a line.

        Parameters
        ----------
        defaults
            Whether to list what has its default, too.
        """
        transport = "+".join(member.scheme for member in chain_of(self.transport))
        address = chain_of(self.transport)[-1].config.address_text
        rows = [("transport", hide_secrets(f"{transport}://{address}"), self.sources.get("url", "the program"))]
        for part, options in self.parts().items():
            for name, text in options.texts().items():
                source = self.sources.get(f"{part}.{name}")
                if source is None and text != options.default_texts()[name]:
                    source = "the program"
                if source is not None or defaults:
                    shown = HIDDEN if name in options.secret_names() else text
                    rows.append((f"{part}.{name}", shown, source or "default"))
        width = max(len(name) for name, _, _ in rows)
        return "\n".join(f"{name:{width}} = {text}  ({source})" for name, text, source in rows)


def merge(specifications: Sequence[Specification]) -> StreamSpec:
    """The stream that several givers say together, the first one counting most.

    Raises
    ------
    ValueError
        If none names a transport, or an option is unknown, malformed or out of range.
    TransportLookupError
        If there is no such transport.
    """
    naming = next((spec for spec in specifications if spec.scheme is not None), None)
    if naming is None or naming.scheme is None:
        places = ", ".join(spec.place for spec in specifications if spec.place) or "nobody"
        raise ValueError(f"{places}: expected a url, such as udp://239.2.3.4:7148, to say which transport to use")
    place = f"{naming.place}: {naming.shown_url}" if naming.place else naming.shown_url
    try:
        chain = find_chain(naming.scheme)
    except ValueError as error:
        raise _located(error, naming) from error.__cause__
    parts = {**parts_of(chain), STREAM_PART: StreamSettings}
    assigned = assign(parts, [Giver(spec.options, _foreign_names(spec, naming.scheme)) for spec in specifications])
    transport = build(chain, naming.address, place, assigned)
    of_stream = assigned[STREAM_PART]
    settings = StreamSettings.from_texts(
        {name: given.text for name, given in of_stream.items()}, lambda name: of_stream[name].where if name else place
    )
    sources = {f"{part}.{name}": given.place for part, those in assigned.items() for name, given in those.items()}
    sources["url"] = place
    return StreamSpec(transport, settings, sources)


def _foreign_names(spec: Specification, scheme: str) -> frozenset[str]:
    """The options of a transport that `spec` names and that is not used."""
    if spec.scheme is None or spec.scheme == scheme:
        return frozenset()
    parts = parts_of(find_chain(spec.scheme))
    plain = {name for options in parts.values() for name in options.fields()}
    return frozenset(plain | {f"{part}.{name}" for part, options in parts.items() for name in options.fields()})


def _secret_names(scheme: str) -> frozenset[str]:
    """Names of the secrets in a URL, as far as its transports are known."""
    names: frozenset[str] = frozenset()
    for member in scheme.lower().split("+"):
        try:
            names |= get_transport_class(member).config_type.secret_names()
        except TransportLookupError:
            continue  # whoever uses the URL is told so; until then the names of options tell secrets
    return names


def _located(error: ValueError, spec: Specification) -> ValueError:
    """The same error with the place where the scheme was given."""
    if not spec.place:
        return error
    if isinstance(error, TransportLookupError):
        return TransportLookupError(error.message, url=spec.place, hint=error.hint)
    return ValueError(f"{spec.place}: {error}")
