"""Programs that send or receive through shared memory, as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

__all__ = ["Program", "program"]

_PATIENCE: Final = 40.0
_PRELUDE: Final = """
import os, sys
from spead_transport.errors import *
from spead_transport.testing.packets import make_batch, send, receive
from spead_transport.transport import PacketBatch
from spead_transport_shm import *

def say(text):
    print(text, flush=True)
"""


class Program:
    """A running program, which one talks to line by line."""

    def __init__(self, process: subprocess.Popen[str], stdin: IO[str], stdout: IO[str]) -> None:
        self._process = process
        self._stdin = stdin
        self._stdout = stdout

    def hears(self) -> str:
        """The next line that the program writes; empty if it has ended."""
        return self._stdout.readline().rstrip()

    def go_on(self) -> None:
        """Give the program a line to read."""
        self._stdin.write("\n")
        self._stdin.flush()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.wait(_PATIENCE)

    def ends(self) -> int:
        """Wait for the end; the exit code."""
        return self._process.wait(_PATIENCE)


@contextmanager
def program(text: str, *arguments: str) -> Iterator[Program]:
    """Run a program until the end of the block at the latest. It finds `arguments` in ``sys.argv[1:]``."""
    command = [sys.executable, "-c", _PRELUDE + text, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Program(process, process.stdin, process.stdout)
        finally:
            process.kill()
