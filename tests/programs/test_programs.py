"""The example programs do the same with this package and with spead2."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Final

import pytest

from ..tools.processes import free_port, run, start, wait_until_bound

_FOLDER: Final = Path(__file__).parents[2] / "docs" / "examples" / "programs"
_PACKAGES: Final = ("spead_transport", "spead2")
_OF_ONE_PROCESS: Final = ("pipelining", "reusing", "batching", "chunks")


def _program(name: str, package: str, folder: Path) -> str:
    """A copy of a program with its import changed; where it is."""
    source = (_FOLDER / f"{name}.py").read_text()
    assert source.count("import spead_transport") >= 2
    file = folder / f"{name}-{package}.py"
    file.write_text(source.replace("import spead_transport", f"import {package}"))
    return str(file)


def test_all_programs_are_tested() -> None:
    assert {file.stem for file in _FOLDER.glob("*.py")} == {*_OF_ONE_PROCESS, "sender", "receiver"}


@pytest.mark.parametrize("name", _OF_ONE_PROCESS)
def test_both_packages_print_the_same(name: str, tmp_path: Path) -> None:
    ours, peers = (run(sys.executable, _program(name, package, tmp_path)).stdout for package in _PACKAGES)
    assert ours.count("\n") > 3
    assert ours == peers


def _transfer(sender: str, receiver: str, folder: Path) -> tuple[str, str]:
    port = str(free_port(socket.SOCK_DGRAM))
    with start(sys.executable, _program("receiver", receiver, folder), port) as receiving:
        wait_until_bound(int(port), "udp")
        sent = run(sys.executable, _program("sender", sender, folder), "127.0.0.1", port)
        assert receiving.ends() == 0
    return sent.stdout, receiving.stdout


def test_either_sender_with_either_receiver(tmp_path: Path) -> None:
    outputs = {
        (sender, receiver): _transfer(sender, receiver, tmp_path) for sender in _PACKAGES for receiver in _PACKAGES
    }
    expected = outputs["spead2", "spead2"]
    assert expected[1].count("power") == 10
    assert outputs == dict.fromkeys(outputs, expected)
