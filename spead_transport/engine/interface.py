"""What an engine is: the part of the package that touches every packet, and that may be written more than once.

Three coarse contracts, all in batches. None of them knows a transport by name:

* :class:`HeapEncoder` turns heaps into packets, :class:`HeapAssembler` turns packets into heaps. They do no I/O, and
  time is an argument.
* :class:`SendRunner` and :class:`ReceiveRunner` move batches between those, an endpoint, and the user. They are
  passive: somebody *drives* them. The caller does, inside ``send_heap()`` and ``get()``; or a worker of a
  :class:`~spead_transport.ThreadPool` does, to keep a lossy transport drained.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, Protocol, TypeAlias

from ..errors import Stopped
from ..protocol.batch import PacketBatch
from ..protocol.outgoing import Heap as OutgoingHeap
from ..protocol.received import Heap, IncompleteHeap
from ..protocol.shortcuts import Shortcuts
from ..transport import Capabilities, PacketReceiver, PacketSender
from . import recv_config, send_config
from .chunks import ChunkRingCore, ChunkStreamConfig, PythonChunkRing
from .numbering import CntSequence, NumberedHeap
from .pool_blocks import PoolBlocks, PoolSettings
from .send_config import GroupMode, HeapReferenceList
from .stats import RingStatistics, SenderStatistics, StreamStats
from .thread_pool import ThreadPool

__all__ = [
    "ChunkWindow",
    "EndPolicy",
    "Engine",
    "HeapAssembler",
    "HeapEncoder",
    "NumberedHeap",
    "ReaderRunner",
    "ReceiveRunner",
    "ReceivedHeap",
    "SendFutures",
    "SendRunner",
]

ReceivedHeap: TypeAlias = Heap | IncompleteHeap
#: Whether a stream ends with the first of its readers that ends, or with the last.
EndPolicy: TypeAlias = Literal["any", "all"]


class HeapEncoder(ABC):
    """Heaps in, packets out."""

    @abstractmethod
    def encode(self, heaps: Sequence[NumberedHeap], mode: GroupMode) -> Iterator[tuple[PacketBatch, float]]:
        """The packets of a group of heaps, in batches that each go to one destination at one rate.

        Packets for one destination keep their order. Those for others may change places with them within about a
        batch, so that packets for one destination are neighbours. The batches reference the heaps' memory. The rate
        is in bytes per second, 0 is unlimited; a batch with a rate is no larger than a burst.

        Raises
        ------
        ValueError
            While iterating: the packet size is too small for a heap, or a heap too large for its flavour.
        """


class HeapAssembler(ABC):
    """Packets in, heaps out. Used by one caller at a time."""

    @property
    @abstractmethod
    def stopped(self) -> bool:
        """Whether a stop item came: packets are then only counted."""

    @abstractmethod
    def add(self, batch: PacketBatch, now: float) -> list[ReceivedHeap]:
        """Take packets in; returns the heaps that completed or were given up, in that order.

        Parameters
        ----------
        batch
            Packets as they arrived: any bytes at all. Its memory is not used after the call, unless the batch is
            adoptable.
        now
            Seconds of a monotonic clock.
        """

    @abstractmethod
    def expire(self, now: float) -> list[ReceivedHeap]:
        """Give up the heaps that are too old; returns them."""

    @property
    @abstractmethod
    def next_expiry(self) -> float:
        """When there will be something to give up for its age, if nothing else happens; infinity for never."""

    @abstractmethod
    def flush(self) -> list[ReceivedHeap]:
        """Give up the heaps that are incomplete: the stream ends."""

    @abstractmethod
    def stats(self) -> StreamStats:
        """A snapshot of what was counted."""


class SendFutures(Protocol):
    """Sends heaps through a runner, with a future for each call. It is used in one event loop at a time.

    A future gives the bytes sent, or fails as :meth:`SendRunner.send` would. It is never done before the loop had a
    turn, unless it fails because the heaps have no valid number or destination, so that a task which sends without
    end lets others run. Many futures are done in one pass. Cancelling one does not keep its heaps from being sent.

    What can be sent without waiting is sent in the call, and the rest by a worker.
    """

    def send(self, heaps: HeapReferenceList, mode: GroupMode) -> asyncio.Future[int]:
        """Send a group of heaps, with one future for all of them."""
        ...

    def send_one(self, heap: OutgoingHeap, cnt: int, substream_index: int, rate: float) -> asyncio.Future[int]:
        """Send a heap.

        Raises
        ------
        TypeError
            If `heap` is no heap to send.
        """
        ...

    def all_so_far(self) -> asyncio.Future[None] | None:
        """What will be done when all of the futures given out so far are; ``None`` if they are."""
        ...


class SendRunner(ABC):
    """Sends heaps through one packet sender. All methods may be called from any thread."""

    @abstractmethod
    def send(self, heaps: HeapReferenceList, mode: GroupMode, timeout: float | None) -> int:
        """Send a group of heaps, driven by the caller, after everything that is waiting.

        Those without a number get one, as by :func:`number_heaps`.

        Returns
        -------
        int
            Bytes sent, headers included.

        Raises
        ------
        OSError
            If there are no heaps, or a heap cnt or substream index is out of range (``EINVAL``). No number is used
            up.
        BlockingIOError
            If more than ``max_heaps`` heaps would be waiting.
        TimeoutError
            If it took longer than `timeout` seconds; the rest of the group is not sent.
        TransportError
            What the transport raised; the rest of the group is not sent.
        ValueError
            As :meth:`HeapEncoder.encode`.
        """

    @abstractmethod
    def send_one(self, heap: OutgoingHeap, cnt: int, substream_index: int, rate: float, timeout: float | None) -> int:
        """The same for one heap.

        Raises
        ------
        TypeError
            If `heap` is no heap to send.
        OSError, ValueError
            As :meth:`send`.
        """

    @abstractmethod
    def futures(self) -> SendFutures:
        """What sends with asyncio. To be called once."""

    @abstractmethod
    def flush(self, timeout: float | None) -> None:
        """Wait until everything that waits now is sent or failed.

        Raises
        ------
        TimeoutError
            If it took longer than `timeout` seconds.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the sender. What is still waiting fails with :exc:`ClosedError`. Idempotent."""

    @abstractmethod
    def statistics(self) -> SenderStatistics:
        """A snapshot of what was counted."""


class ReaderRunner(ABC):
    """Receives from any number of readers. All methods may be called from any thread."""

    @abstractmethod
    def add_reader(self, receiver: PacketReceiver, *, worker: bool) -> None:
        """Receive from `receiver` too, which belongs to the runner from now on.

        Parameters
        ----------
        receiver
            The endpoint.
        worker
            Whether a worker of the thread pool drains it, or the caller does who asks for heaps.

        Raises
        ------
        RuntimeError
            If the stream has ``explicit_start`` and was started, or the thread pool was stopped; the receiver then
            stays the caller's.
        """

    @abstractmethod
    def start(self) -> None:
        """Begin to receive, if the configuration says ``explicit_start``."""

    @abstractmethod
    def stop(self) -> None:
        """End the stream and close its receivers. What was finished before can still be taken. Idempotent."""

    @abstractmethod
    def stats(self) -> StreamStats:
        """A snapshot of what was counted."""

    @abstractmethod
    def drops(self) -> dict[str, int]:
        """Packets that the transports know to be lost, by reason."""


class ReceiveRunner(ReaderRunner):
    """Fills a ring of heaps."""

    @abstractmethod
    def take(self) -> ReceivedHeap | None:
        """The next heap; ``None`` if there is none now.

        Raises
        ------
        Stopped
            If the stream ended and all heaps were taken.
        TransportError
            Once, before :exc:`Stopped`, if a reader broke.
        """

    @abstractmethod
    def get(self, timeout: float | None) -> ReceivedHeap:
        """Like :meth:`take`, but wait.

        Raises
        ------
        Empty
            If nothing came within `timeout` seconds.
        Stopped, TransportError
            As :meth:`take`.
        """

    def iterate(self, owner: object) -> Iterator[ReceivedHeap]:
        """The heaps until the stream ends, each as :meth:`get` would return it. The iterator keeps `owner` alive."""
        while True:
            try:
                heap = self.get(None)
            except Stopped:
                return
            yield heap

    @abstractmethod
    def fileno(self) -> int:
        """A file descriptor that polls readable when :meth:`take` may have something to say."""

    @abstractmethod
    def ring_statistics(self) -> RingStatistics:
        """A snapshot of what was counted of the ring, in heaps."""


class ChunkWindow(ABC):
    """The chunks that are being filled, by one stream or by a group of them. Methods may be called from any thread.

    The chunks of a window have consecutive numbers, and leave it in their order.
    """

    @property
    @abstractmethod
    def began(self) -> bool:
        """Whether chunks have been taken from the free ring."""

    @abstractmethod
    def close(self) -> None:
        """For a window without streams: nothing will come of it."""

    @abstractmethod
    def runner(
        self,
        config: recv_config.StreamConfig,
        chunk_config: ChunkStreamConfig,
        thread_pool: ThreadPool,
        end: EndPolicy,
    ) -> ReaderRunner:
        """What puts heaps into the chunks. It takes part until its stream ends.

        Its readers all have a worker of the thread pool, whatever :meth:`ReaderRunner.add_reader` is told. `config`
        has the statistics in ``engine.chunks.config.CHUNK_STATS``, and does not allow heaps without a length.

        Raises
        ------
        ValueError
            If `chunk_config` has no placement.
        """


class Engine(ABC):
    """A provider of the above, found by entry point in the group ``spead_transport.engines``."""

    name: ClassVar[str]
    #: Which of :data:`~spead_transport.engine.selection.OPTIONAL` settings of ``recv.StreamConfig`` receiving keeps.
    #: A stream that needs others is received by the Python engine.
    receives: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def encoder(self, config: send_config.StreamConfig, capabilities: Capabilities) -> HeapEncoder: ...

    @abstractmethod
    def assembler(
        self, config: recv_config.StreamConfig, ring_config: recv_config.RingStreamConfig
    ) -> HeapAssembler: ...

    @abstractmethod
    def send_runner(
        self,
        sender: PacketSender,
        config: send_config.StreamConfig,
        sequence: CntSequence,
        thread_pool: ThreadPool,
    ) -> SendRunner:
        """What sends through `sender`, which is its own from now on. Heaps without a number get one of `sequence`."""

    @abstractmethod
    def receive_runner(
        self,
        config: recv_config.StreamConfig,
        ring_config: recv_config.RingStreamConfig,
        thread_pool: ThreadPool,
        end: EndPolicy,
    ) -> ReceiveRunner: ...

    def shortcuts(self) -> Shortcuts | None:
        """Shortcuts for an item group; ``None`` if the work is done in Python."""
        return None

    def pool_blocks(self, settings: PoolSettings) -> PoolBlocks | None:
        """What is inside a pool of memory; ``None`` if this engine leaves it to the Python one.

        Raises
        ------
        MemoryError
            If there is no memory for the first blocks.
        RuntimeError
            If the thread pool was stopped.
        """
        return None

    def chunk_ring(self, maxsize: int) -> ChunkRingCore:
        """What is inside a ring of chunks that fits so many of them."""
        return PythonChunkRing(maxsize)

    def chunk_window(
        self, max_chunks: int, data_ring: ChunkRingCore, free_ring: ChunkRingCore, *, lossless: bool
    ) -> ChunkWindow | None:
        """A window for streams to fill chunks of, as a producer of `data_ring`; ``None`` if this engine has nothing
        for that, or not for these rings, and leaves it to the Python one.

        Parameters
        ----------
        max_chunks
            How many chunks are in the window at most.
        data_ring
            Where filled chunks go.
        free_ring
            Where free chunks come from.
        lossless
            Whether a stream that is ahead waits for the others, rather than they lose what is behind.
        """
        return None
