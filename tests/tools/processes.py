"""Tools as processes of their own, ours and the peer's."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

__all__ = ["OURS", "PEERS", "Tool", "free_port", "run", "start", "wait_until_bound"]

_BIN: Final = Path(sys.executable).parent
OURS: Final = {name: str(_BIN / f"spead-transport-{name}") for name in ("send", "recv", "bench")}
PEERS: Final = {name: str(_BIN / f"spead2_{name}.py") for name in ("send", "recv", "bench")}
_PATIENCE: Final = 40.0


class Tool:
    """A tool that runs. Its output is read as it comes."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._changed = threading.Condition()
        self.stdout = ""
        self.stderr = ""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._pipes = (self._process.stdout, self._process.stderr)
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe))
            for name, pipe in zip(("stdout", "stderr"), self._pipes, strict=True)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, pipe: IO[str]) -> None:
        for line in pipe:
            with self._changed:
                setattr(self, name, getattr(self, name) + line)
                self._changed.notify_all()

    def says(self, pattern: str) -> re.Match[str]:
        """Wait until the output has what `pattern` means."""
        expression = re.compile(pattern)
        with self._changed:
            assert self._changed.wait_for(lambda: self._search(expression), _PATIENCE), self
            found = self._search(expression)
            assert found is not None
            return found

    def _search(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        return expression.search(self.stdout) or expression.search(self.stderr)

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self._process.send_signal(number)

    def ends(self) -> int:
        """Wait for the end; the exit code."""
        code = self._process.wait(_PATIENCE)
        for reader in self._readers:
            reader.join()
        return code

    def close(self) -> None:
        """Make an end."""
        if self._process.poll() is None:
            self._process.kill()
        self.ends()
        for pipe in self._pipes:
            pipe.close()

    def __repr__(self) -> str:
        return f"{self._process.args!r} wrote\n{self.stdout}\nand to stderr\n{self.stderr}"


@contextmanager
def start(*command: str) -> Iterator[Tool]:
    """Start a tool, which ends with the block at the latest."""
    tool = Tool(command)
    try:
        yield tool
    finally:
        tool.close()


def run(*command: str) -> Tool:
    """Run a tool to its end, which must be a good one."""
    with start(*command) as tool:
        assert tool.ends() == 0, tool
    return tool


def free_port(kind: socket.SocketKind) -> int:
    """A port that nobody uses just now."""
    with socket.socket(type=kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_until_bound(port: int, protocol: str) -> None:
    """Wait until a process has a socket at `port`: a tool that does not say so cannot be asked."""
    local = re.compile(rf"^ *\d+: [0-9A-F]+:{port:04X} ", re.MULTILINE)
    deadline = time.monotonic() + _PATIENCE
    while not any(local.search(Path(f"/proc/net/{table}").read_text()) for table in (protocol, f"{protocol}6")):
        assert time.monotonic() < deadline, f"nobody opened {protocol} port {port}"
        time.sleep(0.02)
