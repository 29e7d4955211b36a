"""Which engine runs the streams: the one place where that is decided."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from .interface import Engine

__all__ = ["ENVIRONMENT_VARIABLE", "engine_names", "get_engine"]

_log = logging.getLogger("spead_transport")
_GROUP: Final = "spead_transport.engines"
ENVIRONMENT_VARIABLE: Final = "SPEAD_TRANSPORT_ENGINE"
#: In this order, when nothing was asked for.
_PREFERENCE: Final = ("native", "python")


def engine_names() -> list[str]:
    """Names of the engines that are installed."""
    return sorted({entry.name for entry in entry_points(group=_GROUP)})


def get_engine(name: str | None = None) -> Engine:
    """The engine named `name`, or the best one.

    Parameters
    ----------
    name
        If not given, the environment variable ``SPEAD_TRANSPORT_ENGINE`` decides, and without it the native engine
        is preferred to the Python one.

    Raises
    ------
    ValueError
        If there is no engine of that name, or it does not load.
    """
    source = "engine="
    if name is None:
        name = os.environ.get(ENVIRONMENT_VARIABLE) or None
        source = f"{ENVIRONMENT_VARIABLE}="
    if name is not None:
        try:
            return _load(name)
        except LookupError:
            known = ", ".join(engine_names())
            raise ValueError(f"{source}{name}: no such engine is installed (installed: {known})") from None
        except ImportError as error:
            raise ValueError(f"{source}{name}: the engine is installed but does not load: {error}") from error
    return _best()


@lru_cache(maxsize=1)
def _best() -> Engine:
    for name in _PREFERENCE:
        try:
            return _load(name)
        except LookupError:
            continue
        except ImportError as error:
            _log.warning("the %s engine does not load, trying the next: %s", name, error)
    raise ValueError("no engine is installed; is this package's metadata complete?")


@lru_cache
def _load(name: str) -> Engine:
    entry: EntryPoint | None = next(iter(entry_points(group=_GROUP, name=name)), None)
    if entry is None:
        raise LookupError(name)
    engine = entry.load()()
    if not isinstance(engine, Engine):
        raise ImportError(f"{entry.value} is not an engine")
    return engine
