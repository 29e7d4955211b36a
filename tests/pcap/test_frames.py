"""What frames may look like, and what they must not do."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spead_transport_pcap.frames import LINK_TYPES, Rejected, udp_span

from .captures import ethernet, ipv4, ipv6, udp

DATA = b"the payload of a datagram"
_HOP_BY_HOP = struct.pack("BB", 44, 1) + bytes(14)
_ATOMIC = struct.pack(">BBHI", 17, 0, 0, 7)

GOOD = {
    "ethernet": (1, ethernet(ipv4(udp(DATA)))),
    "ethernet, padded": (1, ethernet(ipv4(udp(DATA)), padding=18)),
    "ethernet, IP options": (1, ethernet(ipv4(udp(DATA), options=bytes(8)))),
    "VLAN": (1, ethernet(ipv4(udp(DATA)), tags=[0x8100])),
    "two VLANs": (1, ethernet(ipv6(udp(DATA)), tags=[0x88A8, 0x8100])),
    "IPv6": (1, ethernet(ipv6(udp(DATA)))),
    "IPv6 with extensions": (1, ethernet(ipv6(udp(DATA), following=0, extensions=_HOP_BY_HOP + _ATOMIC))),
    "Linux cooked": (113, bytes(14) + b"\x08\x00" + ipv4(udp(DATA))),
    "Linux cooked, VLAN": (113, bytes(14) + b"\x81\x00\x00\x05\x86\xdd" + ipv6(udp(DATA))),
    "Linux cooked 2": (276, b"\x08\x00" + bytes(18) + ipv4(udp(DATA))),
    "raw": (101, ipv4(udp(DATA))),
    "raw, as libpcap calls it": (12, ipv6(udp(DATA))),
    "raw IPv4": (228, ipv4(udp(DATA))),
    "raw IPv6": (229, ipv6(udp(DATA))),
    "BSD loopback": (0, b"\x02\x00\x00\x00" + ipv4(udp(DATA))),
    "OpenBSD loopback": (108, b"\x00\x00\x00\x18" + ipv6(udp(DATA))),
}

BAD = {
    "not_udp": [
        (1, ethernet(ipv4(udp(DATA), protocol=6))),
        (1, bytes(12) + b"\x08\x06" + bytes(28)),
        (1, ethernet(ipv6(udp(DATA), following=58))),
        (101, b"\x00" * 40),
    ],
    "fragment": [
        (1, ethernet(ipv4(udp(DATA), fragment=0x2000))),
        (1, ethernet(ipv4(DATA, fragment=0x0010))),
        (1, ethernet(ipv6(udp(DATA), following=44, extensions=struct.pack(">BBHI", 17, 0, 1, 7)))),
        (1, ethernet(ipv6(DATA, following=44, extensions=struct.pack(">BBHI", 17, 0, 8, 7)))),
    ],
    "cut_short": [(1, ethernet(ipv4(udp(DATA)))[:-1]), (101, ipv6(udp(DATA))[:-5])],
    "malformed": [
        (1, b""),
        (1, bytes(13)),
        (1, ethernet(ipv4(udp(DATA)))[:30]),
        (1, ethernet(ipv4(udp(DATA, length=7)))),
        (1, ethernet(ipv4(udp(DATA, length=500)))),
        (1, bytes(12) + b"\x81\x00\x00\x00" * 9),
        (1, bytes(12) + b"\x08\x00" + b"\x41" + ipv4(udp(DATA))[1:]),
        (1, bytes(12) + b"\x08\x00" + b"\x65" + ipv4(udp(DATA))[1:]),
        (1, ethernet(ipv6(udp(DATA), following=0, extensions=(struct.pack("BB", 0, 0) + bytes(6)) * 9))),
    ],
}


def udp_payload(link_type: int, frame: bytes) -> bytes:
    start, end = udp_span(link_type, np.frombuffer(frame, np.uint8))
    return frame[start:end]


@pytest.mark.parametrize("name", GOOD)
def test_payload(name: str) -> None:
    assert udp_payload(*GOOD[name]) == DATA


@pytest.mark.parametrize(("reason", "link_type", "frame"), [(why, *case) for why in BAD for case in BAD[why]])
def test_rejected(reason: str, link_type: int, frame: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        udp_payload(link_type, frame)
    assert caught.value.reason == reason


def test_lengths_of_zero_are_those_before_segmentation() -> None:
    datagram = udp(DATA, length=0)
    packet = bytearray(ipv4(datagram))
    packet[2:4] = b"\0\0"
    assert udp_payload(101, bytes(packet)) == DATA


def test_an_empty_datagram() -> None:
    assert udp_payload(1, ethernet(ipv4(udp(b"")), padding=18)) == b""


@given(st.sampled_from(sorted(LINK_TYPES)), st.binary(max_size=200))
def test_any_bytes(link_type: int, frame: bytes) -> None:
    _check(link_type, frame)


@given(st.sampled_from(sorted(GOOD)), st.data())
def test_a_spoilt_byte(name: str, data: st.DataObject) -> None:
    link_type, frame = GOOD[name]
    spoilt = bytearray(frame)
    spoilt[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    _check(link_type, bytes(spoilt))


def _check(link_type: int, frame: bytes) -> None:
    """There is a payload within the frame, or a reason."""
    payload, reason = b"", ""
    try:
        payload = udp_payload(link_type, frame)
    except Rejected as rejected:
        reason = rejected.reason
    assert not reason or reason in BAD
    assert payload in frame
