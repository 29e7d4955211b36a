"""The heaps of a batch that need a place."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import numpy.typing as npt

from ...protocol.batch import Bytes, PacketBatch

__all__ = ["HeapsToPlace", "Placer"]


@attrs.frozen(eq=False)
class HeapsToPlace:
    """Heaps that start in a batch of packets: what is known of them, and arrays to fill with where they go.

    A placement function is called with one of these for each batch. It assigns to elements, as in
    ``heaps.chunk_id[:] = heaps.items[:, 0] // 4096``. In what follows, n is the number of heaps.
    """

    #: ``(n, k)``: values of the immediate items that ``ChunkStreamConfig.items`` names; -1 where there is none.
    items: npt.NDArray[np.int64]
    #: Output, ``(n,)``: the chunk that the heap belongs to; it is dropped if this is negative, as it is at first.
    chunk_id: npt.NDArray[np.int64]
    #: Output, ``(n,)``: index in ``Chunk.present``.
    heap_index: npt.NDArray[np.int64]
    #: Output, ``(n,)``: where the heap starts in ``Chunk.data``, in bytes.
    heap_offset: npt.NDArray[np.int64]
    #: Output, ``(n, max_heap_extra)``: bytes for ``Chunk.extra``.
    extra: npt.NDArray[np.uint8]
    #: Output, ``(n,)``: where they go in ``Chunk.extra``, and how many of them, in bytes.
    extra_offset: npt.NDArray[np.int64]
    extra_size: npt.NDArray[np.int64]
    #: In and out: what is to be added to the stream's statistics, by index; those of the user's own count.
    batch_stats: npt.NDArray[np.uint64]
    #: Gives each heap's first packet, during the call.
    take_packets: Callable[[], PacketBatch]

    def __len__(self) -> int:
        """How many heaps there are."""
        return len(self.items)

    @property
    def first_packets(self) -> PacketBatch:
        """Each heap's first packet. It can be had during the call only, and its memory is used for something else
        thereafter."""
        return self.take_packets()

    @property
    def packets(self) -> list[Bytes]:
        """Each heap's first packet as one block, otherwise like :attr:`first_packets`."""
        return list(self.first_packets.packets())

    @classmethod
    def of(
        cls,
        items: npt.NDArray[np.int64],
        take_packets: Callable[[], PacketBatch],
        max_heap_extra: int,
        batch_stats: npt.NDArray[np.uint64],
    ) -> HeapsToPlace:
        """Heaps without a place; `take_packets` gives their first packets."""
        count = len(items)
        return cls(
            items=items,
            chunk_id=np.full(count, -1, np.int64),
            heap_index=np.zeros(count, np.int64),
            heap_offset=np.zeros(count, np.int64),
            extra=np.zeros((count, max_heap_extra), np.uint8),
            extra_offset=np.zeros(count, np.int64),
            extra_size=np.zeros(count, np.int64),
            batch_stats=batch_stats,
            take_packets=take_packets,
        )


#: Finds the places of heaps.
Placer = Callable[[HeapsToPlace], None]
