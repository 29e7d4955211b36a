"""Who takes part. Each has a process of its own, so that they can take turns and none is in another's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import attrs

from spead_transport.engine.selection import ENVIRONMENT_VARIABLE, engine_names

from . import source_build
from .cases import Case
from .operation import LostError, Sample
from .worker import LIMIT

__all__ = ["CONTENDERS", "PEERS", "Contender", "Process", "ProcessError"]

_ROOT: Final = Path(__file__).parents[1]


class ProcessError(RuntimeError):
    """A contender failed."""


@attrs.frozen
class Contender:
    """A library in some interpreter.

    Parameters
    ----------
    name, description
        Short and long.
    module
        What it imports.
    python
        The interpreter.
    engine
        If it has several, which one.
    worker
        Whether threads drain transports that do not need it.
    """

    name: str
    description: str
    module: str
    python: Path = Path(sys.executable)
    engine: str = ""
    worker: bool = False

    def can(self, case: Case) -> bool:
        """Whether it takes part in a case."""
        if self.module == LIMIT:
            return case.limit is not None
        return case.drivable or not self.worker

    def missing(self) -> str:
        """Why it does not take part in anything; empty if it does."""
        if self.engine and self.engine not in engine_names():
            return f"the {self.engine} engine is not installed"
        if not self.python.exists():
            return f"there is no {self.python}: make bench builds it"
        return ""

    def start(self) -> Process:
        """Its process."""
        return Process(self)


#: With whom the others are compared.
PEERS: Final = ("wheel", "source", LIMIT)

CONTENDERS: Final = (
    Contender("wheel", "spead2 from PyPI", "spead2"),
    Contender("source", "spead2 built here from its source", "spead2", source_build.PYTHON),
    Contender("native", "the native engine", "spead_transport", engine="native"),
    Contender(
        "native, worker", "the native engine, drained by a thread", "spead_transport", engine="native", worker=True
    ),
    Contender("python", "the Python engine", "spead_transport", engine="python"),
    Contender(LIMIT, "C without any library: memcpy, or a loop over sockets", LIMIT),
)


class Process:
    """A contender at work. Use it as a context manager.

    Raises
    ------
    ProcessError
        From any method, if the contender fails; with its traceback.
    """

    def __init__(self, contender: Contender) -> None:
        self._name = contender.name
        arguments = [contender.module, *(["worker"] if contender.worker else [])]
        environment = dict(os.environ)
        if contender.engine:
            environment[ENVIRONMENT_VARIABLE] = contender.engine
        self._process = subprocess.Popen(
            [str(contender.python), "-m", "benchmarks.worker", *arguments],
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def open(self, case: Case) -> None:
        """Make a case ready."""
        self._ask({"open": case.name})

    def run(self, times: int) -> Sample:
        """Do it that many times.

        Raises
        ------
        LostError
            If heaps were lost on the way. The case must be opened anew.
        """
        return Sample(**self._ask({"run": times}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is not None:
            self._process.kill()
        self._process.communicate()

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ProcessError(f"{self._name}: the process ended with exit code {self._process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        if "lost" in reply:
            raise LostError(f"{self._name}: {reply['lost']}")
        if "error" in reply:
            raise ProcessError(f"{self._name}: {reply['error']}")
        return reply
