"""The check that every test goes through must itself be able to fail."""

from __future__ import annotations

import os
import socket
import threading

from spead_transport.testing import Resources


def test_nothing() -> None:
    assert Resources.now().leaked_since() == []


def test_descriptor() -> None:
    before = Resources.now()
    with socket.socket() as left_open:
        (leak,) = before.leaked_since()
        assert f"descriptor {left_open.fileno()} is still open: socket" in leak
    assert before.leaked_since() == []


def test_descriptor_number_used_again() -> None:
    first, second = os.pipe()
    before = Resources.now()
    os.close(first)
    with socket.socket() as replacement:
        assert replacement.fileno() == first
        assert len(before.leaked_since()) == 1
    os.close(second)


def test_descriptor_in_a_cycle_is_collected() -> None:
    class Node:
        def __init__(self) -> None:
            self.file = os.fdopen(os.dup(0), "rb", buffering=0)
            self.itself = self

        def __del__(self) -> None:
            self.file.close()

    before = Resources.now()
    Node()
    assert before.leaked_since() == []


def test_thread() -> None:
    before = Resources.now()
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="lost")
    thread.start()
    try:
        assert before.leaked_since(grace=0.0) == ["thread 'lost' still runs"]
    finally:
        end.set()
    assert before.leaked_since() == []
