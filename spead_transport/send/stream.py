"""Sending streams: heaps get their numbers here and go to an engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs

from ..engine import get_engine
from ..engine.numbering import CntSequence
from ..engine.send_config import GroupMode, HeapReference, HeapReferenceList, StreamConfig
from ..engine.stats import SenderStatistics
from ..engine.thread_pool import ThreadPool
from ..protocol.outgoing import Heap
from ..transport import PacketSender

__all__ = ["Stream", "SyncStream"]


class Stream:
    """What synchronous and asynchronous senders share.

    Parameters
    ----------
    sender
        Where the packets go. It belongs to the stream from now on.
    config
        The stream's settings, of which it takes a copy; the defaults if not given.
    thread_pool
        Whose threads send what cannot be sent at once; if not given, the stream has a thread of its own for that,
        which starts when it is needed.
    engine
        Name of the engine; see :func:`spead_transport.engine.get_engine`.
    """

    def __init__(
        self,
        sender: PacketSender,
        config: StreamConfig | None = None,
        *,
        thread_pool: ThreadPool | None = None,
        engine: str | None = None,
    ) -> None:
        self._config = StreamConfig() if config is None else attrs.evolve(config)
        self._sender = sender
        pool = ThreadPool() if thread_pool is None else thread_pool
        kept = self._config if sender.capabilities.keeps_rate else attrs.evolve(self._config, rate=0.0)
        self._cnts = CntSequence()
        self._runner = get_engine(engine).send_runner(sender, kept, self._cnts, pool)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} {self._sender.url}>"

    @property
    def config(self) -> StreamConfig:
        """A copy of the stream's settings."""
        return attrs.evolve(self._config)

    @property
    def url(self) -> str:
        """Where the packets go."""
        return self._sender.url

    @property
    def num_substreams(self) -> int:
        """How many destinations there are to choose from by ``substream_index``."""
        return self._sender.num_destinations

    def statistics(self) -> SenderStatistics:
        """A snapshot of what was counted."""
        return self._runner.statistics()

    def set_cnt_sequence(self, next: int, step: int) -> None:
        """Choose the heap cnts that heaps without one get: `next`, ``next + step`` …, reduced to the flavour's width.

        Raises
        ------
        ValueError
            If `step` is 0.
        TypeError
            If a number is negative or no integer.
        """
        self._cnts.set(next, step)


class SyncStream(Stream):
    """A stream whose calls return when the heap is sent. Several threads may use it.

    It is a context manager that closes the stream.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def send_heap(
        self, heap: Heap, cnt: int = -1, substream_index: int = 0, rate: float = -1.0, *, timeout: float | None = None
    ) -> int:
        """Send a heap, and wait until its last packet was handed to the transport.

        Parameters
        ----------
        heap
            The heap. Its items' memory must not change before the call returns.
        cnt
            The heap's number; negative takes the next one of the stream's sequence.
        substream_index
            Which of the stream's destinations it goes to.
        rate
            Bytes per second for this heap; 0 is unlimited, negative takes the stream's.
        timeout
            The longest wait, in seconds; ``None`` waits for ever.

        Returns
        -------
        int
            Bytes sent, SPEAD headers included.

        Raises
        ------
        BlockingIOError
            If ``max_heaps`` heaps are waiting already (sent by other threads).
        TimeoutError
            If the time ran out. Part of the heap may have been sent.
        TransportError
            If the transport refuses a packet, is broken, or was closed.
        OSError
            If `cnt` or `substream_index` is out of range.
        ValueError
            If the packet size is too small for the heap, or the heap too large for its flavour.
        """
        return self._runner.send_one(heap, cnt, substream_index, rate, timeout)

    def send_heaps(
        self,
        heaps: Iterable[HeapReference] | HeapReferenceList,
        mode: GroupMode,
        *,
        timeout: float | None = None,
    ) -> int:
        """Send several heaps as a group, and wait until the last packet was handed to the transport.

        Parameters
        ----------
        heaps
            What to send, at most ``max_heaps`` of them.
        mode
            How the heaps' packets follow each other.
        timeout
            The longest wait, in seconds; ``None`` waits for ever.

        Returns
        -------
        int
            Bytes sent, SPEAD headers included.

        Raises
        ------
        TypeError
            If a member is no :class:`HeapReference`, or `mode` is no :class:`GroupMode`.
        OSError
            If there are no heaps; and as for :meth:`send_heap`.
        """
        return self._runner.send(HeapReferenceList.of(heaps), GroupMode.of(mode), timeout)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything that any thread sends is sent or failed.

        Raises
        ------
        TimeoutError
            If it took longer than `timeout` seconds.
        """
        self._runner.flush(timeout)

    def close(self) -> None:
        """Close the transport. Calls in other threads fail with :exc:`ClosedError`. Idempotent."""
        self._runner.close()
