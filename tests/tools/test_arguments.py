"""The arguments of the tools: those of the peer's, and what is wrong with others."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner

from spead_transport.tools import bench, recv, send

from .processes import PEERS, free_port


def _peer_options(*command: str) -> set[str]:
    text = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    return set(re.findall(r"--[a-z-]+", text)) - {"--help"}


def _our_options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")}


@pytest.mark.parametrize(
    ("peers", "ours"),
    [
        ([PEERS["send"]], send),
        ([PEERS["recv"]], recv),
        ([PEERS["bench"]], bench),
        ([PEERS["bench"], "master"], bench.commands["master"]),
        ([PEERS["bench"], "agent"], bench.commands["agent"]),
    ],
    ids=["send", "recv", "bench", "bench master", "bench agent"],
)
def test_each_option_of_the_peers_exists(peers: list[str], ours: click.Command) -> None:
    theirs = _peer_options(*peers)
    missing = (
        theirs - _our_options(ours) - {"--rate"} if ours is bench.commands["master"] else theirs - _our_options(ours)
    )
    assert not missing


_SENDING: Final = [
    *("--addr-bits", "48", "--burst", "4096", "--burst-rate-ratio", "1.1"),
    *("--max-heaps", "2", "--rate-method", "sw", "--ttl", "4"),
]
_RECEIVING: Final = [
    *("--pyspead", "--memcpy-nt", "--concurrent-heaps", "8"),
    *("--substreams", "2", "--ring-heaps", "8", "--packet", "9000"),
]
_POOL: Final = ["--mem-max-free", "4", "--mem-initial", "2"]


def _sockets(prefix: str) -> list[str]:
    options = {"buffer": "1000000", "bind": "10.0.0.5", "ibv-vector": "-1", "ibv-max-poll": "5", "threads": "2"}
    return [text for name, value in options.items() for text in (f"--{prefix}{name}", value)] + [
        f"--{prefix}affinity=0,2-3"
    ]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (
            send,
            [
                "h:1",
                "--heap-size",
                "8",
                "--items",
                "2",
                "--dtype",
                "f4",
                "--heaps",
                "3",
                "--log",
                "debug",
                "--pyspead",
            ],
        ),
        (
            send,
            ["h:1", "[::1]:2", "--packet", "9000", "--rate", "2.5", *_SENDING, *_sockets(""), "--descriptors", "5"],
        ),
        (
            recv,
            ["8888", "h:1", "--joint", "--values", "--descriptors", "--max-heaps", "3", *_RECEIVING, *_sockets("")],
        ),
        (recv, ["--tcp", "8888", "--mem-pool", "--mem-lower", "1", "--mem-upper", "2", *_POOL]),
        (bench.commands["agent"], ["8888"]),
        (bench.commands["master"], ["h:1", "--quiet", "--heap-size", "8", "--multicast", "239.2.3.4", *_SENDING]),
        (bench.commands["master"], ["h:1", *_RECEIVING, *_POOL, *_sockets("send-"), *_sockets("recv-")]),
    ],
)
def test_command_lines_of_the_peers_are_understood(command: click.Command, arguments: list[str]) -> None:
    command.make_context(str(command.name), list(arguments))


def _fails(command: click.Command, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("command", [send, recv], ids=lambda command: str(command.name))
def test_ibverbs_are_not_supported(command: click.Command) -> None:
    code, output = _fails(command, "--ibv", "127.0.0.1:8888")
    assert code == 1
    assert "does not send or receive with ibverbs" in output


@pytest.mark.parametrize("side", ["send", "recv"])
def test_nor_are_they_in_a_benchmark(side: str) -> None:
    port = str(free_port(socket.SOCK_STREAM))
    code, _ = _fails(bench, "master", f"--{side}-ibv", f"127.0.0.1:{port}")
    assert code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ttl", "2", "udp://127.0.0.1:8888"], "--ttl: for host:port only"),
        (["--tcp", "--bind", "127.0.0.1", "udp://127.0.0.1:8888"], "--tcp, --bind: for host:port only"),
        (["udp://127.0.0.1:8888", "127.0.0.1:8889"], "expected one URL, or several of host:port"),
        (["--tcp", "--ttl", "2", "127.0.0.1:8888"], "--ttl is for UDP only"),
        (["127.0.0.1"], "expected host:port"),
        (["127.0.0.1:99999"], "above 65535"),
        (["--dtype", "nonsense", "127.0.0.1:8888"], "nonsense"),
        (["--heap-size", "4", "127.0.0.1:8888"], "too small"),
        (["--addr-bits", "41", "127.0.0.1:8888"], "41"),
        (["--affinity", "3-", "127.0.0.1:8888"], "3-"),
        (["unheard-of://x"], "unheard-of"),
        ([], "Missing argument"),
        (["--rate", "-1", "127.0.0.1:8888"], "--rate"),
        (["--packet", "16", "--heaps", "1", "127.0.0.1:8888"], "packet size"),
    ],
)
def test_wrong_arguments_of_a_sender(arguments: list[str], message: str) -> None:
    code, output = _fails(send, *arguments)
    assert code == 2
    assert message in output


def test_a_refused_connection() -> None:
    code, output = _fails(send, "tcp://127.0.0.1:1", "--heaps", "1")
    assert code == 1
    assert "Connection refused" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--packet", "9000", "udp://:8888"], "--packet: for host:port only"),
        (["--concurrent-heaps", "0", "8888"], "--concurrent-heaps"),
        (["--mem-pool", "--mem-lower", "10", "--mem-upper", "5", "8888"], "lower"),
        (["99999"], "above 65535"),
        (["no-such-file"], "expected host:port"),
    ],
)
def test_wrong_arguments_of_a_receiver(arguments: list[str], message: str) -> None:
    code, output = _fails(recv, *arguments)
    assert code == 2
    assert message in output


def test_a_captured_file_is_told_by_its_existence(tmp_path: Path) -> None:
    file = tmp_path / "capture.pcap"
    file.touch()
    _, output = _fails(recv, "--bind", "127.0.0.1", str(file))
    assert "--bind: for host:port only" in output
