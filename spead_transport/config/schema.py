"""A JSON Schema of configuration files, for editors and for checks elsewhere: it knows the installed transports."""

from __future__ import annotations

import enum
import re
import types
import typing
from contextlib import suppress
from typing import Any, Final, TypeAlias

import attrs

from ..errors import TransportLookupError
from ..settings import STREAM_PART, StreamSettings
from ..transport import WrapperTransport, get_transport_class, known_schemes
from ..transport.chain import AnyTransport
from ..transport.given import part_name
from ..transport.options import Options

__all__ = ["json_schema"]

Schema: TypeAlias = dict[str, Any]

_TRUTH: Final = ["1", "yes", "true", "on", "0", "no", "false", "off"]
#: A number, perhaps with a unit; what the unit may be is checked when the file is read.
_QUANTITY: Final = r"^\s*[-+]?[0-9._]+([eE][-+]?[0-9]+)?\s*[A-Za-zµ/]*\s*$"


def json_schema() -> Schema:
    """The schema (draft 2020-12), with the options of the transports that are installed and load."""
    classes = _loadable()
    definitions = {f"{STREAM_PART}.options": _options(STREAM_PART, StreamSettings)}
    conditions = []
    for scheme, cls in classes.items():
        name = f"{part_name(scheme)}.options"
        definitions[name] = _options(part_name(scheme), cls.config_type)
        pattern = _pattern(scheme, cls)
        conditions.append({"if": {"properties": {"url": {"pattern": pattern}}}, "then": {"$ref": f"#/$defs/{name}"}})
    # With alternatives, options may be those of a transport that is not installed here.
    conditions.append(
        {
            "if": {"properties": {"url": {"pattern": "^[^:]*,"}}, "required": ["url"]},
            "then": {"additionalProperties": True},
        }
    )
    stream = {
        "type": "object",
        "properties": {
            "url": {
                "description": "scheme://address; options may stand here or beside it",
                "type": "string",
                "pattern": "^[A-Za-z][A-Za-z0-9+.,-]*://",
            }
        },
        "allOf": [{"$ref": f"#/$defs/{STREAM_PART}.options"}, *conditions],
        "unevaluatedProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Streams of spead_transport",
        "description": "A table for each stream.",
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/stream"},
        "$defs": {"stream": stream, **definitions},
    }


def _loadable() -> dict[str, type[AnyTransport]]:
    """The installed transports without those that do not load; ``spead-transport transports`` says why."""
    classes = {}
    for scheme in known_schemes():
        with suppress(TransportLookupError):
            classes[scheme] = get_transport_class(scheme)
    return classes


def _pattern(scheme: str, cls: type) -> str:
    """URLs in whose scheme this one stands. A stream whose table has no URL can have any options."""
    after = r"\+" if issubclass(cls, WrapperTransport) else r"(,[A-Za-z0-9.+,-]*)?://"
    return rf"^([A-Za-z0-9.+,-]*[+,])?{re.escape(scheme)}{after}"


def _options(part: str, options: type[Options]) -> Schema:
    kinds = typing.get_type_hints(options)
    properties = {name: _option(field, kinds[name]) for name, field in options.fields().items()}
    by_part = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"properties": {**properties, part: by_part}}


def _option(field: attrs.Attribute[Any], kind: object) -> Schema:
    schema: Schema = {"description": field.metadata["help"]}
    if not field.metadata["secret"] and isinstance(field.default, bool | int | float | str):
        schema["default"] = field.default
    unit = field.metadata["unit"]
    if unit:
        schema["description"] += f" [{unit}]"
    return {**schema, **_type(kind)}


def _type(kind: object) -> Schema:
    if isinstance(kind, types.UnionType):
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        inner = [_type(member) for member in members]
        return {"anyOf": [*inner, {"const": ""}]}
    if typing.get_origin(kind) is typing.Literal:
        return {"enum": list(typing.get_args(kind))}
    if isinstance(kind, enum.EnumType):
        return {"enum": [name.lower() for name in kind.__members__]}
    if kind is bool:
        return {"anyOf": [{"type": "boolean"}, {"enum": _TRUTH}]}
    if kind is int or kind is float:
        return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": _QUANTITY}]}
    text = {"type": ["string", "number"]}
    return {"anyOf": [text, {"type": "array", "items": text}]}
