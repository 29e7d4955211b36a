"""The libraries that are compared have the same names, so that one program measures them all: here is what differs.

Settings are those at which each one does best.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Final, TypeAlias

import attrs
import numpy as np

__all__ = ["Library", "Theirs", "ring_for"]

#: A stream, heap, queue or item group of whichever library is being measured.
Theirs: TypeAlias = Any

_RING: Final = 64  #: heaps that may wait for the user,
_RING_BYTES: Final = 64 << 20  #: unless they are so large
_POOLED: Final = 16 << 10  #: bytes from which on a heap's memory better comes from a pool


def ring_for(heap_size: int) -> int:
    """How many heaps of that size may wait for the user."""
    return max(4, min(_RING, _RING_BYTES // heap_size))


@attrs.frozen
class Library:
    """A library, and how its receivers are driven.

    Parameters
    ----------
    module
        ``spead2`` or ``spead_transport``.
    worker
        Whether threads drain transports that do not need it; otherwise, what the library does by itself.
    """

    module: ModuleType
    worker: bool = False

    def heap(self, nbytes: int) -> Theirs:
        """A heap of one item of that many bytes."""
        value = np.arange(nbytes).astype(np.uint8)
        group = self.module.send.ItemGroup()
        group.add_item(0x1000, "data", "Some bytes", (nbytes,), dtype=np.uint8, value=value)
        return group.get_heap(descriptors="none", data="all")

    def send_config(self, packet_size: int, max_heaps: int = _RING) -> Theirs:
        return self.module.send.StreamConfig(max_packet_size=packet_size, max_heaps=max_heaps)

    def receive_config(self, heap_size: int, ring: int = _RING, **settings: int) -> Theirs:
        """For heaps of that size, so many of which wait for the user."""
        config = self.module.recv.StreamConfig(**{"max_heaps": 4} | settings)
        if heap_size >= _POOLED:
            count = ring + config.max_heaps + 16
            config.memory_allocator = self.module.MemoryPool(heap_size, heap_size + 4096, count, count)
        return config

    def chunk_config(self) -> Theirs:
        """For heaps that go into chunks, which are too large for the caches."""
        module = self.module
        # spead2 waits after each packet that it stores past the caches.
        memcpy = module.MEMCPY_STD if module.__name__ == "spead2" else module.MEMCPY_NONTEMPORAL
        return module.recv.StreamConfig(max_heaps=4, memcpy=memcpy)

    def receiver(
        self, config: Theirs, ring: int = _RING, *, thread_pool: Theirs = None, asynchronous: bool = False
    ) -> Theirs:
        """A receiving stream without readers."""
        classes = self.module.recv.asyncio if asynchronous else self.module.recv
        ring_config = self.module.recv.RingStreamConfig(heaps=ring)
        return classes.Stream(thread_pool or self.module.ThreadPool(), config, ring_config)

    def add_queue(self, receiver: Theirs, queue: Theirs) -> None:
        """Receive from an in-process queue."""
        if not self.worker:
            receiver.add_inproc_reader(queue)
            return
        from spead_transport_inproc import InprocReceiver

        receiver.add_reader(InprocReceiver(queue), worker=True)

    def sending(self, sender: Theirs, heap: Theirs, count: int = 1, substreams: int = 1) -> Callable[[], object]:
        """What sends the heap so many times, in one call; by turns to each substream."""
        if count == 1:
            return partial(sender.send_heap, heap)
        reference = self.module.send.HeapReference
        heaps = [reference(heap, substream_index=i % substreams) for i in range(count)]
        return partial(
            sender.send_heaps, self.module.send.HeapReferenceList(heaps), self.module.send.GroupMode.SERIAL
        )
