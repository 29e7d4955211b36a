"""Finding packets where they lie back to back, with nothing that says where one ends but its header."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np

from .batch import Bytes, Offsets, strided_rows
from .constants import PAYLOAD_LENGTH_ID
from .words import BIG_ENDIAN, NATIVE, WORD, header_word, item_key, words_at

__all__ = ["frame_packets", "oversized"]

#: Of headers that claim a packet too large for the reader, those that claim more than this are junk, in bytes.
_PLAUSIBLE: Final = 1 << 30
#: The first half of the header word, by which a packet is recognised: magic number, version, and the sizes of an
#: item's id and address. For each, the number of bits of an address.
_PREFIXES: Final = {int(header_word(bits, 0)) >> 32: bits for bits in range(8, 64, 8)}
_PREFIX_SIZE: Final = 4
#: Any of these, or as much of one as there is before the end of the data.
_BEGINNING: Final = re.compile(
    rb"\x53(?:\Z|\x04(?:\Z|[\x01-\x07]\Z|\x07\x01|\x06\x02|\x05\x03|\x04\x04|\x03\x05|\x02\x06|\x01\x07))"
)
#: After so many packets of one size it is worth looking at the following ones with numpy.
_STREAK: Final = 8
#: The same for the number of items in a header.
_MANY_ITEMS: Final = 32


def frame_packets(
    data: Bytes, start: int = 0, limit: int = sys.maxsize, max_packet_size: int = sys.maxsize
) -> tuple[Offsets, Offsets]:
    """Find packets in bytes where they lie back to back: in a file, or on a TCP connection.

    Bytes between packets are reported as packets of 8 bytes (the last may be shorter), so that they are counted as
    rejected. The search ends at an incomplete packet, and at one that is too large (:func:`oversized`).

    Parameters
    ----------
    data
        The bytes.
    start
        Where the first packet starts.
    limit
        How many packets to find at most.
    max_packet_size
        Largest packet, in bytes.

    Returns
    -------
    offsets, sizes
        Of each complete packet, in bytes.
    """
    runs: list[tuple[int, int, int]] = []  # start, size and number of packets
    previous = streak = 0
    view = data.data
    while limit > 0 and start + WORD <= len(view):
        size = _packet_size(data, start, max_packet_size)
        if size is None or size > max_packet_size or start + size > len(view):
            break
        count = 1
        if size:
            streak = streak + 1 if size == previous else 0
            previous = size
            if streak >= _STREAK:
                streak = 0
                count = _count_alike(data, start, size, limit)
        else:
            end = _next_header(data, start + 1)
            size, count = WORD, min(limit, (end - start) // WORD)
            if not count:
                if end + _PREFIX_SIZE > len(view):
                    break
                size, count = end - start, 1
        runs.append((start, size, count))
        start += size * count
        limit -= count
    table = np.array(runs, np.int64).reshape(-1, 3)
    counts = table[:, 2]
    sizes = np.repeat(table[:, 1], counts)
    within = np.arange(len(sizes), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    offsets: Offsets = np.repeat(table[:, 0], counts) + within * sizes
    return offsets, sizes


def oversized(data: Bytes, start: int, max_packet_size: int) -> int:
    """Size of the packet that starts here, in bytes, if it is larger than `max_packet_size`; else 0.

    It has to be skipped as a whole: descriptors within its payload are packets, too, and would be taken for some.
    A claim beyond 1 GiB is not believed, because to skip that much for a damaged header would lose too much.
    """
    size = _packet_size(data, start, max_packet_size) if start + WORD <= len(data) else None
    return size if size is not None and size > max_packet_size else 0


def _next_header(data: Bytes, start: int) -> int:
    """The first place from `start` on where what is there of the data looks like a packet's first bytes."""
    found = _BEGINNING.search(data.data, start)
    return len(data) if found is None else found.start()


def _count_alike(data: Bytes, start: int, size: int, limit: int) -> int:
    """How many packets from `start` on certainly have `size` bytes, because their headers say so in the same way."""
    most = min(limit, (len(data) - start) // size)
    if most == 1:
        return 1
    (first,) = struct.unpack_from(">Q", data.data, start)
    header_size, bits = WORD + WORD * (first & 0xFFFF), 8 * (first >> 32 & 0xFF)
    words = words_at(data, np.array([start], np.int64), header_size // WORD)[0]
    # What must be equal: the header word, which items there are, and the payload length.
    relevant = np.full(len(words), np.iinfo(np.uint64).max << bits & np.iinfo(np.uint64).max, NATIVE)
    relevant[0] = np.iinfo(np.uint64).max
    relevant[words >> bits == item_key(PAYLOAD_LENGTH_ID, bits)] = np.iinfo(np.uint64).max
    count, step = 1, 8
    while count < most:
        rows = strided_rows(data, start + count * size, size, min(step, most - count), header_size)
        differs = ((rows.view(BIG_ENDIAN) ^ words) & relevant).any(axis=1)
        if differs.any():
            return count + int(np.argmax(differs))
        count += len(rows)
        step *= 4  # so that packets which are not alike cost little to look at
    return count


def _packet_size(data: Bytes, start: int, max_packet_size: int) -> int | None:
    """Size of the packet that starts here, 0 if none can, ``None`` if its header is not all there.

    Its header is not larger than `max_packet_size`; the packet may be.
    """
    view = data.data
    first: int = struct.unpack_from(">Q", view, start)[0]
    bits = _PREFIXES.get(first >> 32)
    if bits is None:
        return 0
    count = first & 0xFFFF
    header_size = WORD + WORD * count
    if header_size > max_packet_size:
        return 0
    if start + header_size > len(view):
        return None
    key = int(item_key(PAYLOAD_LENGTH_ID, bits))
    words: Sequence[int] = struct.unpack_from(f">{min(count, _MANY_ITEMS)}Q", view, start + WORD)
    if count > _MANY_ITEMS:
        found = data[start + WORD : start + header_size].view(BIG_ENDIAN)
        words = found[found >> bits == key][-1:].tolist()
    payload: int | None = None
    for word in words:
        if word >> bits == key:
            payload = word & (1 << bits) - 1
    if payload is None or header_size + payload > max(max_packet_size, _PLAUSIBLE):
        return 0
    return header_size + payload
