"""``spead-transport transports``."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from typing import Any, TypeAlias

import attrs
import click

from ..settings import StreamSettings
from ..transport import Capabilities, InstalledTransport, WrapperTransport, get_transport_class, installed_transports
from ..transport.options import Options
from .output import print_columns, print_json

__all__ = ["transports"]

#: What JSON is made of.
Description: TypeAlias = dict[str, Any]


@click.command()
@click.argument("scheme", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def transports(scheme: str | None, as_json: bool) -> None:
    """List the installed transports, with their options. With SCHEME only those of that name.

    Exits with 1 if there is none, or one that does not load.
    """
    found = [each for each in installed_transports() if scheme in (None, each.scheme)]
    if not found:
        get_transport_class(scheme or "")  # which raises the error that tells what is known
    described = [_describe(each) for each in found]
    if as_json:
        print_json({"transports": described, "stream": _options(StreamSettings)})
    else:
        for description in described:
            _print(description)
        click.echo("Every URL may have the settings of the stream, too:")
        _print_options(_options(StreamSettings))
    broken = [each.scheme for each in found if each.error is not None]
    if broken:
        raise click.ClickException(f"cannot be used: {', '.join(broken)}")


def _describe(installed: InstalledTransport) -> Description:
    description: Description = {
        "scheme": installed.scheme,
        "distribution": installed.distribution,
        "version": installed.version,
        "class": installed.class_path,
        "error": None if installed.error is None else str(installed.error),
    }
    if installed.error is not None:
        return description
    cls = get_transport_class(installed.scheme, prefer={installed.scheme: installed.distribution})
    address = cls.config_type.address_field()
    return description | {
        "summary": inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].replace("\n", " "),
        "wrapper": issubclass(cls, WrapperTransport),
        "contract": cls.contract,
        "capabilities": attrs.asdict(cls.capabilities),
        "address": None if address is None else address.metadata["help"],
        "options": _options(cls.config_type),
    }


def _options(options: type[Options]) -> list[Description]:
    kinds = typing.get_type_hints(options)
    defaults = options.default_texts()
    return [
        {
            "name": name,
            "type": _kind(kinds[name]),
            "unit": field.metadata["unit"] or None,
            "default": None if field.metadata["secret"] else defaults[name],
            "secret": field.metadata["secret"],
            "help": field.metadata["help"],
        }
        for name, field in options.fields().items()
    ]


def _kind(kind: object) -> str:
    """A type as users call it."""
    if isinstance(kind, types.UnionType):
        return " or ".join("empty" if member is type(None) else _kind(member) for member in typing.get_args(kind))
    if typing.get_origin(kind) is typing.Literal:
        return "|".join(map(str, typing.get_args(kind)))
    if isinstance(kind, enum.EnumType):
        return "|".join(name.lower() for name in kind.__members__)
    names: dict[object, str] = {bool: "yes|no", int: "whole number", float: "number"}
    return names.get(kind, "text")


# ---------------------------------------------------------------------------------------------------------- printing


def _print(description: Description) -> None:
    scheme, distribution, version = (description[key] for key in ("scheme", "distribution", "version"))
    click.echo(f"{scheme}  ({distribution} {version}, {description['class']})")
    if description["error"] is not None:
        click.echo(f"  cannot be used: {description['error']}\n")
        return
    rows = [("", description["summary"])]
    if description["wrapper"]:
        rows.append(("", f"stands before another transport, and changes what that one promises: {scheme}+udp://…"))
    else:
        rows.append(("", _promises(Capabilities(**description["capabilities"]))))
    if description["address"] is not None:
        rows.append(("", f"{scheme}://ADDRESS: {description['address']}"))
    print_columns(rows, 0)
    _print_options(description["options"])


def _promises(capabilities: Capabilities) -> str:
    reach = {"process": "within a process", "host": "within a host", "network": "over networks"}
    words = ["may lose packets" if capabilities.lossy else "loses nothing"]
    words.append("keeps their order" if capabilities.ordered else "may change their order")
    words.append(reach[capabilities.reach])
    if capabilities.largest_packet is not None:
        words.append(f"packets up to {capabilities.largest_packet} bytes")
    if capabilities.several_destinations:
        words.append("several destinations")
    if capabilities.several_senders:
        words.append("several senders")
    if capabilities.signals_end:
        words.append("tells receivers the end")
    if capabilities.native:
        words.append("native")
    return "; ".join(words)


def _print_options(options: list[Description]) -> None:
    rows = []
    for option in options:
        kind = f"{option['type']} [{option['unit']}]" if option["unit"] else option["type"]
        default = "secret" if option["secret"] else option["default"] or "-"
        rows.append((option["name"], kind, default, option["help"]))
    print_columns(rows, 4)
    click.echo()
