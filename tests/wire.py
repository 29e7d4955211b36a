"""Packets made by hand, word by word, so that tests do not depend on the encoder."""

from __future__ import annotations

import struct
from collections.abc import Iterable

IMMEDIATE = 1 << 63


def immediate(item_id: int, value: int, bits: int = 40) -> int:
    """The pointer of an item whose value is in the pointer."""
    return IMMEDIATE | item_id << bits | value


def addressed(item_id: int, address: int, bits: int = 40) -> int:
    """The pointer of an item whose value is in the payload."""
    return item_id << bits | address


def raw_packet(pointers: Iterable[int], payload: bytes = b"", bits: int = 40) -> bytes:
    """A packet with just these pointers."""
    words = list(pointers)
    header = struct.pack(">BBBBHH", 0x53, 4, 8 - bits // 8, bits // 8, 0, len(words))
    return header + struct.pack(f">{len(words)}Q", *words) + payload


def packet(
    cnt: int,
    payload: bytes = b"",
    pointers: Iterable[int] = (),
    *,
    offset: int = 0,
    length: int | None = -1,
    bits: int = 40,
) -> bytes:
    """A packet with the pointers that every packet has, and others.

    By default the heap ends with the packet; `length` ``None`` leaves the heap length out.
    """
    words = [immediate(1, cnt, bits), immediate(3, offset, bits), immediate(4, len(payload), bits)]
    if length is not None:
        words.append(immediate(2, offset + len(payload) if length < 0 else length, bits))
    return raw_packet([*words, *pointers], payload, bits)
