"""From what a user names to a transport and the settings of a stream over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ..transport import Transport, transport_from_url
from .spec import STREAM_PART, StreamSpec
from .stream_settings import StreamSettings

__all__ = ["Target", "as_spec", "as_transport", "common_settings"]

#: A URL, a configured transport, or one with the settings of a stream.
Target: TypeAlias = str | Transport[Any] | StreamSpec


def as_spec(target: Target) -> StreamSpec:
    """A transport with the settings of a stream over it, those that the URL gives and the defaults."""
    if isinstance(target, StreamSpec):
        return target
    return StreamSpec.from_url(target) if isinstance(target, str) else StreamSpec(target)


def as_transport(target: Target) -> Transport[Any]:
    """A transport for a stream that exists already.

    Raises
    ------
    ValueError
        If the stream's settings are given, too.
    """
    if isinstance(target, str):
        spec = StreamSpec.from_url(target)
        given = _given_to_stream(spec)
        if given:
            raise ValueError(
                f"{spec.url}: {given[0]!r} is for the stream, which exists already; give it where that is made"
            )
        return transport_from_url(target)
    return target.transport if isinstance(target, StreamSpec) else target


def common_settings(specs: Sequence[StreamSpec]) -> StreamSettings:
    """The settings of one stream that has all these transports.

    Raises
    ------
    ValueError
        If two of them give a setting different values.
    """
    given: dict[str, StreamSpec] = {}
    for spec in specs:
        for name in StreamSettings.fields():
            if f"{STREAM_PART}.{name}" not in spec.sources:
                continue
            first = given.setdefault(name, spec)
            if getattr(first.settings, name) != getattr(spec.settings, name):
                raise ValueError(
                    f"{first.url} and {spec.url} are for one stream, and give it different values for {name!r}"
                )
    return StreamSettings(**{name: getattr(spec.settings, name) for name, spec in given.items()})


def _given_to_stream(spec: StreamSpec) -> list[str]:
    """The settings that were given and that are not options of the transport, too."""
    names = [source.rpartition(".") for source in spec.sources]
    of_transport = {name for part, _, name in names if part != STREAM_PART}
    return [name for part, _, name in names if part == STREAM_PART and name not in of_transport]
