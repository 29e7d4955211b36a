"""Finding the UDP payload in a captured frame. Frames come from a network: nothing in them is believed unchecked."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from spead_transport.transport import Bytes, Offsets

__all__ = ["LINK_TYPES", "SPARE", "Rejected", "udp_span", "udp_spans"]

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
_ETHERNET: Final = 1
#: Bytes of the headers of Ethernet without tags, IPv4 without options, and UDP.
_HEADERS: Final = 42
#: Bytes behind the last frame of a block, so that its headers can be looked at before its size is.
SPARE: Final = _HEADERS

#: Where the payload begins and ends.
_Span: TypeAlias = tuple[int, int]


class Rejected(Exception):  # noqa: N818 - not an error
    """The frame has no payload for us: it is ``not_udp``, a ``fragment``, ``cut_short`` or ``malformed``."""

    @property
    def reason(self) -> str:
        """What drops are counted under."""
        return str(self.args[0])


def udp_span(link_type: int, frame: Bytes) -> _Span:
    """Where the payload of the UDP datagram in a frame begins and ends.

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
    try:
        start, end = _LINKS[link_type](frame.data)
    except struct.error:
        raise Rejected("malformed") from None
    if end > len(frame):
        raise Rejected("cut_short")
    return start, end


def udp_spans(
    link_type: int, block: Bytes, starts: Offsets, sizes: Offsets
) -> tuple[npt.NDArray[np.bool_], Offsets, Offsets, Counter[str]]:
    """What :func:`udp_span` finds in many frames.

    Almost all frames are Ethernet without tags and IPv4 without options: these take a fraction of others' time.

    Parameters
    ----------
    link_type
        One of :data:`LINK_TYPES`.
    block
        Where the frames lie, and :data:`SPARE` bytes that are not used.
    starts, sizes
        Where each frame starts in it, and how much of it was captured.

    Returns
    -------
    tuple
        Which frames have a payload; where in `block` it starts and how long it is, for all frames; and how many
        were rejected for which reason.
    """
    network = _words(block, starts + 12, 8)  # type, version and header's size, …, total size, …
    transport = _words(block, starts + 20, 8)  # fragment, …, protocol, …
    lengths = _words(block, starts + 38, 2).astype(np.int64)
    totals = (network >> np.uint64(16) & np.uint64(0xFFFF)).astype(np.int64)
    good = np.full(len(starts), link_type == _ETHERNET) & (sizes >= _HEADERS)
    good &= network & np.uint64(0xFFFFFF << 40) == _IPV4 << 48 | 0x45 << 40
    good &= transport & np.uint64(_FRAGMENTED << 48 | 0xFF << 32) == _UDP << 32
    good &= (lengths >= 8) & (lengths + 20 <= totals) & (lengths + 34 <= sizes)
    begins, widths = starts + _HEADERS, lengths - 8
    reasons: Counter[str] = Counter()
    for row in np.flatnonzero(~good).tolist():
        at = int(starts[row])
        try:
            begin, end = udp_span(link_type, block[at : at + int(sizes[row])])
        except Rejected as rejected:
            reasons[rejected.reason] += 1
        else:
            good[row], begins[row], widths[row] = True, at + begin, end - begin
    return good, begins, widths, reasons


def _words(block: Bytes, at: Offsets, width: int) -> npt.NDArray[np.uint64]:
    """The big-endian numbers of `width` bytes at some places of a block."""
    everywhere = np.ndarray(len(block) - width + 1, f">u{width}", block, 0, (1,))
    return everywhere[at].astype(np.uint64)


def _ethernet(frame: memoryview) -> _Span:
    return _network(frame, *_skip_tags(frame, _word(frame, 12), 14))


def _cooked(frame: memoryview) -> _Span:
    return _network(frame, *_skip_tags(frame, _word(frame, 14), 16))


def _cooked_2(frame: memoryview) -> _Span:
    return _network(frame, *_skip_tags(frame, _word(frame, 0), 20))


def _raw(frame: memoryview) -> _Span:
    return _by_version(frame, 0)


def _loopback(frame: memoryview) -> _Span:
    return _by_version(frame, 4)


_LINKS: Final[dict[int, Callable[[memoryview], _Span]]] = {
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


def _word(frame: memoryview, at: int) -> int:
    (word,) = struct.unpack_from(">H", frame, at)
    return int(word)


def _skip_tags(frame: memoryview, kind: int, at: int) -> tuple[int, int]:
    """The type behind any VLAN tags, and where what it describes begins."""
    for _ in range(_MOST_TAGS):
        if kind not in _VLANS:
            return kind, at
        kind, at = _word(frame, at + 2), at + 4
    raise Rejected("malformed")


def _network(frame: memoryview, kind: int, at: int) -> _Span:
    if kind == _IPV4:
        return _ipv4(frame, at)
    if kind == _IPV6:
        return _ipv6(frame, at)
    raise Rejected("not_udp")


def _by_version(frame: memoryview, at: int) -> _Span:
    version = struct.unpack_from("B", frame, at)[0] >> 4
    return _network(frame, {4: _IPV4, 6: _IPV6}.get(version, 0), at)


def _ipv4(frame: memoryview, at: int) -> _Span:
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


def _ipv6(frame: memoryview, at: int) -> _Span:
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


def _udp(frame: memoryview, at: int, end: int) -> _Span:
    length = _word(frame, at + 4)
    if length:
        if length < 8 or at + length > end:
            raise Rejected("malformed")
        end = at + length
    return at + 8, max(at + 8, end)
