"""Send and receive SPEAD streams over any transport, chosen by configuration."""

from __future__ import annotations

from importlib.metadata import version as _version
from typing import TYPE_CHECKING

from . import recv, send
from ._lazy import lazy_names
from .config import load_config
from .engine.memory import MemoryAllocator, MmapAllocator
from .engine.memory_pool import MemoryPool, MemoryPoolStatistics
from .engine.recv_config import MEMCPY_NONTEMPORAL, MEMCPY_STD
from .engine.thread_pool import ThreadPool, parse_range_list
from .errors import (
    BrokenTransportError,
    BusyError,
    ClosedError,
    Empty,
    EndOfStream,
    Full,
    Stopped,
    TransportError,
)
from .protocol.constants import (
    BUG_COMPAT_DESCRIPTOR_WIDTHS,
    BUG_COMPAT_PYSPEAD_0_5_2,
    BUG_COMPAT_SHAPE_BIT_1,
    BUG_COMPAT_SWAP_ENDIAN,
    CTRL_DESCRIPTOR_REISSUE,
    CTRL_DESCRIPTOR_UPDATE,
    CTRL_STREAM_START,
    CTRL_STREAM_STOP,
    DESCRIPTOR_DESCRIPTION_ID,
    DESCRIPTOR_DTYPE_ID,
    DESCRIPTOR_FORMAT_ID,
    DESCRIPTOR_ID,
    DESCRIPTOR_ID_ID,
    DESCRIPTOR_NAME_ID,
    DESCRIPTOR_SHAPE_ID,
    HEAP_CNT_ID,
    HEAP_LENGTH_ID,
    NULL_ID,
    PAYLOAD_LENGTH_ID,
    PAYLOAD_OFFSET_ID,
    STREAM_CTRL_ID,
)
from .protocol.descriptor import Descriptor
from .protocol.flavour import Flavour
from .protocol.item import Item
from .protocol.item_group import ItemGroup
from .protocol.raw_descriptor import RawDescriptor
from .recv import open_receiver
from .send import open_sender

if TYPE_CHECKING:
    from spead_transport_inproc import InprocQueue

__version__: str = _version("spead-transport")

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
    "HEAP_CNT_ID",
    "HEAP_LENGTH_ID",
    "MEMCPY_NONTEMPORAL",
    "MEMCPY_STD",
    "NULL_ID",
    "PAYLOAD_LENGTH_ID",
    "PAYLOAD_OFFSET_ID",
    "STREAM_CTRL_ID",
    "BrokenTransportError",
    "BusyError",
    "ClosedError",
    "Descriptor",
    "Empty",
    "EndOfStream",
    "Flavour",
    "Full",
    "InprocQueue",
    "Item",
    "ItemGroup",
    "MemoryAllocator",
    "MemoryPool",
    "MemoryPoolStatistics",
    "MmapAllocator",
    "RawDescriptor",
    "Stopped",
    "ThreadPool",
    "TransportError",
    "__version__",
    "load_config",
    "open_receiver",
    "open_sender",
    "parse_range_list",
    "recv",
    "send",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, __all__, {"InprocQueue": "spead_transport_inproc"})
