"""The tools that send and receive, with each other and with the peer's."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Final

import pytest

from spead_transport import send
from spead_transport.transport import PacketBatch, open_sender, transport_from_url

from ..pcap import captures
from .processes import OURS, PEERS, free_port, run, start, wait_until_bound

_KINDS: Final = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
_DATA: Final = ["--heaps", "3", "--items", "2", "--heap-size", "64", "--dtype", "<u4"]


def _protocol_arguments(protocol: str) -> list[str]:
    return ["--tcp"] if protocol == "tcp" else []


@pytest.mark.parametrize("protocol", _KINDS)
def test_ours_sends_to_the_peers(protocol: str) -> None:
    port = free_port(_KINDS[protocol])
    arguments = _protocol_arguments(protocol)
    with start(PEERS["recv"], *arguments, "--values", f"127.0.0.1:{port}") as receiver:
        wait_until_bound(port, protocol)
        sender = run(OURS["send"], *arguments, *_DATA, f"127.0.0.1:{port}")
        assert receiver.ends() == 0
    assert sender.stdout.startswith("Sent ")
    assert "after 3 heaps" in receiver.stdout
    assert receiver.stdout.count("test_item_0 = [0 0 0 0 0 0 0 0]") == 3
    assert receiver.stdout.count("test_item_1 = ") == 3


@pytest.mark.parametrize("protocol", _KINDS)
def test_the_peers_sends_to_ours(protocol: str) -> None:
    arguments = _protocol_arguments(protocol)
    with start(OURS["recv"], *arguments, "--values", "--descriptors", "127.0.0.1:0") as receiver:
        port = receiver.says(rf"receiving at {protocol}://127\.0\.0\.1:(\d+)")[1]
        sender = run(PEERS["send"], *arguments, *_DATA, f"127.0.0.1:{port}")
        assert receiver.ends() == 0
    assert "Sent " in sender.stdout
    assert "Shutting down stream 127.0.0.1:0 after 3 heaps\nheaps: 3\n" in receiver.stdout
    assert "Descriptor for Test item 1 (0x1001)" in receiver.stdout
    assert receiver.stdout.count("Test item 0 = [0 0 0 0 0 0 0 0]") == 3


def test_both_print_the_same_lines() -> None:
    """What a script looks for in the output is found in ours."""
    outputs = []
    for tools in (OURS, PEERS):
        port = free_port(socket.SOCK_STREAM)
        with start(tools["recv"], "--tcp", "--values", "--log", "warning", f"127.0.0.1:{port}") as receiver:
            wait_until_bound(port, "tcp")
            run(PEERS["send"], "--tcp", *_DATA, f"127.0.0.1:{port}")
            assert receiver.ends() == 0
        outputs.append(receiver.stdout.replace(str(port), "PORT").splitlines())
    ours, peers = outputs
    until = next(index for index, line in enumerate(peers) if line.startswith("heaps: "))
    assert ours[:until] == peers[:until]
    names = [line.partition(":")[0] for line in peers[until:]]
    assert [line.partition(":")[0] for line in ours[until:]][: len(names)] == names


def test_urls_and_pools() -> None:
    pool = ["--mem-pool", "--mem-lower", "16", "--mem-upper", "4096", "--mem-initial", "2", "--mem-max-free", "2"]
    with start(OURS["recv"], *pool, "tcp://127.0.0.1:0?max_heaps=2") as receiver:
        url = receiver.says(r"receiving at (tcp://\S+)")[1]
        run(OURS["send"], *_DATA, "--packet", "256", "--rate", "1", url)
        assert receiver.ends() == 0
    assert receiver.stdout.count("Received heap ") == 3


def test_destinations_take_turns_and_each_gets_the_descriptors() -> None:
    with start(OURS["recv"], "--values", "127.0.0.1:0", "127.0.0.2:0") as receiver:
        first = receiver.says(r"receiving at udp://(127\.0\.0\.1:\d+)")[1]
        second = receiver.says(r"receiving at udp://(127\.0\.0\.2:\d+)")[1]
        run(OURS["send"], *_DATA, "--descriptors", "1", first, second)
        assert receiver.ends() == 0
    assert "Received heap 1 on stream 127.0.0.1:0\ntest_item_0 = " in receiver.stdout
    assert "Received heap 2 on stream 127.0.0.2:0\ntest_item_0 = " in receiver.stdout
    assert "Shutting down stream 127.0.0.1:0 after 2 heaps" in receiver.stdout
    assert "Shutting down stream 127.0.0.2:0 after 1 heaps" in receiver.stdout


def test_sources_may_be_one_stream() -> None:
    with start(OURS["recv"], "--joint", "--max-heaps", "6", "127.0.0.1:0", "127.0.0.2:0") as receiver:
        first = receiver.says(r"receiving at udp://(127\.0\.0\.1:\d+)")[1]
        second = receiver.says(r"receiving at udp://(127\.0\.0\.2:\d+)")[1]
        with start(OURS["send"], "--heap-size", "64", "--rate", "0.001", first, second) as sender:
            assert receiver.ends() == 0
            sender.interrupt()
            assert sender.ends() == 130
    cnts = re.findall(r"Received heap (\d+) on stream 127\.0\.0\.1:0,127\.0\.0\.2:0\n", receiver.stdout)
    assert len(cnts) == 6
    assert {int(cnt) % 2 for cnt in cnts} == {0, 1}  # each source had its part


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_sender_ends_its_stream(number: int, code: int) -> None:
    with start(OURS["recv"], "--tcp", "127.0.0.1:0") as receiver:
        url = receiver.says(r"receiving at (tcp://\S+)")[1]
        with start(OURS["send"], "--heap-size", "64", "--rate", "0.001", url) as sender:
            receiver.says("Received heap 3 ")
            sender.interrupt(number)
            assert sender.ends() == code
            assert sender.stdout.startswith("Sent ")
            assert "Traceback" not in sender.stderr
        assert receiver.ends() == 0
    assert "Shutting down stream" in receiver.stdout


def test_an_interrupted_receiver_tells_its_statistics() -> None:
    with start(OURS["recv"], "udp://127.0.0.1:0", "--max-heaps", "9") as receiver:
        url = receiver.says(r"receiving at (udp://\S+)")[1]
        with send.BytesStream() as stream:
            group = send.ItemGroup()
            group.add_item(0x1000, "x", "", (), format=[("u", 32)], value=7)
            stream.send_heap(group.get_heap())
            data = stream.getvalue()
        with open_sender(transport_from_url(url)) as packets:
            packets.try_send(PacketBatch.of([data, b"junk"]))
        receiver.says("Received heap 1 ")
        receiver.says("rejected")
        receiver.interrupt()
        assert receiver.ends() == 130
    assert "heaps: 1\n" in receiver.stdout
    assert "rejected_" in receiver.stdout
    assert "Traceback" not in receiver.stderr


def test_enough_heaps_end_a_receiver() -> None:
    with start(OURS["recv"], "--max-heaps", "2", "127.0.0.1:0") as receiver:
        port = receiver.says(r"receiving at udp://127\.0\.0\.1:(\d+)")[1]
        run(PEERS["send"], *_DATA, f"127.0.0.1:{port}")
        assert receiver.ends() == 0
    assert "after 2 heaps" in receiver.stdout


def test_a_captured_file_is_read_as_the_peers_does(tmp_path: Path) -> None:
    frames = [captures.ethernet(captures.ipv4(captures.udp(packet))) for packet in captures.heap_packets(1)]
    capture = captures.write_pcap(tmp_path / "capture.pcap", frames)
    ours, peers = (run(tools["recv"], "--log", "error", str(capture)).stdout for tools in (OURS, PEERS))
    until = "heaps: 1\nincomplete_heaps_evicted: 0\nincomplete_heaps_flushed: 0\npackets: 5\n"
    assert f"Received heap 1 on stream {capture}\ndata\n" in ours
    assert ours.partition(until)[:2] == peers.partition(until)[:2]


def test_progress_is_shown_on_a_terminal() -> None:
    ours, its = os.openpty()
    command = [OURS["send"], "--heap-size", "64", "--rate", "0.001", "udp://127.0.0.1:9"]
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its, env=environment, text=True) as process:
        os.close(its)
        shown = b""
        while b" heaps, Sent " not in shown:
            shown += os.read(ours, 1000)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=40)
    os.close(ours)
    assert process.returncode == 130
    assert output.startswith("Sent ")
