"""Streams in TOML: a table for each, with a ``url`` and options beside it.

An option is given by its plain name, or by ``part.name``, which TOML takes for a table within the table. Values may
be text as in a URL, with units; numbers; truth values; and lists, which are the same as text with commas.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..settings import Specification, StreamSpec
from ..transport.chain import address_of
from ..transport.given import Given, combine
from ..transport.units import format_quantity

__all__ = ["read_tables", "specification_of", "to_toml"]


def read_tables(path: Path, within: str) -> dict[str, Specification]:
    """What a file says of each of its streams.

    Parameters
    ----------
    path
        The file.
    within
        The table that holds those of the streams, with dots if it lies in others; empty if they are at the top.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no TOML, or has something else than tables where streams are expected; the message says where.
    """
    try:
        content: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: this is not TOML: {error}") from None
    for key in filter(None, within.split(".")):
        if not isinstance(content, dict) or key not in content:
            raise ValueError(f"{path}: there is no table [{within}]")
        content = content[key]
    prefix = f"{within}." if within else ""
    if not isinstance(content, dict):
        raise ValueError(f"{path}: {within} must be a table with a table for each stream")
    return {name: specification_of(table, f"{path}: [{prefix}{name}]") for name, table in content.items()}


def specification_of(table: object, place: str) -> Specification:
    """What one table says.

    Parameters
    ----------
    table
        What a TOML parser made of it.
    place
        Where it is, for messages.

    Raises
    ------
    ValueError
        If it is no table, or a value is of a type that no option has.
    """
    if not isinstance(table, dict):
        raise ValueError(f"{place}: expected a table, with the url and the options of a stream")
    url = table.get("url")
    if url is not None and not isinstance(url, str):
        raise ValueError(f"{place}: url: expected text such as 'udp://239.2.3.4:7148'")
    options = {name: Given(name, text, place) for name, text in _texts(table, place) if name != "url"}
    return Specification(place=place, options=options, url=url)


def _texts(table: Mapping[str, object], place: str) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from (
                (f"{name}.{option}", _text(inner, f"{place}: {name}.{option}")) for option, inner in value.items()
            )
        else:
            yield name, _text(value, f"{place}: {name}")


def _text(value: object, where: str) -> str:
    """A value as it would stand in a URL."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list() if not any(isinstance(member, list | dict) for member in value):
            return ",".join(_text(member, where) for member in value)
    named: dict[type, str] = {dict: "table", list: "list of lists or tables"}
    kind = named.get(type(value), type(value).__name__)
    raise ValueError(f"{where}: expected text, a number, true or false, or a list of those, not a {kind}")


def to_toml(spec: StreamSpec, name: str) -> str:
    """The table that says the same, secrets included.

    Parameters
    ----------
    spec
        A stream.
    name
        What the table is called.
    """
    lines = [f"[{_key(name)}]", f"url = {_quoted(address_of(spec.transport))}"]
    for option in combine(spec.parts()):
        part, dot, field = option.rpartition(".")
        lines.append(f"{part}{dot}{field} = {_value(spec, part, field)}")
    return "\n".join(lines) + "\n"


def _value(spec: StreamSpec, part: str, name: str) -> str:
    parts = spec.parts()
    options = parts[part] if part else next(each for each in parts.values() if name in each.fields())
    value = getattr(options, name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        text = format_quantity(value, options.fields()[name].metadata["unit"])
        return text if text == str(value) else _quoted(text)
    return _quoted(options.texts()[name])


def _quoted(text: str) -> str:
    # A string of JSON is one of TOML, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _quoted(name)
