"""Options of a transport: one attrs class per transport, and the URL that says the same.

A configuration class derives from :class:`TransportConfig`, is ``attrs.frozen``, and makes each field with
:func:`option`. The field marked ``address=True`` is what stands between ``scheme://`` and ``?``; every other one is
``name=value`` after the ``?``.

Whatever the face that a value was given in (URL, file, environment), it arrives here as text, so that one parser
understands them all.
"""

from __future__ import annotations

import difflib
import enum
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, unquote

import attrs

from .units import parse_quantity, parse_whole

__all__ = ["HIDDEN", "Options", "TransportConfig", "hide_secrets", "join_url", "option", "split_url", "unknown_name"]

T = TypeVar("T")

#: Characters, beside letters and digits, that mean nothing in our URLs where addresses and values stand.
_UNQUOTED: Final = "/:@[]+,;*"
#: Stands for a secret in messages.
HIDDEN: Final = "***"
#: Names of options whose values are secrets, whatever the transport: it may be one that is not even installed.
_SECRET_NAME: Final = re.compile(r"passw|passphrase|secret|token|credential|api_?key|private_?key", re.IGNORECASE)
_PASSWORD_IN_MESSAGE: Final = re.compile(r":[^:@/\s]*@")
_PASSWORD: Final = re.compile(r"(://[^:@/?]*):.*@")


def option(
    default: T,
    help: str,
    *,
    unit: str = "",
    address: bool = False,
    secret: bool = False,
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
    secret
        The value appears in no message and no ``repr()``.
    converter
        Makes the field's value from what was given, the text in a URL included; the value's ``str()`` must give that
        text back. Without it, the field is a ``str``, ``bool``, ``int``, ``float`` or an enumeration (its members are
        given by name), or one of these or ``None``: an empty text is ``None``, and truth values are yes/no,
        true/false, on/off or 1/0.
    validator
        One attrs validator, or several.
    """
    metadata = {"help": help, "unit": unit, "address": address, "secret": secret}
    shown = (lambda _: HIDDEN) if secret else True
    return attrs.field(default=default, converter=converter, validator=validator, repr=shown, metadata=metadata)


def split_url(url: str) -> tuple[str, str, dict[str, str]]:
    """The scheme, the address and the options of a URL.

    Raises
    ------
    ValueError
        If there is no scheme, or an option is given twice or has no ``=``.
    """
    scheme, separator, rest = url.partition("://")
    try:
        url.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"{hide_secrets(url)!r}: character {error.start} is half of a surrogate pair") from None
    if not separator or not scheme:
        raise ValueError(f"{hide_secrets(url)!r}: expected a URL such as udp://127.0.0.1:7148 or inproc://name")
    address, _, query = rest.partition("?")
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        # RFC 3986: only %xx is an escape; that a + means a space is a custom of web forms.
        name, equals, value = map(_unquote, part.partition("="))
        if not name or not equals:
            raise ValueError(
                f"{hide_secrets(url)!r}: expected name=value&name=value after the '?', "
                f"not {hide_secrets(f'?{query}')[1:]!r}"
            )
        if name in options:
            raise ValueError(f"{hide_secrets(url)!r}: option {name!r} is given twice")
        options[name] = value
    return scheme.lower(), _unquote(address), options


def join_url(scheme: str, address: str, options: Mapping[str, str] = MappingProxyType({})) -> str:
    """The opposite of :func:`split_url`."""
    query = "&".join(f"{_quote(name)}={_quote(text)}" for name, text in options.items())
    return f"{scheme}://{_quote(address)}{'?' if query else ''}{query}"


# Bytes that are no UTF-8 can be part of file names: in text they are what os.fsdecode() makes of them (PEP 383).


def _quote(text: str) -> str:
    return quote(text, safe=_UNQUOTED, errors="surrogateescape")


def _unquote(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def hide_secrets(url: str, names: frozenset[str] = frozenset()) -> str:
    """`url`, malformed or not, without passwords: fit for messages.

    Parameters
    ----------
    url
        The URL.
    names
        Options whose values are secrets, beside those whose names say so.
    """
    head, mark, query = url.partition("?")
    parts = []
    for part in query.split("&"):
        name, equals, _ = part.partition("=")
        plain = unquote(name).rpartition(".")[2]
        secret = equals and (plain in names or _SECRET_NAME.search(plain))
        parts.append(f"{name}={HIDDEN}" if secret else part)
    return _PASSWORD.sub(rf"\1:{HIDDEN}@", head) + mark + "&".join(parts)


def unknown_name(name: str, known: Iterable[str]) -> str:
    """What to say of an option that does not exist."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, 1)
    suggestion = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown option {name!r}{suggestion} (known: {', '.join(names) or 'none'})"


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
    if isinstance(kind, enum.EnumType):
        return _member(text, kind)
    return text


def _truth(text: str) -> bool:
    if text.lower() in ("1", "yes", "true", "on", ""):
        return True
    if text.lower() in ("0", "no", "false", "off"):
        return False
    raise ValueError(f"expected yes or no, not {text!r}")


def _member(text: str, kind: enum.EnumType) -> object:
    members: dict[str, object] = {name.lower(): kind[name] for name in kind.__members__}
    if text.lower() not in members:
        raise ValueError(f"expected one of {', '.join(members)}, not {text!r}")
    return members[text.lower()]


def _to_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, enum.Enum):
        return value.name.lower()
    return str(value)


def _message(error: Exception) -> str:
    """attrs' validators give the field and the value too, behind the message."""
    return str(error.args[0]) if error.args else str(error)


@attrs.frozen
class Options:
    """Base class of options: of a transport's, and of a stream's."""

    @classmethod
    def fields(cls) -> dict[str, attrs.Attribute[Any]]:
        """The options by name, without the address."""
        return {field.name: field for field in attrs.fields(cls) if not field.metadata.get("address")}

    @classmethod
    def secret_names(cls) -> frozenset[str]:
        """Names of the options that are secrets."""
        return frozenset(name for name, field in cls.fields().items() if field.metadata.get("secret"))

    @classmethod
    def from_texts(cls, texts: Mapping[str, str], place: Callable[[str], str]) -> Self:
        """The options that texts give.

        Parameters
        ----------
        texts
            The text of each field that was given.
        place
            Where a field was given, to begin messages with; for the empty name, where all of them were.

        Raises
        ------
        ValueError
            If a text is malformed or a value out of range.
        """
        kinds = typing.get_type_hints(cls)
        fields = {field.name: field for field in attrs.fields(cls)}
        values: dict[str, object] = {}
        for name, text in texts.items():
            field = fields[name]
            try:
                unit = field.metadata.get("unit", "")
                values[name] = text if field.converter else _from_text(text, kinds[name], unit)
            except ValueError as error:
                raise cls._refusal(name, error, place) from None
        try:
            return cls(**values)
        except (ValueError, TypeError) as error:
            raise cls._refusal(cls._culprit(values), error, place) from None

    @classmethod
    def _culprit(cls, values: Mapping[str, object]) -> str:
        """Which of `values` is out of range by itself."""
        for name, value in values.items():
            try:
                cls(**{name: value})
            except (ValueError, TypeError):
                return name
        return ""

    @classmethod
    def _refusal(cls, name: str, error: Exception, place: Callable[[str], str]) -> ValueError:
        """An error without what might be a secret; nor may it be in the chain of causes."""
        if name in cls.secret_names() or _SECRET_NAME.search(name):
            return ValueError(f"{place(name)}: this value, a secret, cannot be used")
        message = _PASSWORD_IN_MESSAGE.sub(rf":{HIDDEN}@", _message(error))
        return ValueError(f"{place(name)}: {message}")

    @classmethod
    def default_texts(cls) -> dict[str, str]:
        """The text of each option's default."""
        return {name: _to_text(field.default) for name, field in cls.fields().items()}

    def texts(self) -> dict[str, str]:
        """The text of each option; :meth:`from_texts` understands it."""
        return {name: _to_text(getattr(self, name)) for name in self.fields()}


@attrs.frozen
class TransportConfig(Options):
    """Base class of every transport's options."""

    @classmethod
    def address_field(cls) -> attrs.Attribute[Any] | None:
        """The field that stands between ``scheme://`` and ``?``."""
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
        shown = hide_secrets(url, cls.secret_names())
        unknown = sorted(texts.keys() - cls.fields().keys())
        if unknown:
            raise ValueError(f"{shown}: {unknown_name(unknown[0], cls.fields())}")
        return cls.from_address(address, texts, lambda name: f"{shown}: option {name!r}" if name else shown)

    @classmethod
    def from_address(cls, address: str, texts: Mapping[str, str], place: Callable[[str], str]) -> Self:
        """Like :meth:`from_texts`, with the address too.

        Raises
        ------
        ValueError
            If a text is malformed, a value out of range, or there is an address and no field for it.
        """
        field = cls.address_field()
        if field is None:
            if address:
                raise ValueError(f"{place('')}: this transport takes no address")
            return cls.from_texts(texts, place)
        return cls.from_texts({**texts, field.name: address}, lambda name: place("" if name == field.name else name))

    @property
    def address_text(self) -> str:
        """What stands between ``scheme://`` and ``?``."""
        field = self.address_field()
        return "" if field is None else _to_text(getattr(self, field.name))

    def to_url(self, scheme: str) -> str:
        """The URL that says the same, secrets included; options that have their default are left out."""
        defaults = self.default_texts()
        return join_url(
            scheme,
            self.address_text,
            {name: text for name, text in self.texts().items() if text != defaults[name]},
        )

    def shown_url(self, scheme: str) -> str:
        """The same for messages and endpoints: without secrets."""
        return hide_secrets(self.to_url(scheme), self.secret_names())
