"""Who takes part. All have the same names, so that one program measures them all."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import attrs
import spead2
import spead2.recv.asyncio
import spead2.send.asyncio

import spead_transport
from spead_transport.engine.selection import ENVIRONMENT_VARIABLE, engine_names

__all__ = ["PEER", "Contender", "contenders", "silenced"]


@attrs.frozen
class Contender:
    """A library, and one of its engines if it has several."""

    name: str
    library: ModuleType
    engine: str | None = None

    @contextmanager
    def selected(self) -> Iterator[ModuleType]:
        """The library, with the engine chosen."""
        if self.engine is None:
            yield self.library
            return
        before = os.environ.get(ENVIRONMENT_VARIABLE)
        os.environ[ENVIRONMENT_VARIABLE] = self.engine
        try:
            yield self.library
        finally:
            if before is None:
                del os.environ[ENVIRONMENT_VARIABLE]
            else:
                os.environ[ENVIRONMENT_VARIABLE] = before


#: With whom the others are compared.
PEER = Contender("spead2", spead2)


def contenders() -> list[Contender]:
    """The peer, then each engine that is installed."""
    return [PEER, *(Contender(engine, spead_transport, engine) for engine in engine_names())]


@contextmanager
def silenced() -> Iterator[None]:
    """Nobody logs anything meanwhile: it would cost time."""
    loggers = [logging.getLogger(contender.library.__name__) for contender in contenders()]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
