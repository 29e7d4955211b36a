"""Finding the UDP payload in a captured frame. Frames come from a network: nothing in them is believed unchecked."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, TypeAlias

__all__ = ["LINK_TYPES", "Rejected", "udp_payload"]

#: LINKTYPE_… numbers of pcap-linktype(7), and what they are called. libpcap gives 12 for 101.
LINK_TYPES: Final[dict[int, str]] = {
    0: "NULL",
    1: "ETHERNET",
    12: "RAW",
    101: "RAW",
    108: "LOOP",
    113: "LINUX_SLL",
    228: "IPV4",
    229: "IPV6",
    276: "LINUX_SLL2",
}

_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD
#: Tags before the true type: customer's, service provider's, and older forms of that.
_VLANS: Final = frozenset((0x8100, 0x88A8, 0x9100, 0x9200))
_MOST_TAGS: Final = 8
_UDP: Final = 17
#: IPv6 extension headers with a length in units of 8 bytes: hop-by-hop, routing, destination, mobility.
_EXTENSIONS: Final = frozenset((0, 43, 60, 135))
_FRAGMENT: Final = 44
_MOST_EXTENSIONS: Final = 8

#: In the word of an IPv4 header: more fragments follow, or this is not the first.
_FRAGMENTED: Final = 0x3FFF
#: Ethernet without tags, IPv4 without options, UDP: from the Ethernet type to the length of the datagram.
_ETHERNET: Final = 1
_PLAIN: Final = struct.Struct(">HBxHxxHxB14xH")
_PLAIN_SIZE: Final = 42

#: Where the payload begins and ends.
_Span: TypeAlias = tuple[int, int]


class Rejected(Exception):  # noqa: N818 - not an error
    """The frame has no payload for us: it is ``not_udp``, a ``fragment``, ``cut_short`` or ``malformed``."""

    @property
    def reason(self) -> str:
        """What drops are counted under."""
        return str(self.args[0])


def udp_payload(link_type: int, frame: bytes) -> bytes:
    """The payload of the UDP datagram in a frame.

    Parameters
    ----------
    link_type
        One of :data:`LINK_TYPES`.
    frame
        What was captured of it.

    Raises
    ------
    Rejected
        If it holds no whole datagram.
    """
    if link_type == _ETHERNET and len(frame) >= _PLAIN_SIZE:
        # Almost all frames are of this kind, and are done here in a tenth of the time.
        kind, first, total, fragment, protocol, length = _PLAIN.unpack_from(frame, 12)
        plain = kind == _IPV4 and first == 0x45 and protocol == _UDP and not fragment & _FRAGMENTED
        if plain and 8 <= length <= total - 20 and 34 + length <= len(frame):
            return frame[42 : 34 + length]
    try:
        start, end = _LINKS[link_type](frame)
    except struct.error:
        raise Rejected("malformed") from None
    if end > len(frame):
        raise Rejected("cut_short")
    return frame[start:end]


def _ethernet(frame: bytes) -> _Span:
    return _network(frame, *_skip_tags(frame, _word(frame, 12), 14))


def _cooked(frame: bytes) -> _Span:
    return _network(frame, *_skip_tags(frame, _word(frame, 14), 16))


def _cooked_2(frame: bytes) -> _Span:
    return _network(frame, *_skip_tags(frame, _word(frame, 0), 20))


def _raw(frame: bytes) -> _Span:
    return _by_version(frame, 0)


def _loopback(frame: bytes) -> _Span:
    return _by_version(frame, 4)


_LINKS: Final[dict[int, Callable[[bytes], _Span]]] = {
    0: _loopback,
    1: _ethernet,
    12: _raw,
    101: _raw,
    108: _loopback,
    113: _cooked,
    228: _raw,
    229: _raw,
    276: _cooked_2,
}


def _word(frame: bytes, at: int) -> int:
    (word,) = struct.unpack_from(">H", frame, at)
    return int(word)


def _skip_tags(frame: bytes, kind: int, at: int) -> tuple[int, int]:
    """The type behind any VLAN tags, and where what it describes begins."""
    for _ in range(_MOST_TAGS):
        if kind not in _VLANS:
            return kind, at
        kind, at = _word(frame, at + 2), at + 4
    raise Rejected("malformed")


def _network(frame: bytes, kind: int, at: int) -> _Span:
    if kind == _IPV4:
        return _ipv4(frame, at)
    if kind == _IPV6:
        return _ipv6(frame, at)
    raise Rejected("not_udp")


def _by_version(frame: bytes, at: int) -> _Span:
    version = struct.unpack_from("B", frame, at)[0] >> 4
    return _network(frame, {4: _IPV4, 6: _IPV6}.get(version, 0), at)


def _ipv4(frame: bytes, at: int) -> _Span:
    first, total, fragment, protocol = struct.unpack_from(">BxHxxHxB", frame, at)
    header = 4 * (first & 0xF)
    # A length of 0 stands for more than 65535: what the network card was yet to cut (segmentation offload).
    end = at + total if total else len(frame)
    if first >> 4 != 4 or header < 20 or end < at + header:
        raise Rejected("malformed")
    if protocol != _UDP:
        raise Rejected("not_udp")
    if fragment & _FRAGMENTED:
        raise Rejected("fragment")
    return _udp(frame, at + header, end)


def _ipv6(frame: bytes, at: int) -> _Span:
    first, length, following = struct.unpack_from(">BxxxHB", frame, at)
    if first >> 4 != 6:
        raise Rejected("malformed")
    at += 40
    end = at + length if length else len(frame)
    for _ in range(_MOST_EXTENSIONS):
        if following == _UDP:
            return _udp(frame, at, end)
        if following == _FRAGMENT:
            following, fragment = struct.unpack_from(">BxH", frame, at)
            if fragment & 0xFFF9:
                raise Rejected("fragment")
            at += 8
        elif following in _EXTENSIONS:
            following, units = struct.unpack_from("BB", frame, at)
            at += 8 + 8 * units
        else:
            raise Rejected("not_udp")
    raise Rejected("malformed")


def _udp(frame: bytes, at: int, end: int) -> _Span:
    length = _word(frame, at + 4)
    if length:
        if length < 8 or at + length > end:
            raise Rejected("malformed")
        end = at + length
    return at + 8, max(at + 8, end)
