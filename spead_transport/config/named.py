"""Streams by name, from a file and the environment, and opening them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import attrs

from .. import recv, send
from ..engine.interface import EndPolicy
from ..engine.recv_config import RingStreamConfig
from ..engine.recv_config import StreamConfig as RecvConfig
from ..engine.send_config import StreamConfig as SendConfig
from ..engine.thread_pool import ThreadPool
from ..settings import Specification, StreamSpec, merge
from .environment import CONFIG_VARIABLE, specification_in_environment, streams_in_environment, variable_prefix
from .toml import read_tables

__all__ = ["Config", "NamedStream", "UnknownStreamError", "load_config"]


class UnknownStreamError(KeyError):
    """No stream has that name."""

    def __str__(self) -> str:
        return str(self.args[0])


@attrs.frozen(repr=False)
class NamedStream:
    """A stream that is configured from outside.

    Parameters
    ----------
    name
        What it is called.
    specifications
        What was said of it; the first counts most.
    """

    name: str
    specifications: tuple[Specification, ...]

    def __repr__(self) -> str:
        try:
            values = self.spec.values()
        except ValueError as error:
            return f"<NamedStream {self.name}: cannot be used: {error}>"
        return f"<NamedStream {self.name}: {', '.join(f'{v.name}={v.text} ({v.source})' for v in values)}>"

    @property
    def spec(self) -> StreamSpec:
        """Its transport and settings.

        Raises
        ------
        ValueError
            If nobody says which transport to use, or an option is unknown, malformed or out of range.
        TransportLookupError
            If there is no such transport.
        """
        return merge(self.specifications)

    def explain(self, *, defaults: bool = False) -> str:
        """Each value and where it came from, one on a line.

        Parameters
        ----------
        defaults
            Whether to list what has its default, too.

        Raises
        ------
        ValueError
            As for :attr:`spec`.
        """
        return self.spec.explain(defaults=defaults)

    def at(self, url: str) -> NamedStream:
        """The same stream with a URL that counts more than what the file and the environment say.

        Raises
        ------
        ValueError
            If the URL is malformed.
        """
        return attrs.evolve(self, specifications=(Specification(place="", url=url), *self.specifications))

    def open_sender(
        self,
        *,
        config: SendConfig | None = None,
        thread_pool: ThreadPool | None = None,
        engine: str | None = None,
    ) -> send.SyncStream:
        """Open it to send; see :func:`spead_transport.open_sender`."""
        return send.open_sender(self.spec, config=config, thread_pool=thread_pool, engine=engine)

    def open_async_sender(
        self,
        *,
        config: SendConfig | None = None,
        thread_pool: ThreadPool | None = None,
        engine: str | None = None,
    ) -> send.asyncio.SenderOpening:
        """Open it to send with asyncio; see :func:`spead_transport.send.asyncio.open_sender`."""
        return send.asyncio.open_sender(self.spec, config=config, thread_pool=thread_pool, engine=engine)

    def open_receiver(
        self,
        *,
        config: RecvConfig | None = None,
        ring_config: RingStreamConfig | None = None,
        thread_pool: ThreadPool | None = None,
        engine: str | None = None,
        end: EndPolicy | None = None,
    ) -> recv.Stream:
        """Open it to receive; see :func:`spead_transport.open_receiver`."""
        return recv.open_receiver(
            self.spec, config=config, ring_config=ring_config, thread_pool=thread_pool, engine=engine, end=end
        )

    def open_async_receiver(
        self,
        *,
        config: RecvConfig | None = None,
        ring_config: RingStreamConfig | None = None,
        thread_pool: ThreadPool | None = None,
        engine: str | None = None,
        end: EndPolicy | None = None,
    ) -> recv.asyncio.Stream:
        """Open it to receive with asyncio; see :func:`spead_transport.open_receiver`."""
        return recv.asyncio.open_receiver(
            self.spec, config=config, ring_config=ring_config, thread_pool=thread_pool, engine=engine, end=end
        )


class Config(Mapping[str, NamedStream]):
    """Streams by name. Made by :func:`load_config`.

    A stream is checked when it is asked for, so that what this program does not use harms it not: a plugin that
    another machine has, say.

    Parameters
    ----------
    tables
        What the file says of each stream.
    place
        Where that is, for messages.
    environ
        The environment.

    Raises
    ------
    ValueError
        If two streams have the same variables in the environment.
    """

    def __init__(self, tables: Mapping[str, Specification], place: str, environ: Mapping[str, str]) -> None:
        self._place = place
        self._environ = environ
        self._tables = tables
        owners: dict[str, str] = {}
        for name in tables:
            other = owners.setdefault(variable_prefix(name), name)
            if other != name:
                raise ValueError(
                    f"{place}: [{other}] and [{name}] cannot be told apart in the environment; rename one of them"
                )
        further = {name for name in streams_in_environment(environ) if variable_prefix(name) not in owners}
        self._names = [*tables, *sorted(further)]

    def __repr__(self) -> str:
        return f"<Config {self._place}: {', '.join(self._names) or 'no streams'}>"

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __getitem__(self, name: str) -> NamedStream:
        """The stream called `name`.

        Raises
        ------
        UnknownStreamError
            If there is none; it is a :exc:`KeyError`.
        ValueError
            If an option is unknown, malformed or out of range.
        TransportLookupError
            If there is no such transport.
        """
        stream = self.unchecked(name)
        if any(specification.url is not None for specification in stream.specifications):
            _ = stream.spec
        return stream

    def unchecked(self, name: str) -> NamedStream:
        """The stream called `name`, whatever is said of it.

        Raises
        ------
        UnknownStreamError
            If there is none.
        ValueError
            If the URL in the environment is malformed.
        """
        if name not in self._names:
            near = difflib.get_close_matches(name, self._names, 1)
            suggestion = f"; did you mean {near[0]!r}?" if near else ""
            raise UnknownStreamError(
                f"{self._place}: there is no stream {name!r}{suggestion} (known: {', '.join(self._names) or 'none'})"
            )
        from_environment = specification_in_environment(name, self._names, self._environ)
        from_file = self._tables.get(name)
        return NamedStream(name, (from_environment,) if from_file is None else (from_file, from_environment))


def load_config(
    path: str | os.PathLike[str] | None = None, *, table: str = "", environ: Mapping[str, str] | None = None
) -> Config:
    """Streams by name, as a file and the environment say.

    For each value, what the file says counts more than what the environment says; a URL that the program gives
    (:meth:`NamedStream.at`) counts more than both, and the arguments of the functions that open count most.

    Parameters
    ----------
    path
        A TOML file with a table for each stream. If not given, the environment variable ``SPEAD_TRANSPORT_CONFIG``
        says which, and without it there are only the streams of the environment.
    table
        The table that holds those of the streams, if they are not at the top of the file: ``tool.spead``, say.
    environ
        The environment; by default this process's, as it is now.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no TOML, or not a table for each stream; the message says where.
    """
    environ = MappingProxyType(dict(os.environ if environ is None else environ))
    if path is None:
        path = environ.get(CONFIG_VARIABLE) or None
    if path is None:
        return Config({}, "the environment", environ)
    return Config(read_tables(Path(path), table), os.fspath(path), environ)
