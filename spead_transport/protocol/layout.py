"""What the packetiser needs to know of a heap to send: its item pointers and where its payload lies."""

from __future__ import annotations

from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

__all__ = ["HeapLayout", "Pointers"]

#: One-dimensional ``uint64``, in the machine's byte order: item pointers.
Pointers: TypeAlias = npt.NDArray[np.uint64]


@attrs.frozen(eq=False)
class HeapLayout:
    """A heap, encoded but not yet cut into packets.

    Parameters
    ----------
    pointers
        The item pointers (specification section 3), in order, without the four that every packet has.
    payload
        The blocks that make up the payload, in address order; one-dimensional ``uint8``, none of them empty.
    payload_size
        Size of all of `payload` together, in bytes.
    """

    pointers: Pointers
    payload: tuple[npt.NDArray[np.uint8], ...]
    payload_size: int
