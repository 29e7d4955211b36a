"""Numbers of the protocol ("SPEAD Protocol Rev 1, 2012"): item ids, stream control values, compatibility flags."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BUG_COMPAT_DESCRIPTOR_WIDTHS",
    "BUG_COMPAT_PYSPEAD_0_5_2",
    "BUG_COMPAT_SHAPE_BIT_1",
    "BUG_COMPAT_SWAP_ENDIAN",
    "CTRL_DESCRIPTOR_REISSUE",
    "CTRL_DESCRIPTOR_UPDATE",
    "CTRL_STREAM_START",
    "CTRL_STREAM_STOP",
    "DESCRIPTOR_DESCRIPTION_ID",
    "DESCRIPTOR_DTYPE_ID",
    "DESCRIPTOR_FORMAT_ID",
    "DESCRIPTOR_ID",
    "DESCRIPTOR_ID_ID",
    "DESCRIPTOR_NAME_ID",
    "DESCRIPTOR_SHAPE_ID",
    "FIRST_AUTO_ID",
    "HEAP_CNT_ID",
    "HEAP_LENGTH_ID",
    "LAST_RESERVED_ID",
    "MAGIC",
    "NULL_ID",
    "PAYLOAD_LENGTH_ID",
    "PAYLOAD_OFFSET_ID",
    "POINTER_SIZE",
    "STREAM_CTRL_ID",
    "VERSION",
]

MAGIC: Final = 0x53
VERSION: Final = 4
#: Of an item pointer, in bytes.
POINTER_SIZE: Final = 8

# Item ids (specification section 5)
NULL_ID: Final = 0
HEAP_CNT_ID: Final = 1
HEAP_LENGTH_ID: Final = 2
PAYLOAD_OFFSET_ID: Final = 3
PAYLOAD_LENGTH_ID: Final = 4
DESCRIPTOR_ID: Final = 5
STREAM_CTRL_ID: Final = 6
#: Ids up to here have a meaning of their own in a packet and cannot name an item of the user's.
LAST_RESERVED_ID: Final = STREAM_CTRL_ID
#: Where automatic item ids start, as in the packages that came before.
FIRST_AUTO_ID: Final = 0x1000

# Items of a descriptor's own packet
DESCRIPTOR_NAME_ID: Final = 0x10
DESCRIPTOR_DESCRIPTION_ID: Final = 0x11
DESCRIPTOR_SHAPE_ID: Final = 0x12
DESCRIPTOR_FORMAT_ID: Final = 0x13
DESCRIPTOR_ID_ID: Final = 0x14
DESCRIPTOR_DTYPE_ID: Final = 0x15

# Values of the stream control item
CTRL_STREAM_START: Final = 0
CTRL_DESCRIPTOR_REISSUE: Final = 1
CTRL_STREAM_STOP: Final = 2
CTRL_DESCRIPTOR_UPDATE: Final = 3

# Deviations of PySPEAD 0.5.2 from the specification
#: Shape and format fields of a descriptor are sized as for SPEAD-64-40, whatever the flavour.
BUG_COMPAT_DESCRIPTOR_WIDTHS: Final = 1
#: A variable dimension is flagged by the value 2 instead of 1.
BUG_COMPAT_SHAPE_BIT_1: Final = 2
#: Numpy data is in the byte order opposite to the one that the descriptor says.
BUG_COMPAT_SWAP_ENDIAN: Final = 4
#: All of them together.
BUG_COMPAT_PYSPEAD_0_5_2: Final = 7
