"""A process that measures one library. It is told what to do, and tells the results, in lines of JSON."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TextIO

import attrs

from .cases import find
from .library import Library
from .operation import LostError, Operation

__all__ = ["LIMIT", "Server", "serve"]

#: Instead of a library: what the machine can do without any.
LIMIT = "limit"


class Server:
    """Does what it is told.

    Parameters
    ----------
    library
        With what; ``None`` for what the machine can do without.
    """

    def __init__(self, library: Library | None) -> None:
        self._library = library
        self._case = ExitStack()
        self._operation: Operation | None = None
        self._commands: dict[str, Callable[[Any], dict[str, Any]]] = {"open": self._open, "run": self._run}

    def reply(self, command: dict[str, Any]) -> dict[str, Any]:
        """``{"open": case}`` makes it ready in place of the one before, ``{"run": times}`` times it.

        If it fails, the reply is ``{"error": traceback}``, or ``{"lost": reason}`` for a :exc:`LostError`.
        """
        ((name, argument),) = command.items()
        try:
            return self._commands[name](argument)
        except LostError as error:
            return {"lost": str(error)}
        except Exception:
            return {"error": traceback.format_exc()}

    def close(self) -> None:
        """Let go of the case that is open."""
        self._operation = None
        self._case.close()

    def _open(self, name: str) -> dict[str, Any]:
        self.close()
        case = find(name)
        if self._library is not None:
            context = case.prepare(self._library)
        elif case.limit is not None:
            context = case.limit()
        else:
            raise ValueError(f"there is no limit to compare {name!r} with")
        self._operation = self._case.enter_context(context)
        return {}

    def _run(self, times: int) -> dict[str, Any]:
        if self._operation is None:
            raise RuntimeError("no case is open")
        return attrs.asdict(self._operation.measure(times))


def serve(library: Library | None, commands: TextIO, replies: TextIO) -> None:
    """Do all that is told until there is nothing more."""
    server = Server(library)
    try:
        for line in commands:
            print(json.dumps(server.reply(json.loads(line))), file=replies, flush=True)
    finally:
        server.close()


def _load(name: str, worker: bool) -> Library | None:
    if name == LIMIT:
        return None
    module = importlib.import_module(name)
    for part in ("recv.asyncio", "send.asyncio"):
        importlib.import_module(f"{name}.{part}")
    logging.getLogger(name).setLevel(logging.CRITICAL)  # it would cost time
    return Library(module, worker)


if __name__ == "__main__":
    # What anybody prints goes to the standard error, so that it is not taken for a reply.
    with os.fdopen(os.dup(1), "w") as standard_output:
        os.dup2(2, 1)
        serve(_load(sys.argv[1], sys.argv[2:] == ["worker"]), sys.stdin, standard_output)
