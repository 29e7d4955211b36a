"""The tool that finds the highest rate."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from .processes import OURS, Tool, run, start


@pytest.fixture
def agent() -> Iterator[tuple[Tool, int]]:
    with start(OURS["bench"], "agent", "0") as tool:
        yield tool, int(tool.says(r"Listening on port (\d+)")[1])
        tool.interrupt()
        assert tool.ends() == 130
        assert "Traceback" not in tool.stderr


def test_over_tcp_nothing_is_lost(agent: tuple[Tool, int]) -> None:
    _, port = agent
    trial = ["--seconds", "0.05", "--heap-size", "100000", "--data-url", "tcp://:0"]
    master = run(OURS["bench"], "master", *trial, f"127.0.0.1:{port}")
    first, result = master.stdout.splitlines()
    assert first.startswith("Send rate: ")
    assert first.endswith(" Gbps: GOOD")
    assert result.startswith("Sustainable rate: ")


def test_over_udp_only_the_result_is_shown(agent: tuple[Tool, int]) -> None:
    _, port = agent
    trial = ["--quiet", "--seconds", "0.02", "--heap-size", "5000", "--ttl", "1"]
    master = run(OURS["bench"], "master", *trial, f"127.0.0.1:{port}")
    assert master.stdout.startswith("Sustainable rate: ")
    assert len(master.stdout.splitlines()) == 1


def _trial(**changes: object) -> dict[str, object]:
    receiver = {"pyspead": False, "memcpy_nt": False, "concurrent_heaps": 4, "substreams": 1, "ring_heaps": 4}
    return {
        "url": "udp://127.0.0.1:0",
        "heap_size": 1000,
        "receiver": receiver,
        "mem_max_free": 2,
        "mem_initial": 2,
        "affinity": None,
        "threads": 1,
        **changes,
    }


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"nonsense\n", "JSONDecodeError"),
        (b"[1]\n", "expected a JSON object"),
        (b"{}\n", "missing"),
        (json.dumps(_trial(surprise=1)).encode() + b"\n", "surprise"),
        (json.dumps(_trial(heap_size=1 << 60)).encode() + b"\n", "expected a heap size"),
        (json.dumps(_trial(mem_initial=1 << 40)).encode() + b"\n", "bytes of memory"),
        (json.dumps(_trial(url="inproc://x")).encode() + b"\n", "between hosts"),
        (json.dumps(_trial(url="nonsense://x")).encode() + b"\n", "nonsense"),
        (b"x" * 100_000 + b"\n", "ValueError"),
    ],
)
def test_an_agent_refuses_nonsense_and_goes_on(agent: tuple[Tool, int], line: bytes, complaint: str) -> None:
    _, port = agent
    for expected in (complaint, complaint):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as connection,
            connection.makefile("rb") as file,
        ):
            connection.sendall(line)
            assert expected in json.loads(file.readline())["error"]
