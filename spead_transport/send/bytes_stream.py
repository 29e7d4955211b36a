"""Sending into memory."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..engine.send_config import StreamConfig
from ..engine.thread_pool import ThreadPool
from ..protocol.batch import Bytes, PacketBatch
from ..transport import Capabilities, EventReadiness, PacketSender, Readiness
from .stream import SyncStream

__all__ = ["BytesSender", "BytesStream", "PacketStore"]


class PacketStore(Protocol):
    """Where an engine keeps packets, back to back."""

    def value(self) -> bytes:
        """All of them."""
        ...


class BytesSender(PacketSender):
    """Keeps all packets, back to back."""

    def __init__(self) -> None:
        super().__init__("bytes:", Capabilities(lossy=False, ordered=True, reach="process"))
        self._writable = EventReadiness()
        self._writable.set()
        self._blocks: list[Bytes] = []
        self._store: PacketStore | None = None

    def hand_over(self, store: PacketStore) -> None:
        """For an engine that does without :meth:`try_send`: it keeps the packets in `store`."""
        self._store = store

    @property
    def writable(self) -> Readiness:
        return self._writable

    def try_send(self, batch: PacketBatch) -> int:
        with self._using():
            self._blocks.append(batch.flatten().heads)
            return len(batch)

    def value(self) -> bytes:
        """Everything that was sent."""
        if self._store is not None:
            return self._store.value()
        return np.concatenate(self._blocks).tobytes() if self._blocks else b""

    def _release_resources(self) -> None:
        self._writable.wake()


class BytesStream(SyncStream):
    """Collects the packets in memory, as they would lie in a file.

    Parameters
    ----------
    thread_pool
        As for every stream; not used, because nothing has to wait.
    config
        The stream's settings.
    """

    def __init__(
        self,
        thread_pool: ThreadPool | None = None,
        config: StreamConfig | None = None,
        *,
        engine: str | None = None,
    ) -> None:
        self._memory = BytesSender()
        super().__init__(self._memory, config, thread_pool=thread_pool, engine=engine)

    def getvalue(self) -> bytes:
        """All packets that were sent so far, back to back."""
        return self._memory.value()
