"""Items and heaps for tests that do not care much what is in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spead_transport import Flavour
from spead_transport.send import Heap, ItemGroup

__all__ = ["group_of", "heap_of"]


def group_of(value: npt.NDArray[Any], flavour: Flavour = Flavour()) -> ItemGroup:  # noqa: B008 - immutable
    """An item group with the one item ``data``."""
    group = ItemGroup(flavour=flavour)
    group.add_item(0x1000, "data", "values for a test", shape=value.shape, dtype=value.dtype, value=value)
    return group


def heap_of(value: npt.NDArray[Any] | None = None, flavour: Flavour = Flavour()) -> Heap:  # noqa: B008 - immutable
    """A heap with that item and no descriptors."""
    value = np.arange(1000, dtype=np.uint8) if value is None else value
    return group_of(value, flavour).get_heap(descriptors="none", data="all")
