"""Whose options they are: values that somebody gave, and the parts of a stream that know options of those names.

A stream has several parts with options: its transport, the wrappers around it, and the stream itself. One rule says
which part a value is for: *a plain name is for every part that knows it; with a part's name and a dot before it, for
that part alone*. ``udp://…?max_packet_size=8972`` is the largest packet that is sent and the largest that is
received; ``…?stream.max_packet_size=8972`` leaves the transport's option of that name alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs

from .options import Options, unknown_name

__all__ = ["Given", "Giver", "assign", "combine", "names_of", "part_name"]


@attrs.frozen
class Given:
    """The text of an option, and where it was given."""

    #: As it was given: plain, or with its part.
    name: str
    text: str = attrs.field(repr=False)
    #: For messages: a URL, a table of a file, an environment variable.
    place: str

    @property
    def where(self) -> str:
        """What a message about it begins with."""
        return f"{self.place}: option {self.name!r}"


@attrs.frozen
class Giver:
    """What was given in one place, by plain name or by ``part.name``."""

    options: Mapping[str, Given]
    #: Names that are passed over if no part knows them: options of a transport that another giver replaced.
    optional: frozenset[str] = frozenset()


def part_name(scheme: str) -> str:
    """The name of a transport's part, such that it fits every face: ``my-transport`` is ``my_transport``."""
    return re.sub(r"[^a-z0-9]", "_", scheme.lower())


def assign(parts: Mapping[str, type[Options]], givers: Sequence[Giver]) -> dict[str, dict[str, Given]]:
    """For each part, the options that it was given.

    Parameters
    ----------
    parts
        The option classes by part.
    givers
        Who gave options; the first one counts most. Within one, ``part.name`` counts more than ``name``.

    Raises
    ------
    ValueError
        If a name is unknown to all parts; the message says where it was given.
    """
    known = names_of(parts)
    for giver in givers:
        for name in sorted(giver.options.keys() - known - giver.optional):
            raise ValueError(f"{giver.options[name].place}: {_unknown(name, parts, giver.optional)}")
    return {
        part: {name: given for name in options.fields() if (given := _find(part, name, givers)) is not None}
        for part, options in parts.items()
    }


def combine(parts: Mapping[str, Options]) -> dict[str, str]:
    """The texts by name that :func:`assign` takes apart again; what has its default is left out."""
    texts = {part: options.texts() for part, options in parts.items()}
    defaults = {part: options.default_texts() for part, options in parts.items()}
    combined: dict[str, str] = {}
    for name in dict.fromkeys(name for each in texts.values() for name in each):
        those = [part for part in parts if name in texts[part]]
        changed = [part for part in those if texts[part][name] != defaults[part][name]]
        if changed and len({texts[part][name] for part in those}) == 1:
            combined[name] = texts[those[0]][name]
        else:
            combined |= {f"{part}.{name}": texts[part][name] for part in changed}
    return combined


def names_of(parts: Mapping[str, type[Options]]) -> set[str]:
    """All names by which options of these parts can be given: plain ones, and those with a part."""
    plain = {name for options in parts.values() for name in options.fields()}
    return plain | {f"{part}.{name}" for part, options in parts.items() for name in options.fields()}


def _unknown(name: str, parts: Mapping[str, type[Options]], optional: frozenset[str]) -> str:
    part, dot, option = name.rpartition(".")
    if not dot:
        return unknown_name(name, optional.union(*(options.fields() for options in parts.values())))
    if part in parts:
        return f"{part}: {unknown_name(option, parts[part].fields())}"
    return f"in {name!r}, {part!r} is no part of this stream (its parts: {', '.join(parts)})"


def _find(part: str, name: str, givers: Sequence[Giver]) -> Given | None:
    for giver in givers:
        given = giver.options.get(f"{part}.{name}") or giver.options.get(name)
        if given is not None:
            return given
    return None
