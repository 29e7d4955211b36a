"""Streams in the environment: ``SPEAD_TRANSPORT_<STREAM>_URL``, and ``SPEAD_TRANSPORT_<STREAM>_<OPTION>`` beside it.

Names are in capitals, with ``_`` for what is no letter or digit, and ``__`` for the dot of ``part.name``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ..settings import Specification, StreamSpec
from ..transport.chain import address_of
from ..transport.given import Given, combine

__all__ = [
    "CONFIG_VARIABLE",
    "specification_in_environment",
    "streams_in_environment",
    "to_environment",
    "variable_prefix",
]

#: Environment variable with the path of the configuration file, if the program does not name one.
CONFIG_VARIABLE: Final = "SPEAD_TRANSPORT_CONFIG"
_PREFIX: Final = "SPEAD_TRANSPORT_"
_URL: Final = "URL"


def variable_prefix(stream: str) -> str:
    """What the names of a stream's variables begin with."""
    return f"{_PREFIX}{re.sub('[^A-Za-z0-9]', '_', stream).upper()}_"


def streams_in_environment(environ: Mapping[str, str]) -> list[str]:
    """Names of the streams whose URL is given, in small letters."""
    pattern = re.compile(rf"{_PREFIX}(.+)_{_URL}")
    return [match[1].lower() for match in map(pattern.fullmatch, sorted(environ)) if match]


def specification_in_environment(stream: str, streams: Iterable[str], environ: Mapping[str, str]) -> Specification:
    """What the environment says of a stream.

    Parameters
    ----------
    stream
        Its name.
    streams
        All streams: a variable belongs to the one with the longest name that fits.
    environ
        The environment.

    Raises
    ------
    ValueError
        If the URL is malformed, or has an option that has a variable, too.
    """
    prefix = variable_prefix(stream)
    longer = [other for other in map(variable_prefix, streams) if other.startswith(prefix) and other != prefix]
    names = {
        variable: variable.removeprefix(prefix).lower().replace("__", ".")
        for variable in sorted(environ)
        if variable.startswith(prefix) and not any(variable.startswith(other) for other in longer)
    }
    url_variable = f"{prefix}{_URL}"
    options = {
        name: Given(name, environ[variable], variable) for variable, name in names.items() if variable != url_variable
    }
    return Specification(place=url_variable, options=options, url=environ.get(url_variable))


def to_environment(spec: StreamSpec, name: str) -> dict[str, str]:
    """The variables that say the same, secrets included.

    Parameters
    ----------
    spec
        A stream.
    name
        Its name.
    """
    prefix = variable_prefix(name)
    options = {f"{prefix}{option.replace('.', '__').upper()}": text for option, text in combine(spec.parts()).items()}
    return {f"{prefix}{_URL}": address_of(spec.transport), **options}
