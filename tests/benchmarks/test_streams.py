"""What holds a benchmark up is noticed, and what is asked of a process is answered."""

from __future__ import annotations

import threading

import pytest

from benchmarks import streams
from benchmarks.operation import LostError
from benchmarks.streams import patiently
from benchmarks.worker import Server


class _Receiver:
    """One that gets nothing."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def stop(self) -> None:
        self.stopped.set()


def _wait_for(receivers: list[_Receiver]) -> None:
    with patiently(*receivers):
        for receiver in receivers:
            receiver.stopped.wait()


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_PATIENCE", 0.01)
    receivers = [_Receiver(), _Receiver()]
    with pytest.raises(LostError, match=r"not all of them came within 0\.01 s"):
        _wait_for(receivers)


def test_who_is_in_time_is_not_stopped() -> None:
    receiver = _Receiver()
    with patiently(receiver):
        pass
    assert not receiver.stopped.is_set()


def test_errors_are_told() -> None:
    server = Server(None)
    assert "no case is open" in server.reply({"run": 1})["error"]
    assert "there is no limit" in server.reply({"open": "get_heap and update, 1 item"})["error"]
    assert "KeyError" in server.reply({"open": "no such case"})["error"]


def test_limits_are_measured() -> None:
    server = Server(None)
    assert server.reply({"open": "TCP, 1 MiB heaps, 65000 B packets"}) == {}
    reply = server.reply({"run": 2})
    assert reply["times"] == 2
    assert reply["seconds"] > 0
    server.close()
    assert "no case is open" in server.reply({"run": 1})["error"]
