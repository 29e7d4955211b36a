"""What pytest offers to projects that use the package, tried in projects of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spead_transport.engine import engine_names

pytest_plugins = ["pytester"]

_SEND = """
import numpy as np
import pytest
from spead_transport import recv, send

def heap():
    group = send.ItemGroup()
    group.add_item(None, "data", "", (3,), np.uint8, value=np.arange(3, dtype=np.uint8))
    return group.get_heap()
"""


@pytest.fixture(autouse=True)
def _ini(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")


def run(pytester: pytest.Pytester, code: str, *arguments: str, subprocess: bool = False) -> pytest.RunResult:
    """Run tests, in a process of their own if one of them fails: Python keeps the last traceback of a process."""
    pytester.makepyfile(_SEND + code)
    run = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
    return run("-v", "-Werror", "--strict-markers", *arguments)


def names(result: pytest.RunResult, outcome: str = "PASSED") -> list[str]:
    """Of the tests that had this outcome."""
    return [line.split("::")[1].split()[0] for line in result.outlines if "::" in line and f" {outcome}" in line]


# --------------------------------------------------------------------------------------------------------- streams


_TRANSFER = """
def test_transfer(spead_pair):
    sender, receiver = spead_pair
    sender.send_heap(heap(), cnt=5)
    assert receiver.get(timeout=10).cnt == 5
"""


def test_a_pair_in_memory_unless_something_else_was_asked_for(pytester: pytest.Pytester) -> None:
    code = _TRANSFER + "    assert receiver.urls[0].startswith('inproc://')\n"
    assert names(run(pytester, code)) == ["test_transfer[inproc]"]


def test_pairs_are_closed_and_fresh(pytester: pytest.Pytester) -> None:
    code = """
kept = []

@pytest.mark.parametrize("turn", [1, 2])
def test_fresh(spead_pair, turn):
    kept.append(spead_pair)
    spead_pair.sender.send_heap(heap())
    assert spead_pair.receiver.get(timeout=10).cnt == 1

def test_closed():
    for sender, receiver in kept:
        with pytest.raises(OSError):
            sender.send_heap(heap())
        assert list(receiver) == []
    assert len({receiver.urls[0] for _, receiver in kept}) == 2
"""
    run(pytester, code).assert_outcomes(passed=3)


def test_asyncio(pytester: pytest.Pytester) -> None:
    code = """
@pytest.mark.transports("inproc", "udp")
async def test_transfer(spead_async_pair):
    sender, receiver = spead_async_pair
    await sender.async_send_heap(heap(), cnt=5)
    assert (await receiver.get()).cnt == 5

async def test_abandoned(spead_async_pair):
    spead_async_pair.sender.async_send_heap(heap())
"""
    run(pytester, code).assert_outcomes(passed=3)


def test_a_link_makes_streams_with_settings(pytester: pytest.Pytester) -> None:
    code = """
def test_settings(spead_link):
    small, one = send.StreamConfig(max_packet_size=100), recv.RingStreamConfig(heaps=1)
    with spead_link.streams(small, ring_config=one) as pair:
        assert pair.sender.config == small
        assert pair.receiver.ring_config == one
    assert spead_link.subject.scheme == "inproc"
"""
    run(pytester, code).assert_outcomes(passed=1)


def test_the_marker_names_transports_in_many_ways(pytester: pytest.Pytester) -> None:
    code = """
from spead_transport.testing import TransportUnderTest
from spead_transport_tcp import TcpTransport
from spead_transport_udp import UdpTransport

@pytest.mark.transports(
    "inproc?max_packets=2", "inproc://here", "faults+inproc", "udp://127.0.0.1:0", TcpTransport,
    TransportUnderTest(UdpTransport), TransportUnderTest(UdpTransport, "ttl=1"), UdpTransport,
)
""" + _TRANSFER.lstrip("\n")
    assert names(run(pytester, code)) == [
        "test_transfer[inproc?max_packets=2]",
        "test_transfer[inproc://here]",
        "test_transfer[faults+inproc]",
        "test_transfer[udp://127.0.0.1:0]",
        "test_transfer[tcp]",
        "test_transfer[udp0]",
        "test_transfer[udp?ttl=1]",
        "test_transfer[udp1]",
    ]


def test_the_marker_names_engines(pytester: pytest.Pytester) -> None:
    code = """
@pytest.mark.transports("inproc", "udp", engines="all")
def test_all(spead_link, spead_pair):
    assert spead_link.engine

@pytest.mark.transports(engines=["python"])
def test_one(spead_link, spead_pair):
    assert spead_link.engine == "python"
"""
    both = [f"test_all[{scheme}-{engine}]" for scheme in ("inproc", "udp") for engine in engine_names()]
    assert names(run(pytester, code)) == [*both, "test_one[inproc-python]"]


def test_the_nearest_marker_counts(pytester: pytest.Pytester) -> None:
    code = """
@pytest.mark.transports("udp")
class TestStreams:
    def test_class(self, spead_pair):
        assert spead_pair.receiver.urls[0].startswith("udp://")

    @pytest.mark.transports("tcp")
    def test_own(self, spead_pair):
        assert spead_pair.receiver.urls[0].startswith("tcp://")

    def test_none(self):
        pass
"""
    run(pytester, code).assert_outcomes(passed=3)


def test_a_project_chooses_for_all_tests(pytester: pytest.Pytester) -> None:
    result = run(
        pytester, _TRANSFER, "-o", "spead_transports=inproc 'inproc?mode=fanout'", "-o", "spead_engines=python"
    )
    assert names(result) == ["test_transfer[inproc-python]", "test_transfer[inproc?mode=fanout-python]"]


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("'inprok'", "*test_it, transports: *has the scheme 'inprok'*"),
        ("'inproc', engines='pyhton'", "*test_it, transports: *no engine 'pyhton' is installed*"),
        ("engine='python'", "*test_it, transports: *unexpected keyword argument 'engine'*"),
        ("'udp+inproc'", "*test_it, transports: *wraps no other transport*"),
    ],
)
def test_markers_that_are_wrong_are_told(pytester: pytest.Pytester, marker: str, message: str) -> None:
    result = run(pytester, f"@pytest.mark.transports({marker})\ndef test_it(spead_pair): pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_a_marker_without_use_is_told(pytester: pytest.Pytester) -> None:
    result = run(pytester, "@pytest.mark.transports('udp')\ndef test_it(): pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_it is marked with transports, but uses none of the fixtures spead_link*"])


# ----------------------------------------------------------------------------------------------------------- leaks


_LEAKS = """
import socket
import threading
from spead_transport import open_sender

kept = []
end = threading.Event()

@pytest.mark.usefixtures("spead_no_leaks")
def test_leaks():
    kept.append(socket.socket())
    threading.Thread(target=end.wait, name="lost").start()
    with open_sender("inproc://forgotten") as sender:
        sender.send_heap(heap())

@pytest.mark.usefixtures("spead_no_leaks")
def test_clean():
    with open_sender("inproc://forgotten"):
        pass

def test_unwatched():
    from spead_transport import open_receiver
    end.set()
    kept.pop().close()
    open_receiver("inproc://forgotten").stop()
    kept.append(socket.socket())

def test_tidy():
    kept.pop().close()
"""


def test_leaks_are_told_where_they_are_looked_for(pytester: pytest.Pytester) -> None:
    result = run(pytester, _LEAKS)
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_leaks*",
            "the test left something behind:",
            "thread 'lost' still runs",
            "file descriptor * is still open: socket:*",
            "inproc://forgotten is still there: * packets waiting>",
        ]
    )


def test_a_project_looks_for_leaks_in_every_test(pytester: pytest.Pytester) -> None:
    code = """
import logging
import socket
kept = []

def test_leaks():
    kept.append(socket.socket())

def test_next():
    kept.pop().close()

class TestMore:
    async def test_clean(self, spead_async_pair):
        pass

    def test_clean_too(self, spead_pair):
        pass

    def test_logged(self, spead_link):
        with spead_link.streams() as pair:
            try:
                pair.receiver.get_nowait()
            except Exception as error:
                logging.warning("nothing there: %s", error)

    def test_failed(self, spead_pair):
        kept = socket.socket()
        spead_pair.sender.send_heap(heap())
        kept.close()
        assert spead_pair.receiver.get(timeout=10) is None

    def test_after_a_failure(self, spead_pair):
        pass
"""
    result = run(pytester, code, "-o", "spead_no_leaks=true", subprocess=True)
    result.assert_outcomes(passed=6, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_leaks*"])


# ---------------------------------------------------------------------------------------------------------- others


def test_markers_and_fixtures_are_listed(pytester: pytest.Pytester) -> None:
    run(pytester, "", "--markers").stdout.fnmatch_lines(["@pytest.mark.transports(*"])
    listed = run(pytester, "", "--fixtures").stdout.str()
    for fixture in ("spead_async_pair", "spead_inproc", "spead_link", "spead_no_leaks", "spead_pair"):
        assert f"\n{fixture} -- " in listed


def test_the_package_does_not_need_pytest() -> None:
    code = "import sys, spead_transport, spead_transport.testing; print('pytest' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "False\n"
