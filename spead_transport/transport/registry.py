"""Which transports are installed: the one place where a URL's scheme becomes a class.

A distribution offers a transport by an entry point in the group ``spead_transport.transports`` whose name is the
scheme. Nothing of it is imported before the scheme is asked for, so that a broken plugin harms only those who want
it. No scheme is known to this module.
"""

from __future__ import annotations

import difflib
import inspect
import os
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Final, TypeAlias

import attrs
from stevedore.driver import DriverManager

from ..errors import TransportLookupError
from .contract import CONTRACT_VERSION, Capabilities, Transport
from .options import TransportConfig

__all__ = [
    "PREFER_VARIABLE",
    "InstalledTransport",
    "get_transport_class",
    "installed_transports",
    "known_schemes",
]

_GROUP: Final = "spead_transport.transports"
#: Environment variable that settles which distribution provides a scheme: ``scheme:distribution,…``.
PREFER_VARIABLE: Final = "SPEAD_TRANSPORT_PREFER"
#: What a scheme may look like (RFC 3986, section 3.1); nothing else is worth a hint to install something.
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")

AnyTransport: TypeAlias = Transport[TransportConfig]


@attrs.frozen
class InstalledTransport:
    """One entry point for a transport."""

    scheme: str
    #: Name and version of the distribution that offers it.
    distribution: str
    version: str
    #: ``module:class``.
    class_path: str
    #: Why it cannot be used; ``None`` if it can.
    error: TransportLookupError | None = None


def known_schemes() -> list[str]:
    """Schemes of the installed transports, sorted. Nothing is loaded."""
    return sorted({entry.name for entry in _entry_points()})


def installed_transports() -> list[InstalledTransport]:
    """Every installed transport, by scheme and distribution. All are loaded, to tell those that are broken."""
    return [
        InstalledTransport(entry.name, _distribution(entry), _version(entry), entry.value, _error_of(entry))
        for entry in _entry_points()
    ]


def get_transport_class(scheme: str, *, prefer: Mapping[str, str] | None = None) -> type[AnyTransport]:
    """The class that provides `scheme`.

    Parameters
    ----------
    scheme
        The first part of a URL; case does not matter.
    prefer
        The distribution to use for a scheme, if several provide it. For schemes that are not in it, the environment
        variable ``SPEAD_TRANSPORT_PREFER=scheme:distribution,…`` decides.

    Raises
    ------
    ValueError
        If ``SPEAD_TRANSPORT_PREFER`` is malformed.
    TransportLookupError
        If no installed distribution provides the scheme, or several do and no preference says which, or the preferred
        one does not, or the class does not load (the reason is the error's ``__cause__``), or it does not keep the
        contract of this version.
    """
    scheme = scheme.lower()
    providers = [entry for entry in _entry_points() if entry.name.lower() == scheme]
    if not providers:
        raise _unknown_scheme(scheme)
    preferred = _preferred_distribution(scheme, prefer)
    if preferred is not None:
        providers = _narrow(providers, preferred)
    if len(providers) > 1:
        raise _ambiguous(providers)
    return _load(providers[0])


# ---------------------------------------------------------------------------------------------------------- choosing


def _entry_points() -> list[EntryPoint]:
    """In an order that does not depend on the file system's."""
    return sorted(
        entry_points(group=_GROUP), key=lambda entry: (entry.name, _canonical(_distribution(entry)), entry.value)
    )


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unnamed distribution"


def _version(entry: EntryPoint) -> str:
    return entry.dist.version if entry.dist is not None else ""


def _described(entry: EntryPoint) -> str:
    return f"{_distribution(entry)} {_version(entry)} ({entry.value})"


def _canonical(distribution: str) -> str:
    """Names that mean the same distribution are equal in this form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _preferred_distribution(scheme: str, prefer: Mapping[str, str] | None) -> tuple[str, str] | None:
    """The distribution that was asked for, and by which setting."""
    by_argument = {name.lower(): distribution for name, distribution in (prefer or {}).items()}
    if scheme in by_argument:
        return by_argument[scheme], "prefer="
    by_environment = _parse_preferences(os.environ.get(PREFER_VARIABLE, ""))
    return (by_environment[scheme], f"{PREFER_VARIABLE}=") if scheme in by_environment else None


def _parse_preferences(text: str) -> dict[str, str]:
    preferences: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        scheme, separator, distribution = map(str.strip, part.partition(":"))
        if not (scheme and separator and distribution):
            raise ValueError(f"{PREFER_VARIABLE}={text}: expected scheme:distribution,… but {part!r} is none")
        if preferences.setdefault(scheme.lower(), distribution) != distribution:
            raise ValueError(f"{PREFER_VARIABLE}={text}: two distributions for {scheme!r}")
    return preferences


def _narrow(providers: list[EntryPoint], preferred: tuple[str, str]) -> list[EntryPoint]:
    distribution, setting = preferred
    found = [entry for entry in providers if _canonical(_distribution(entry)) == _canonical(distribution)]
    if not found:
        scheme = providers[0].name
        raise TransportLookupError(
            f"{setting}{scheme}:{distribution} asks for a distribution that does not provide {scheme!r}",
            hint=f"it is provided by {_list(map(_described, providers))}",
        )
    return found


def _ambiguous(providers: list[EntryPoint]) -> TransportLookupError:
    scheme = providers[0].name
    return TransportLookupError(
        f"{scheme!r} is provided by {_list(map(_described, providers))}, and nothing says which to use",
        hint=f"uninstall all but one, or choose: prefer={{{scheme!r}: {_distribution(providers[0])!r}}} in the "
        f"program, or {PREFER_VARIABLE}={scheme}:{_distribution(providers[0])} in the environment",
    )


def _unknown_scheme(scheme: str) -> TransportLookupError:
    known = known_schemes()
    near = difflib.get_close_matches(scheme, known, 1)
    hints = [f"did you mean {near[0]!r}?"] if near else []
    if _SCHEME.fullmatch(scheme):
        hints.append(
            f"a transport that is not installed yet has to be: those of this project are named after their scheme "
            f"(pip install spead-transport-{scheme}, if that exists)"
        )
    return TransportLookupError(
        f"no installed transport has the scheme {scheme!r} (known: {', '.join(known) or 'none'})",
        hint="; ".join(hints) or None,
    )


def _list(words: Iterable[str]) -> str:
    return " and by ".join(words)


# ----------------------------------------------------------------------------------------------------------- loading


class _Driver(DriverManager[AnyTransport]):
    """Loads one entry point.

    Stevedore's own list comes from a cache on disk that can be out of date, and that does not keep which
    distribution an entry point belongs to; this one's is the entry point itself.
    """

    def __init__(self, entry: EntryPoint) -> None:
        self._entry = entry
        super().__init__(_GROUP, entry.name)

    def list_entry_points(self) -> list[EntryPoint]:
        return [self._entry]


def _load(entry: EntryPoint) -> type[AnyTransport]:
    try:
        loaded = _Driver(entry).extensions[0].plugin
    except Exception as error:
        raise TransportLookupError(
            f"{_described(entry)} is installed but does not load: {type(error).__name__}: {error}",
            hint=f"the traceback of the cause says where; reinstall or upgrade {_distribution(entry)}",
        ) from error
    _check(entry, loaded)
    return loaded


def _error_of(entry: EntryPoint) -> TransportLookupError | None:
    try:
        _load(entry)
    except TransportLookupError as error:
        return error
    return None


def _check(entry: EntryPoint, loaded: object) -> None:
    """Refuse a class that does not keep the contract.

    The version comes first: a class that was written for another one need not look like this one's at all.
    """
    distribution = _distribution(entry)

    def refusal(message: str, hint: str = f"upgrade {distribution}, or report this to its authors") -> Exception:
        return TransportLookupError(f"{_described(entry)} {message}", hint=hint)

    version = getattr(loaded, "contract", None)
    if isinstance(loaded, type) and isinstance(version, int) and version != CONTRACT_VERSION:
        older = distribution if version < CONTRACT_VERSION else "spead-transport"
        raise refusal(
            f"was written for version {version} of the transport contract, this is version {CONTRACT_VERSION}",
            f"upgrade {older}",
        )
    if not (isinstance(loaded, type) and issubclass(loaded, Transport)):
        raise refusal("is not a subclass of spead_transport.transport.Transport")
    if version is None:
        raise refusal(f"does not state the contract that it was written for (contract = {CONTRACT_VERSION})")
    scheme = getattr(loaded, "scheme", None)
    if scheme != entry.name:
        raise refusal(f"has the scheme {scheme!r}, but its entry point says {entry.name!r}")
    if inspect.isabstract(loaded):
        raise refusal(f"leaves out {', '.join(sorted(loaded.__abstractmethods__))}")
    for name, kind in (("config_type", type), ("capabilities", Capabilities)):
        if not isinstance(getattr(loaded, name, None), kind):
            raise refusal(f"does not state its {name}")
