"""Descriptors as they are on the wire: each is a whole SPEAD packet, the value of an item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs
import numpy as np

from .batch import Bytes
from .constants import (
    BUG_COMPAT_DESCRIPTOR_WIDTHS,
    BUG_COMPAT_SHAPE_BIT_1,
    DESCRIPTOR_DESCRIPTION_ID,
    DESCRIPTOR_DTYPE_ID,
    DESCRIPTOR_FORMAT_ID,
    DESCRIPTOR_ID_ID,
    DESCRIPTOR_NAME_ID,
    DESCRIPTOR_SHAPE_ID,
)
from .flavour import Flavour
from .framing import frame_packets
from .layout import HeapLayout
from .packets import decode_packet, encode_heap
from .places import find_items

__all__ = ["Format", "RawDescriptor", "Shape", "decode_descriptor", "encode_descriptor"]

#: Fields of an element: a code (``u i f b c 0``) and a width in bits for each.
Format: TypeAlias = Sequence[tuple[str, int]]
#: Size of each dimension; ``None`` where it varies.
Shape: TypeAlias = Sequence[int | None]

# What a descriptor that arrives may have at most, because it takes a multiple of the memory to understand it.
_MAX_DIMENSIONS: Final = 1024
_MAX_FIELDS: Final = 4096
#: Descriptors are numbered as if each were the only heap of a stream.
_CNT: Final = 1


@attrs.define
class RawDescriptor:
    """A descriptor whose fields are taken apart but not yet understood."""

    id: int = 0
    name: bytes = b""
    description: bytes = b""
    shape: Shape = attrs.field(factory=list)
    format: Format = attrs.field(factory=list)
    #: Text of a header as in a NumPy file; empty if `shape` and `format` describe the item.
    numpy_header: bytes = b""


def encode_descriptor(raw: RawDescriptor, flavour: Flavour) -> Bytes:
    """The packet that is the value of a descriptor item.

    Raises
    ------
    ValueError
        If a field is too large for the flavour.
    """
    bits = flavour.heap_address_bits
    fields = [
        (DESCRIPTOR_NAME_ID, raw.name),
        (DESCRIPTOR_DESCRIPTION_ID, raw.description),
        (DESCRIPTOR_FORMAT_ID, _encode_format(raw.format, flavour)),
        (DESCRIPTOR_SHAPE_ID, _encode_shape(raw.shape, flavour)),
    ]
    if raw.numpy_header:
        fields.append((DESCRIPTOR_DTYPE_ID, raw.numpy_header))
    if raw.id >> bits:
        raise ValueError(f"item id {raw.id:#x} does not fit in {bits} bits, as a descriptor needs")
    pointers = [1 << 63 | DESCRIPTOR_ID_ID << bits | raw.id]
    payload = b""
    for item_id, value in fields:
        pointers.append(item_id << bits | len(payload))
        payload += value
    blocks = (np.frombuffer(payload, np.uint8),) if payload else ()
    layout = HeapLayout(np.array(pointers, np.uint64), blocks, len(payload))
    packet = encode_heap(layout, flavour, _CNT, _ROOM + len(payload))
    return packet.flatten().heads


#: More than the header of a descriptor's packet takes.
_ROOM: Final = 256


def decode_descriptor(data: Bytes, bug_compat: int) -> RawDescriptor:
    """Take a descriptor item's value apart.

    Raises
    ------
    ValueError
        If it is not one valid SPEAD packet with a whole heap and the id of an item in it.
    """
    _, sizes = frame_packets(data, limit=1)
    packet = decode_packet(data[: sizes[0]] if len(sizes) else data, bug_compat)  # some senders leave bytes behind it
    payload = packet.payload
    if packet.payload_offset or packet.heap_length not in (-1, len(payload)):
        raise ValueError("a descriptor must be in one packet")
    addressed, immediate = find_items(packet.pointers, packet.flavour.heap_address_bits, len(payload))
    raw = RawDescriptor(dict(immediate).get(DESCRIPTOR_ID_ID, 0))
    if not raw.id:
        raise ValueError("the descriptor does not say the id of the item that it describes")
    for item_id, start, end in addressed:
        value = payload[start:end].tobytes()
        if item_id == DESCRIPTOR_NAME_ID:
            raw.name = value
        elif item_id == DESCRIPTOR_DESCRIPTION_ID:
            raw.description = value
        elif item_id == DESCRIPTOR_SHAPE_ID:
            raw.shape = _decode_shape(value, packet.flavour)
        elif item_id == DESCRIPTOR_FORMAT_ID:
            raw.format = _decode_format(value, packet.flavour)
        elif item_id == DESCRIPTOR_DTYPE_ID:
            raw.numpy_header = value
    return raw


# ------------------------------------------------------------------------------------------- shape and format


def _shape_width(flavour: Flavour) -> int:
    """Size of a dimension, in bytes: a flag and an address."""
    return 8 if flavour.bug_compat & BUG_COMPAT_DESCRIPTOR_WIDTHS else 1 + flavour.heap_address_bits // 8


def _format_width(flavour: Flavour) -> int:
    """Size of a field of the format, in bytes: a code and an item id's worth of bits."""
    return 4 if flavour.bug_compat & BUG_COMPAT_DESCRIPTOR_WIDTHS else 9 - flavour.heap_address_bits // 8


def _variable_flag(flavour: Flavour) -> int:
    return 2 if flavour.bug_compat & BUG_COMPAT_SHAPE_BIT_1 else 1


def _encode_shape(shape: Shape, flavour: Flavour) -> bytes:
    width = _shape_width(flavour) - 1
    try:
        return b"".join(
            bytes((_variable_flag(flavour) if size is None else 0,)) + (size or 0).to_bytes(width, "big")
            for size in shape
        )
    except OverflowError:
        raise ValueError(f"each dimension of {tuple(shape)} must fit in {8 * width} bits") from None


def _decode_shape(data: bytes, flavour: Flavour) -> Shape:
    return [
        None if field[0] & _variable_flag(flavour) else int.from_bytes(field[1:], "big")
        for field in _fields(data, _shape_width(flavour), _MAX_DIMENSIONS, "shape")
    ]


def _encode_format(format: Format, flavour: Flavour) -> bytes:
    width = _format_width(flavour) - 1
    try:
        return b"".join(code.encode("ascii") + bits.to_bytes(width, "big") for code, bits in format)
    except OverflowError:
        raise ValueError(f"each width in the format {list(format)} must fit in {8 * width} bits") from None


def _decode_format(data: bytes, flavour: Flavour) -> Format:
    return [
        (chr(field[0]), int.from_bytes(field[1:], "big"))
        for field in _fields(data, _format_width(flavour), _MAX_FIELDS, "format")
    ]


def _fields(data: bytes, width: int, limit: int, what: str) -> list[bytes]:
    if len(data) % width:
        raise ValueError(f"the descriptor's {what} has {len(data)} bytes, which is not a multiple of {width}")
    if len(data) > limit * width:
        raise ValueError(f"the descriptor's {what} has {len(data) // width} entries; at most {limit} are expected")
    return [data[start : start + width] for start in range(0, len(data), width)]
