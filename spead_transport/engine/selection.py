"""Which engine runs the streams: the one place where that is decided."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from .interface import Engine
from .recv_config import StreamConfig

__all__ = ["ENVIRONMENT_VARIABLE", "OPTIONAL", "engine_names", "get_engine", "receiving_engine"]

_log = logging.getLogger("spead_transport")
_GROUP: Final = "spead_transport.engines"
ENVIRONMENT_VARIABLE: Final = "SPEAD_TRANSPORT_ENGINE"
#: In this order, when nothing was asked for.
_PREFERENCE: Final = ("native", "python")
#: Settings of a receiving stream that an engine need not keep; they are off unless they are true.
OPTIONAL: Final = ("max_heap_age", "sequential_heaps")


def engine_names() -> list[str]:
    """Names of the engines that are installed."""
    return sorted({entry.name for entry in entry_points(group=_GROUP)})


def get_engine(name: str | None = None) -> Engine:
    """The engine named `name`, or the best one.

    Parameters
    ----------
    name
        Several, with commas between them, are an order of preference: the first that is installed and loads. If
        nothing is given, the environment variable ``SPEAD_TRANSPORT_ENGINE`` decides, and without it the native
        engine is preferred to the Python one.

    Raises
    ------
    ValueError
        If there is no engine of that name, or it does not load.
    """
    if name is not None:
        return _first(name, f"engine={name}")
    from_environment = os.environ.get(ENVIRONMENT_VARIABLE)
    if from_environment:
        return _first(from_environment, f"{ENVIRONMENT_VARIABLE}={from_environment}")
    return _best()


def receiving_engine(name: str | None, config: StreamConfig) -> Engine:
    """The engine that receives with `config`: :func:`get_engine`, or the Python engine if that keeps settings which
    the other does not.

    Raises
    ------
    ValueError
        As :func:`get_engine`.
    """
    engine = get_engine(name)
    missing = [option for option in OPTIONAL if getattr(config, option) and option not in engine.receives]
    if not missing:
        return engine
    _log.info("the %s engine does not keep %s: the python engine receives", engine.name, " and ".join(missing))
    return get_engine("python")


@lru_cache(maxsize=1)
def _best() -> Engine:
    return _first(",".join(_PREFERENCE), "no engine was asked for, and none can be used")


def _first(names: str, asked: str) -> Engine:
    """The first of `names` that can be used."""
    reasons: list[str] = []
    for name in map(str.strip, names.split(",")):
        try:
            engine = _load(name)
        except LookupError:
            reasons.append(f"no engine {name!r} is installed (installed: {', '.join(engine_names()) or 'none'})")
        except ImportError as error:
            reasons.append(f"the engine {name!r} is installed but does not load: {error}")
            _log.warning("the engine %r is installed but does not load: %s", name, error)
        else:
            return engine
    raise ValueError(f"{asked}: {'; '.join(reasons)}")


@lru_cache
def _load(name: str) -> Engine:
    entry: EntryPoint | None = next(iter(entry_points(group=_GROUP, name=name)), None)
    if entry is None:
        raise LookupError(name)
    engine = entry.load()()
    if not isinstance(engine, Engine):
        raise ImportError(f"{entry.value} is not an engine")
    return engine
