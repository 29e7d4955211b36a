"""Cutting heaps into packets, and taking packets' headers apart: both for many packets at once.

A packet (specification section 4) is a header word, item pointers of 64 bits, and payload. The four pointers that
every packet starts with say which heap it belongs to, how long that is, and which part of it follows.

The cut depends only on sizes, so it is planned once (:func:`plan_packets`) and kept as a template of all the heap's
headers, in which a heap only changes a few words.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from .batch import Bytes, Offsets, PacketBatch
from .constants import (
    CTRL_STREAM_STOP,
    HEAP_CNT_ID,
    HEAP_LENGTH_ID,
    MAGIC,
    NULL_ID,
    PAYLOAD_LENGTH_ID,
    PAYLOAD_OFFSET_ID,
    STREAM_CTRL_ID,
    VERSION,
)
from .flavour import Flavour
from .layout import HeapLayout, Pointers
from .rejection import PacketError, Rejection
from .words import BIG_ENDIAN, NATIVE, WORD, Words, header_word, immediate_word, item_key, words_at

__all__ = [
    "DecodedPackets",
    "Packet",
    "PacketPlan",
    "decode_headers",
    "decode_packet",
    "encode_heap",
    "plan_packets",
]

#: Header word and the four pointers of every packet, in bytes.
_PREFIX: Final = 5 * WORD
#: The header counts its item pointers with 16 bits; four of them are in every packet.
_MAX_POINTERS: Final = 0xFFFF - 4
#: Each packet has room for at least this much payload, in bytes.
_MIN_PAYLOAD: Final = WORD
#: Batches of fewer packets are decoded without numpy (measured: 3 us a packet against 80 us and 0.3 us a packet).
_WORTH_VECTORS: Final = 24
#: The columns of `DecodedPackets`, in order, for one packet.
_Fields: TypeAlias = tuple[int, int, int, int, int, int, int, bool, Pointers | None]


# --------------------------------------------------------------------------------------------------- encoding


@attrs.frozen(eq=False)
class PacketPlan:
    """How a heap is cut: a template of all its headers, and where each packet's parts lie.

    The template is big-endian words in which the heap cnts are 0 and the item pointers are missing.
    """

    #: Big-endian words of all headers, back to back.
    template: npt.NDArray[np.uint64]
    #: Index of each packet's heap cnt in `template`.
    cnt_words: Offsets
    #: Index in `template` of each item pointer that is to be filled in …
    pointer_words: Offsets
    #: … and which of the heap's pointers goes there.
    pointer_index: Offsets
    #: How many NULL pointers, 0 or 1, end the list of pointers.
    null_pointers: int
    #: Zero bytes to append to the payload.
    padding: int
    head_offsets: Offsets
    head_sizes: Offsets
    body_offsets: Offsets
    body_sizes: Offsets


@lru_cache(maxsize=256)
def plan_packets(
    num_pointers: int, payload_size: int, heap_address_bits: int, max_packet_size: int, repeat_pointers: bool
) -> PacketPlan:
    """Plan the cut of a heap with so many item pointers and so much payload.

    Pointers fill the first packets, each of which still has room for some payload, and payload the rest. A heap
    with too little payload for all its pointers is padded with zeros behind a NULL pointer, because every packet
    carries payload.

    Raises
    ------
    ValueError
        If `max_packet_size` (bytes, rounded down to a multiple of 8) leaves no room, or the heap is too large
        for the flavour.
    """
    max_packet_size -= max_packet_size % WORD
    if num_pointers + 1 > _MAX_POINTERS:
        if repeat_pointers:
            raise ValueError(f"{num_pointers} item pointers cannot be repeated: a packet has {_MAX_POINTERS} at most")
        max_packet_size = min(max_packet_size, _PREFIX + WORD * _MAX_POINTERS + _MIN_PAYLOAD)
    room = (max_packet_size - _PREFIX - _MIN_PAYLOAD) // WORD
    if room < 1 or (repeat_pointers and num_pointers + 1 > room):
        need = _PREFIX + _MIN_PAYLOAD + WORD * (num_pointers + 1 if repeat_pointers else 1)
        raise ValueError(f"packet size is too small: {max_packet_size} bytes, this heap needs at least {need}")
    required = 1 if repeat_pointers else _MIN_PAYLOAD * (-(-(num_pointers + 1) // room) - 1) + 1
    padding = max(0, required - payload_size)
    total = payload_size + padding
    if total >= 1 << heap_address_bits:
        raise ValueError(f"a heap of {total} bytes is too large for {heap_address_bits}-bit addresses")
    counts = _pointers_per_packet(num_pointers + bool(padding), room, total, max_packet_size, repeat_pointers)
    capacity = max_packet_size - _PREFIX - WORD * counts
    body_offsets = np.concatenate(([0], np.cumsum(capacity)))[:-1].astype(np.int64)
    body_sizes = np.minimum(capacity, total - body_offsets)
    head_sizes = _PREFIX + WORD * counts
    head_offsets = np.cumsum(head_sizes) - head_sizes
    first_words = head_offsets // WORD

    template = np.zeros(int(head_sizes.sum()) // WORD, NATIVE)
    template[first_words] = header_word(heap_address_bits, 0) + (counts + 4).astype(np.uint64)
    columns = (np.uint64(0), np.uint64(total), body_offsets.astype(np.uint64), body_sizes.astype(np.uint64))
    for position, item_id in enumerate(_EVERY_PACKET, 1):
        template[first_words + position] = columns[position - 1] | immediate_word(item_id, heap_address_bits)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return PacketPlan(
        template=template.astype(BIG_ENDIAN),
        cnt_words=first_words + 1,
        pointer_words=np.repeat(first_words + 5, counts) + within,
        pointer_index=within if repeat_pointers else np.arange(counts.sum()),
        null_pointers=int(padding > 0),
        padding=padding,
        head_offsets=head_offsets,
        head_sizes=head_sizes,
        body_offsets=body_offsets,
        body_sizes=body_sizes,
    )


def encode_heap(
    layout: HeapLayout, flavour: Flavour, cnt: int, max_packet_size: int, repeat_pointers: bool = False
) -> PacketBatch:
    """All packets of a heap, with the heap's own memory as the bodies.

    Parameters
    ----------
    layout
        The heap's pointers and payload.
    flavour
        Decides the width of addresses.
    cnt
        The heap's number, ``0 <= cnt <= flavour.address_mask``.
    max_packet_size
        Largest size of a packet, in bytes, headers included.
    repeat_pointers
        Whether each packet carries all of the heap's item pointers.

    Raises
    ------
    ValueError
        If the packet size is too small, or the heap too large for the flavour.
    """
    bits = flavour.heap_address_bits
    pointers = layout.pointers
    plan = plan_packets(len(pointers), layout.payload_size, bits, max_packet_size, repeat_pointers)
    bodies = layout.payload
    if plan.padding:
        null = np.array([(NULL_ID << bits) | layout.payload_size], NATIVE)
        # Empty items at the end stay there: if the NULL pointer came before theirs, they would get the zeros.
        at_end = pointers & np.uint64(1 << 63 | (1 << bits) - 1) == layout.payload_size
        pointers = np.concatenate((pointers + np.uint64(plan.padding) * at_end, null))
        bodies = (*bodies, np.zeros(plan.padding, np.uint8))
    words = plan.template.copy()
    words[plan.cnt_words] = cnt | int(immediate_word(HEAP_CNT_ID, bits))
    words[plan.pointer_words] = pointers[plan.pointer_index]
    return PacketBatch(
        words.view(np.uint8),
        plan.head_offsets,
        plan.head_sizes,
        bodies,
        plan.body_offsets,
        plan.body_sizes,
    )


_EVERY_PACKET: Final = (HEAP_CNT_ID, HEAP_LENGTH_ID, PAYLOAD_OFFSET_ID, PAYLOAD_LENGTH_ID)


def _pointers_per_packet(count: int, room: int, payload: int, max_packet_size: int, repeat: bool) -> Offsets:
    """How many item pointers each packet of the heap carries."""
    if repeat:
        per_packet = max_packet_size - _PREFIX - WORD * count
        return np.full(max(1, -(-payload // per_packet)), count, np.int64)
    full, rest = divmod(count, room)
    leading = [room] * full + [rest] * (rest > 0)
    taken = sum(max_packet_size - _PREFIX - WORD * n for n in leading)
    trailing = max(0, -(-(payload - taken) // (max_packet_size - _PREFIX)))
    return np.array(leading + [0] * trailing, np.int64)


# --------------------------------------------------------------------------------------------------- decoding


@attrs.frozen(eq=False)
class DecodedPackets:
    """What the headers of a batch say; one element per packet. Only those with reason ``NONE`` are to be used."""

    #: A :class:`Rejection`, ``NONE`` for a valid packet.
    reason: npt.NDArray[np.int64]
    heap_address_bits: npt.NDArray[np.int64]
    header_size: Offsets
    heap_cnt: npt.NDArray[np.uint64]
    #: -1 if the packet does not say.
    heap_length: Offsets
    payload_offset: Offsets
    payload_size: Offsets
    #: Whether one of the item pointers is the stop item.
    stops: npt.NDArray[np.bool_]
    #: The item pointers other than the four that every packet has, in order; ``None`` if there are none.
    pointers: list[Pointers | None]
    #: How many they are.
    num_pointers: Offsets


def decode_headers(batch: PacketBatch) -> DecodedPackets:
    """Take the headers of all packets of `batch` apart. Any bytes are fine: a bad packet gets a reason."""
    if bool(np.any((batch.head_sizes < WORD) & (batch.body_sizes > 0))):
        batch = batch.flatten()  # cut within the header word: the contract does not promise speed for this
    count = len(batch)
    if count < _WORTH_VECTORS:
        return _decode_few(batch)
    decoded = DecodedPackets(
        reason=np.full(count, Rejection.TRUNCATED, np.int64),
        heap_address_bits=np.zeros(count, np.int64),
        header_size=np.zeros(count, np.int64),
        heap_cnt=np.zeros(count, np.uint64),
        heap_length=np.full(count, -1, np.int64),
        payload_offset=np.zeros(count, np.int64),
        payload_size=np.zeros(count, np.int64),
        stops=np.zeros(count, np.bool_),
        pointers=[None] * count,
        num_pointers=np.zeros(count, np.int64),
    )
    rows = np.flatnonzero(batch.head_sizes >= WORD)
    if not len(rows):
        return decoded
    first = words_at(batch.heads, batch.head_offsets[rows], 1)[:, 0]
    address_bytes = (first >> 32 & 0xFF).astype(np.int64)
    header_size = WORD + WORD * (first & 0xFFFF).astype(np.int64)
    sizes = batch.sizes[rows]
    decoded.reason[rows] = np.select(
        [
            first >> 56 != MAGIC,
            first >> 48 & 0xFF != VERSION,
            ((first >> 40 & 0xFF).astype(np.int64) + address_bytes != WORD)
            | (address_bytes < 1)
            | (address_bytes > 7),
            header_size > sizes,
        ],
        [Rejection.MAGIC, Rejection.VERSION, Rejection.FLAVOUR, Rejection.TRUNCATED],
        Rejection.NONE,
    )
    decoded.heap_address_bits[rows] = 8 * address_bytes
    decoded.header_size[rows] = header_size
    if bool(np.any((decoded.reason == Rejection.NONE) & (decoded.header_size > batch.head_sizes))):
        batch = batch.flatten()
    # Packets with equally long headers of one flavour form a table of words; a heap's packets are one or two kinds.
    kind = np.where(decoded.reason == Rejection.NONE, decoded.header_size * 64 + decoded.heap_address_bits, -1)
    for value in np.unique(kind[kind >= 0]).tolist():
        _decode_pointers(batch, np.flatnonzero(kind == value), value // 64, value % 64, decoded)
    return decoded


def _decode_few(batch: PacketBatch) -> DecodedPackets:
    """The same, packet by packet: a few of them are done before numpy has set up its first array."""
    view = batch.heads.data
    fields: list[_Fields] = []
    for start, head_size, body_size in zip(
        batch.head_offsets.tolist(), batch.head_sizes.tolist(), batch.body_sizes.tolist(), strict=True
    ):
        try:
            fields.append(_decode_one(view, start, head_size, head_size + body_size))
        except struct.error:  # the header goes on in the body
            return _decode_few(batch.flatten())
    numbers = np.array([f[:8] for f in fields], np.int64).reshape(-1, 8)
    reason, bits, header_size, cnt, length, offset, size, stops = numbers.T
    pointers = [f[8] for f in fields]
    num_pointers = np.array([0 if p is None else len(p) for p in pointers], np.int64)
    return DecodedPackets(
        reason,
        bits,
        header_size,
        cnt.astype(np.uint64),
        length,
        offset,
        size,
        stops.astype(np.bool_),
        pointers,
        num_pointers,
    )


def _decode_one(view: memoryview, start: int, head_size: int, total_size: int) -> _Fields:
    """The elements of :class:`DecodedPackets` for one packet."""
    if head_size < WORD:
        return _rejected(Rejection.TRUNCATED)
    (first,) = struct.unpack_from(">Q", view, start)
    address_bytes = first >> 32 & 0xFF
    bits = 8 * address_bytes
    if first >> 56 != MAGIC:
        return _rejected(Rejection.MAGIC)
    if first >> 48 & 0xFF != VERSION:
        return _rejected(Rejection.VERSION)
    if not 1 <= address_bytes <= 7 or (first >> 40 & 0xFF) + address_bytes != WORD:
        return _rejected(Rejection.FLAVOUR)
    count = first & 0xFFFF
    header_size = WORD + WORD * count
    if header_size > total_size:
        return _rejected(Rejection.TRUNCATED)
    if header_size > head_size:
        raise struct.error("header reaches into the body")
    cnt = length = offset = size = -1
    others: list[int] = []
    key = 1 << 63 - bits
    mask = (1 << bits) - 1
    for word in struct.unpack_from(f">{count}Q", view, start + WORD):
        item = word >> bits
        if item == key | HEAP_CNT_ID:
            cnt = word & mask
        elif item == key | HEAP_LENGTH_ID:
            length = word & mask
        elif item == key | PAYLOAD_OFFSET_ID:
            offset = word & mask
        elif item == key | PAYLOAD_LENGTH_ID:
            size = word & mask
        else:
            others.append(word)
    reason = Rejection.NONE
    if cnt < 0 or offset < 0 or size < 0:
        reason = Rejection.MISSING_ITEM
    elif size != total_size - header_size:
        reason = Rejection.SIZE_MISMATCH
    elif 0 <= length < offset + size:
        reason = Rejection.OUT_OF_BOUNDS
    stops = (key | STREAM_CTRL_ID) << bits | CTRL_STREAM_STOP in others
    pointers = np.array(others, np.uint64) if others else None
    return reason, bits, header_size, max(cnt, 0), length, max(offset, 0), max(size, 0), stops, pointers


def _rejected(reason: Rejection) -> _Fields:
    return reason, 0, 0, 0, -1, 0, 0, False, None


def _decode_pointers(
    batch: PacketBatch, rows: npt.NDArray[np.int64], header_size: int, bits: int, decoded: DecodedPackets
) -> None:
    """Fill in `decoded` for packets whose headers have the same size and flavour."""
    words = words_at(batch.heads, batch.head_offsets[rows] + WORD, header_size // WORD - 1)
    keys = words >> bits
    if bool(np.all(keys == keys[0])):
        keys = keys[:1]  # one row stands for all: so it is for the packets of a heap
    mask = np.uint64((1 << bits) - 1)
    others = np.ones(keys.shape, np.bool_)
    found: dict[int, tuple[npt.NDArray[np.bool_], Words]] = {}
    for item_id in _EVERY_PACKET:
        match = keys == item_key(item_id, bits)
        others &= ~match
        if words.shape[1]:
            last = words.shape[1] - 1 - np.argmax(match[:, ::-1], axis=1)  # the last one counts
            found[item_id] = match.any(axis=1), words[np.arange(len(rows)), last] & mask
        else:
            found[item_id] = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.uint64)
    others = np.broadcast_to(others, words.shape)
    has_cnt, cnt = found[HEAP_CNT_ID]
    has_length, length = found[HEAP_LENGTH_ID]
    has_offset, offset = found[PAYLOAD_OFFSET_ID]
    has_size, size = found[PAYLOAD_LENGTH_ID]
    decoded.heap_cnt[rows] = cnt
    decoded.heap_length[rows] = np.where(has_length, length.astype(np.int64), -1)
    decoded.payload_offset[rows] = offset.astype(np.int64)
    decoded.payload_size[rows] = size.astype(np.int64)
    decoded.reason[rows] = np.select(
        [
            ~(has_cnt & has_offset & has_size),
            size.astype(np.int64) != batch.sizes[rows] - header_size,
            has_length & (offset + size > length),
        ],
        [Rejection.MISSING_ITEM, Rejection.SIZE_MISMATCH, Rejection.OUT_OF_BOUNDS],
        Rejection.NONE,
    )
    decoded.stops[rows] = (words == immediate_word(STREAM_CTRL_ID, bits) | np.uint64(CTRL_STREAM_STOP)).any(axis=1)
    num_pointers = others.sum(axis=1)
    decoded.num_pointers[rows] = num_pointers
    for index in np.flatnonzero(num_pointers).tolist():
        decoded.pointers[rows[index]] = words[index][others[index]]


@attrs.frozen(eq=False)
class Packet:
    """One packet, taken apart."""

    flavour: Flavour
    heap_cnt: int
    #: In bytes; -1 if the packet does not say.
    heap_length: int
    payload_offset: int
    #: Item pointers other than the four that every packet has.
    pointers: Pointers
    payload: Bytes


def decode_packet(data: Bytes, bug_compat: int = 0) -> Packet:
    """Take one packet apart.

    Raises
    ------
    PacketError
        If it is not a valid packet; its ``reason`` says why.
    """
    reason, bits, header_size, cnt, length, offset, _, _, pointers = _decode_one(data.data, 0, len(data), len(data))
    if reason:
        raise PacketError(Rejection(reason))
    flavour = Flavour(VERSION, 64, bits, bug_compat)
    no_pointers = np.zeros(0, np.uint64)
    return Packet(flavour, cnt, length, offset, no_pointers if pointers is None else pointers, data[header_size:])
