"""Where the memory of received heaps comes from."""

from __future__ import annotations

import numpy as np

from ..protocol.batch import Bytes

__all__ = ["MemoryAllocator"]


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

    def allocate(self, size: int) -> Bytes:
        """A writable one-dimensional ``uint8`` array of at least `size` bytes.

        Called from any thread; the memory is given back when the last reference to it goes.

        Raises
        ------
        MemoryError
            If there is none; the packet that asked for it is then counted as ``rejected_no_memory``.
        """
        return np.empty(size, np.uint8)
