"""Moves packets from receivers through the assembler into chunks."""

from __future__ import annotations

import time

from ...transport import PacketReceiver
from ..chunks import ChunkStreamConfig
from ..interface import ChunkWindow, EndPolicy, ReceivedHeap
from ..recv_config import StreamConfig
from ..stats import EXTRA_STATS, StreamStats
from ..thread_pool import ThreadPool
from .assembler import PythonAssembler
from .chunk_placement import ChunkedHeaps
from .chunk_window import Window
from .readers import Reader, Readers
from .workers import PAUSED, Wait

__all__ = ["PythonChunkRunner", "PythonChunkWindow"]


class PythonChunkWindow(Window, ChunkWindow):
    """The chunks that Python streams fill together."""

    def runner(
        self, config: StreamConfig, chunk_config: ChunkStreamConfig, thread_pool: ThreadPool, end: EndPolicy
    ) -> PythonChunkRunner:
        return PythonChunkRunner(config, chunk_config, self, thread_pool, end)


class PythonChunkRunner(Readers):
    """Uses the window's lock, so that the streams of a group take turns.

    A batch that needs a chunk which is not to be had waits in the assembler, and all readers of the stream with it.
    """

    def __init__(
        self,
        config: StreamConfig,
        chunk_config: ChunkStreamConfig,
        window: Window,
        thread_pool: ThreadPool,
        end: EndPolicy,
    ) -> None:
        chunk_config.placer()  # an error of the configuration comes before the window is joined
        self._member = window.join(config.stream_id, chunk_config.max_chunks, self._wake)
        stats = StreamStats((*config.stats, *EXTRA_STATS))
        assembler = PythonAssembler(config, ChunkedHeaps(chunk_config, self._member, stats), stats)
        super().__init__(assembler, window.lock, config, thread_pool, end)
        #: The reader whose batch is being taken in, or waits.
        self._current: Reader | None = None

    def add_reader(self, receiver: PacketReceiver, *, worker: bool) -> None:
        super().add_reader(receiver, worker=True)  # there is no call of the user's that could drive it

    def step(self, reader: Reader) -> Wait | None:
        with self._lock:
            if reader.ended:
                return None
            if not self._assembler.blocked:
                self._expire()
                self._current = reader
                self._receive(reader)
            elif reader is self._current:
                self._go_on(reader)
            else:
                return self._pause(reader)
            if self._assembler.blocked:
                self._worker_blocked += 1
                return PAUSED
            self._current = None
            self._resume()
            return self._wait_for(reader)

    def _wake(self) -> None:
        """There may be room for the batch that waits. Called from any thread, with or without the lock."""
        reader = self._current
        if reader is not None and reader.worker is not None:
            reader.worker.kick(reader)

    # --------------------------------------------------------------------------------------- with the lock held

    def _go_on(self, reader: Reader) -> None:
        """Try again to take in the batch that waits."""
        try:
            heaps = self._assembler.resume(time.monotonic())
        except Exception as error:
            self._fail(reader, error)
        else:
            self._taken_in(reader, heaps)

    def _take(self, heaps: list[ReceivedHeap]) -> None:
        """Heaps go to the user in chunks, not one by one."""

    def _ended_now(self) -> None:
        self._current = None
        self._member.leave()
