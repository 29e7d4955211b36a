"""Options of a transport: one attrs class per transport, and the URL that says the same.

A configuration class derives from :class:`TransportConfig`, is ``attrs.frozen``, and makes each field with
:func:`option`. The field marked ``address=True`` is what stands between ``scheme://`` and ``?``; every other one is
``name=value`` after the ``?``.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Callable
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, unquote

import attrs

from .units import parse_quantity, parse_whole

__all__ = ["TransportConfig", "option", "split_url"]

T = TypeVar("T")

#: Characters, beside letters and digits, that mean nothing in our URLs where addresses and values stand.
_UNQUOTED: Final = "/:@[]+,;*"


def option(
    default: T,
    help: str,
    *,
    unit: str = "",
    address: bool = False,
    converter: Callable[[Any], T] | None = None,
    validator: Any = None,
) -> T:
    """One option of a transport, as an attrs field.

    Parameters
    ----------
    default
        Value if the option is not given.
    help
        One line for users.
    unit
        What a number counts. With ``"bytes"``, ``"bytes/s"`` and ``"seconds"`` it may be given in other units of the
        same kind; any other word, such as ``"packets"``, is there for readers.
    address
        This is the part of the URL between ``scheme://`` and ``?``. Its converter must accept that text, and
        the value's ``str()`` must give it back.
    converter
        Makes the field's value from what was given, the text in a URL included; the value's ``str()`` must give that
        text back. Without it, the field is a ``str``, ``bool``, ``int`` or ``float``, or one of these or ``None``: an
        empty text is ``None``, and truth values are yes/no, true/false, on/off or 1/0.
    validator
        One attrs validator, or several.
    """
    metadata = {"help": help, "unit": unit, "address": address}
    return attrs.field(default=default, converter=converter, validator=validator, metadata=metadata)


def split_url(url: str) -> tuple[str, str, dict[str, str]]:
    """The scheme, the address and the options of a URL.

    Raises
    ------
    ValueError
        If there is no scheme, or an option is given twice or has no ``=``.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not scheme:
        raise ValueError(f"{url!r}: expected a URL such as udp://127.0.0.1:7148 or inproc://name")
    address, _, query = rest.partition("?")
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        # RFC 3986: only %xx is an escape; that a + means a space is a custom of web forms.
        name, equals, value = map(unquote, part.partition("="))
        if not name or not equals:
            raise ValueError(f"{url!r}: expected name=value&name=value after the '?', not {query!r}")
        if name in options:
            raise ValueError(f"{url!r}: option {name!r} is given twice")
        options[name] = value
    return scheme.lower(), unquote(address), options


def _unknown_option(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    suggestion = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown option {name!r}{suggestion} (known: {', '.join(known) or 'none'})"


def _from_text(text: str, kind: object, unit: str) -> object:
    """Convert an option's text to the field's type, when the field has no converter of its own."""
    if isinstance(kind, types.UnionType):  # "T | None": an empty text is None
        if not text:
            return None
        kind = next(member for member in typing.get_args(kind) if member is not type(None))
    if kind is bool:
        return _truth(text)
    if kind is int:
        return parse_whole(text, unit)
    if kind is float:
        return parse_quantity(text, unit)
    return text


def _truth(text: str) -> bool:
    if text.lower() in ("1", "yes", "true", "on", ""):
        return True
    if text.lower() in ("0", "no", "false", "off"):
        return False
    raise ValueError(f"expected yes or no, not {text!r}")


def _to_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


@attrs.frozen
class TransportConfig:
    """Base class of every transport's options."""

    @classmethod
    def _address_field(cls) -> attrs.Attribute[Any] | None:
        return next((field for field in attrs.fields(cls) if field.metadata.get("address")), None)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The options that `url` gives.

        Raises
        ------
        ValueError
            If an option is unknown, malformed or out of range; the message names it and the URL.
        """
        _, address, texts = split_url(url)
        address_field = cls._address_field()
        kinds = typing.get_type_hints(cls)
        fields = {field.name: field for field in attrs.fields(cls) if field is not address_field}
        values: dict[str, object] = {}
        for name, text in texts.items():
            if name not in fields:
                raise ValueError(f"{url}: {_unknown_option(name, sorted(fields))}")
            field = fields[name]
            try:
                values[name] = text if field.converter else _from_text(text, kinds[name], field.metadata["unit"])
            except ValueError as error:
                raise ValueError(f"{url}: option {name!r}: {error}") from error
        if address_field is not None:
            values[address_field.name] = address
        elif address:
            raise ValueError(f"{url}: this transport takes no address")
        try:
            return cls(**values)
        except (ValueError, TypeError) as error:
            # attrs' validators give the field and the value too, behind the message.
            raise ValueError(f"{url}: {error.args[0] if error.args else error}") from error

    def to_url(self, scheme: str) -> str:
        """The URL that says the same; options that have their default are left out."""
        address_field = self._address_field()
        address = "" if address_field is None else str(getattr(self, address_field.name))
        query = "&".join(
            f"{quote(field.name)}={quote(text, safe=_UNQUOTED)}"
            for field in attrs.fields(type(self))
            if field is not address_field and (text := _to_text(getattr(self, field.name))) != _to_text(field.default)
        )
        return f"{scheme}://{quote(address, safe=_UNQUOTED)}{'?' if query else ''}{query}"
