"""Where the memory of received heaps comes from."""

from __future__ import annotations

import errno
import mmap
from pathlib import Path
from typing import Final

import numpy as np

from ..protocol.batch import BufferLike, Bytes, as_bytes
from .validators import flag_value, unsigned

__all__ = ["MemoryAllocator", "MmapAllocator", "obtain"]

#: Of mmap(2); the module ``mmap`` names it from Python 3.13 on.
_MAP_HUGETLB: Final[int] = getattr(mmap, "MAP_HUGETLB", 0x40000)


class MemoryAllocator:
    """Gives memory for the payload of heaps. Subclass it to give other memory.

    The default is ordinary memory, of which the system commits only what is written to.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is MemoryAllocator and type(other) is MemoryAllocator)

    def __hash__(self) -> int:
        return hash(type(self))

    def allocate(self, size: int) -> BufferLike:
        """Memory of at least `size` bytes: any contiguous, writable buffer, such as an array, a ``bytearray``, a
        memory map, or shared memory.

        Called from any thread; the memory is given back when the last reference to the buffer goes.

        Raises
        ------
        MemoryError
            If there is none; the packet that asked for it is then counted as ``rejected_no_memory``.
        """
        return np.empty(size, np.uint8)


def obtain(allocator: MemoryAllocator, size: int) -> Bytes:
    """Memory of exactly `size` bytes from an allocator, which may be anybody's and is not trusted.

    Raises
    ------
    MemoryError
        If the allocator has none.
    ValueError
        If it gave too little, or memory that is not contiguous or cannot be written to.
    TypeError
        If it gave something that is no buffer.
    """
    memory = as_bytes(allocator.allocate(size))
    if len(memory) < size:
        raise ValueError(f"{allocator!r} was asked for {size} bytes and gave {len(memory)}")
    if size and not memory.flags.writeable:
        raise ValueError(f"{allocator!r} gave memory that cannot be written to")
    return memory[:size]


class MmapAllocator(MemoryAllocator):
    """Maps memory for each heap, and unmaps it afterwards: for large heaps, and best behind a pool.

    Parameters
    ----------
    flags
        Flags for mmap(2), in addition to ``MAP_PRIVATE | MAP_ANONYMOUS``: for example ``mmap.MAP_POPULATE``.
    prefer_huge
        Whether to use huge pages if the system has some set aside; if it has not, ordinary pages are used, which
        the system is asked to join to huge ones when it can.

    Raises
    ------
    TypeError
        If `flags` is negative or no integer.
    """

    def __init__(self, flags: int = 0, prefer_huge: bool = False) -> None:
        self._flags = unsigned(flags, "flags")
        self._prefer_huge = flag_value(prefer_huge, "prefer_huge")

    def __repr__(self) -> str:
        return f"MmapAllocator(flags={self._flags:#x}, prefer_huge={self._prefer_huge})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return (self._flags, self._prefer_huge) == (other._flags, other._prefer_huge)

    def __hash__(self) -> int:
        return hash((type(self), self._flags, self._prefer_huge))

    def allocate(self, size: int) -> mmap.mmap:
        """A mapping of at least `size` bytes, filled with zeros.

        Raises
        ------
        MemoryError
            If the system has no memory left to map.
        OSError
            If it refuses the flags.
        """
        if not self._prefer_huge:
            return self._map(size, 0)
        huge = _huge_page_size()
        if huge:
            try:
                return self._map(-(-size // huge) * huge, _MAP_HUGETLB)
            except MemoryError:
                pass  # none are left: ordinary pages do as well
        mapping = self._map(size, 0)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            try:
                mapping.madvise(mmap.MADV_HUGEPAGE)
            except OSError as error:
                if error.errno != errno.EINVAL:  # a system without transparent huge pages
                    raise
        return mapping

    def _map(self, size: int, flags: int) -> mmap.mmap:
        flags |= self._flags | mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        try:
            return mmap.mmap(-1, max(size, 1), flags=flags)
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise MemoryError(f"the system has no memory to map {size} bytes with flags {flags:#x}") from error
            raise


def _huge_page_size() -> int:
    """Size of the system's huge pages, in bytes; 0 if it has none."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Hugepagesize:"):
            return int(line.split()[1]) * 1024
    return 0
