"""What is done with many frames at once gives what libpcap, or one step for each frame, would."""

from __future__ import annotations

import struct
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cypcap
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spead_transport_pcap.bpf import Filter, Instruction, UnsupportedFilterError
from spead_transport_pcap.capture import FrameByFrame
from spead_transport_pcap.frames import LINK_TYPES, SPARE, Rejected, udp_span, udp_spans
from spead_transport_pcap.payloads import Source
from spead_transport_pcap.records import FILE_HEADER_SIZE, Format, RecordFile

from spead_transport.transport import Bytes, Offsets

from .captures import ethernet, ipv4, ipv6, pcap_bytes, udp

_FILTERS = [
    "udp dst port 7148",
    "udp",
    "ip6 and udp",
    "host 10.0.0.1 and not port 7148",
    "vlan and udp",
    "len > 100 and greater 50",
    "ip[6:2] & 0x1fff = 0 and udp[4:2] - 8 > ip[8] * 2",
    "ether[12:4] / 3 > ether[10] or ip[2:2] % 7 = 1",
    "udp[ip[9]] >> 1 ^ 3 = 2 or ether[0] << 2 | 1 = 5",
    "ip[ether[12]:4] = 0",
]


def _random_frames() -> st.SearchStrategy[bytes]:
    payloads = st.sampled_from([b"", b"x", b"payload" * 9, b"y" * 500])
    ports = st.sampled_from([7148, 7149])
    datagrams = st.builds(udp, payloads, port=ports, length=st.sampled_from([None, None, None, 0, 7, 3000]))
    packets = st.one_of(
        st.builds(
            ipv4, datagrams, protocol=st.sampled_from([17, 17, 17, 6]), fragment=st.sampled_from([0, 0, 0x2000])
        ),
        st.builds(ipv4, datagrams, options=st.sampled_from([b"", bytes(8)])),
        st.builds(ipv6, datagrams),
    )
    frames = st.builds(ethernet, packets, tags=st.sampled_from([(), (), (0x8100,)]), padding=st.sampled_from([0, 4]))
    return st.one_of(frames, st.binary(max_size=80))


def _spoilt(content: bytes, places: Sequence[tuple[int, int]]) -> bytes:
    spoilt = bytearray(content)
    for at, value in places:
        spoilt[FILE_HEADER_SIZE + at % (len(spoilt) - FILE_HEADER_SIZE)] = value
    return bytes(spoilt)


def _capture(
    frames: list[bytes], repeats: list[int], options: dict[str, Any], cut: int, places: list[tuple[int, int]]
) -> bytes:
    """Frames, each some times over, of which the last one may be incomplete, and a few bytes are anything."""
    content = pcap_bytes(
        [frame for frame, times in zip(frames, repeats, strict=False) for _ in range(times)], **options
    )
    return _spoilt(content, places)[: max(FILE_HEADER_SIZE, len(content) - cut)]


_CAPTURES = st.builds(
    _capture,
    st.lists(_random_frames(), min_size=1, max_size=12),
    st.lists(st.integers(1, 5), min_size=12, max_size=12),
    st.fixed_dictionaries(
        {
            "link_type": st.sampled_from([1, 1, 1, 101, 113]),
            "order": st.sampled_from("<>"),
            "snaplen": st.sampled_from([65535, 100]),
            "nanoseconds": st.booleans(),
        }
    ),
    st.sampled_from([0, 0, 3, 30]),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=3),
)


def _all(source: Source) -> tuple[list[bytes], list[float], Counter[str]]:
    packets: list[bytes] = []
    times: list[float] = []
    while not source.ended:
        payloads = source.read()
        packets += [packet.tobytes() for packet in payloads.batch().packets()]
        times += payloads.times.tolist()
    assert not len(source.read())
    source.close()
    return packets, times, source.drops


@given(_CAPTURES, st.sampled_from(["", *_FILTERS]))
@settings(max_examples=300)
@example(pcap_bytes([b""] * 3), "")
@example(pcap_bytes([]), "")
@example(pcap_bytes([ethernet(ipv4(udp(b"x")))]) + struct.pack("<IIII", 0, 0, 262145, 1) + bytes(9), "")
@example(pcap_bytes([ethernet(ipv4(udp(b"x" * 3000)))] * 900), "")
def test_any_capture(content: bytes, filter: str) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        with cypcap.open_offline(file.name) as pcap:
            link_type = int(pcap.datalink())
            try:
                program = pcap.compile(filter) if filter else None
            except cypcap.Error:
                return  # it does not exist on this link
            wanted = None if program is None else Filter([*program])
            kind = Format.of(content)
            assert kind is not None
            snaplen = pcap.snapshot()
            expected = _all(FrameByFrame(pcap, link_type, program, "pcap:"))
        found = _all(RecordFile(file.name, kind, link_type, snaplen, wanted, True, "pcap:"))
    assert (found[0], found[2]) == (expected[0], expected[2])
    assert np.allclose(found[1], expected[1], rtol=0, atol=2e-6)  # libpcap counts microseconds


def _laid_out(frames: Sequence[bytes]) -> tuple[Bytes, Offsets, Offsets]:
    sizes = np.array([len(frame) for frame in frames], np.int64)
    block = np.frombuffer(b"".join(frames) + b"\xff" * SPARE, np.uint8)
    return block, np.cumsum(sizes) - sizes, sizes


@given(st.sampled_from(sorted(LINK_TYPES)), st.lists(_random_frames(), min_size=1, max_size=20))
def test_spans(link_type: int, frames: list[bytes]) -> None:
    block, starts, sizes = _laid_out(frames)
    good, begins, widths, reasons = udp_spans(link_type, block, starts, sizes)
    expected: Counter[str] = Counter()
    for row, frame in enumerate(frames):
        try:
            begin, end = udp_span(link_type, np.frombuffer(frame, np.uint8))
        except Rejected as rejected:
            expected[rejected.reason] += 1
            assert not good[row]
        else:
            assert (good[row], begins[row] - starts[row], widths[row]) == (True, begin, end - begin)
    assert reasons == expected


def _one_by_one(program: cypcap.BpfProgram, frames: Sequence[bytes]) -> list[bool]:
    return [program.offline_filter(cypcap.Pkthdr(0.0, len(frame), len(frame)), frame) for frame in frames]


@given(st.sampled_from(_FILTERS), st.lists(_random_frames(), min_size=1, max_size=20))
@settings(max_examples=300)
def test_filters(filter: str, frames: list[bytes]) -> None:
    program = cypcap.compile(1, 65535, filter, True, 0xFFFFFFFF)
    block, starts, sizes = _laid_out(frames)
    wanted = Filter([*program]).wanted(block, starts, sizes, sizes)
    assert wanted.tolist() == _one_by_one(program, frames)


_KNOWN = [
    (0x00, 5), (0x01, 5), (0x20, 1), (0x28, 1), (0x30, 1), (0x40, 0), (0x48, 0), (0x50, 0), (0x80, 0), (0x81, 0),
    (0xB1, 3), (0x02, 2), (0x03, 2), (0x60, 2), (0x61, 2), (0x04, 9), (0x0C, 0), (0x14, 9), (0x1C, 0), (0x24, 70000),
    (0x2C, 0), (0x34, 7), (0x3C, 0), (0x44, 9), (0x4C, 0), (0x54, 9), (0x5C, 0), (0x64, 3), (0x6C, 0), (0x74, 3),
    (0x7C, 0), (0x84, 0), (0x94, 7), (0x9C, 0), (0xA4, 5), (0xAC, 0), (0x07, 0), (0x87, 0), (0x05, 1), (0x15, 5),
    (0x1D, 0), (0x25, 5), (0x2D, 0), (0x35, 5), (0x3D, 0), (0x45, 5), (0x4D, 0), (0x06, 0), (0x06, 1), (0x16, 0),
]  # fmt: skip


@given(st.lists(st.sampled_from(_KNOWN), max_size=12), st.lists(st.binary(max_size=12), min_size=1, max_size=8))
@settings(max_examples=300)
def test_any_program(instructions: list[tuple[int, int]], frames: list[bytes]) -> None:
    """Whatever libpcap might compile: each instruction does what libpcap's own machine does."""
    program: list[Instruction] = [(0x02, 0, 0, 2)]  # memory that was not set would be anything
    program += [(code, code & 7 == 5, 0, operand) for code, operand in instructions]
    program += [(0x16, 0, 0, 0), (0x06, 0, 0, 1), (0x06, 0, 0, 0)]
    text = ",".join([str(len(program)), *(" ".join(str(int(field)) for field in line) for line in program)])
    theirs = cypcap.BpfProgram.loads(text)
    block, starts, sizes = _laid_out(frames)
    wanted = Filter(program).wanted(block, starts, sizes, sizes)
    assert wanted.tolist() == _one_by_one(theirs, frames)


@pytest.mark.parametrize(
    "program",
    [
        [(0x05, 0, 0, 0xFFFFFFFF)],  # backwards
        [(0x15, 3, 0, 0), (0x06, 0, 0, 1)],
        [(0x00, 0, 0, 0)],
        [(0x60, 0, 0, 16), (0x06, 0, 0, 1)],
        [(0xB4, 0, 0, 0), (0x06, 0, 0, 1)],
        [(0x55, 0, 0, 0), (0x06, 0, 0, 1)],
        [(0xA0, 0, 0, 0), (0x06, 0, 0, 1)],
    ],
)
def test_programs_that_are_not_carried_out(program: list[Instruction]) -> None:
    with pytest.raises(UnsupportedFilterError):
        Filter(program)


def test_other_files_are_left_to_libpcap(tmp_path: Path) -> None:
    head = pcap_bytes([])
    assert Format.of(head) == Format("<", 1_000_000)
    assert Format.of(pcap_bytes([], order=">", nanoseconds=True)) == Format(">", 1_000_000_000)
    assert Format.of(head[:23]) is None
    assert Format.of(b"\x34\xcd\xb2\xa1" + head[4:]) is None
    assert Format.of(head[:6] + b"\3\0" + head[8:]) is None
