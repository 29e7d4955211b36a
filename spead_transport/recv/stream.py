"""Receiving streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

import attrs

from ..engine.interface import EndPolicy, ReceivedHeap, ReceiveRunner
from ..engine.recv_config import RingStreamConfig, StreamConfig
from ..engine.selection import receiving_engine
from ..engine.stats import RingStatistics
from ..engine.thread_pool import ThreadPool
from ..errors import Empty, Stopped
from ..settings import StreamSettings, StreamSpec, as_spec, common_settings
from ..transport import PacketReceiver
from .base import BaseStream, ReceiverTarget

__all__ = ["RingStream", "Ringbuffer", "Stream", "open_receiver", "specify"]


class Ringbuffer:
    """What is known of the heaps that wait for the user. Methods may be called from any thread."""

    def __init__(self, runner: ReceiveRunner, capacity: int) -> None:
        self._runner = runner
        self._capacity = capacity

    def size(self) -> int:
        """How many heaps are waiting."""
        return self._runner.ring_statistics().waiting

    def capacity(self) -> int:
        """How many may wait before the stream pauses its readers."""
        return self._capacity

    def statistics(self) -> RingStatistics:
        """A snapshot of what was counted, in heaps.

        A ring that is often full says that the user is too slow for the stream; a small peak, that there is more room
        than needed.
        """
        return self._runner.ring_statistics()


class RingStream(BaseStream):
    """What synchronous and asynchronous receivers share. Methods may be called from any thread.

    Parameters
    ----------
    thread_pool
        Whose threads drain the readers that lose packets when they are not drained; if not given, the stream has
        a thread of its own for that, which starts when it is needed.
    config
        The stream's settings, of which it takes a copy; the defaults if not given.
    ring_config
        Settings of the ring of heaps that wait for the user, likewise.
    engine
        Name of the engine; see :func:`spead_transport.engine.get_engine`.
    end
        Whether the stream ends with the first of its readers that ends (``"any"``), or with the last (``"all"``).
    """

    def __init__(
        self,
        thread_pool: ThreadPool | None = None,
        config: StreamConfig | None = None,
        ring_config: RingStreamConfig | None = None,
        *,
        engine: str | None = None,
        end: EndPolicy = "any",
    ) -> None:
        if end not in ("any", "all"):
            raise ValueError(f"end must be 'any' or 'all', not {end!r}")
        config = StreamConfig() if config is None else config.copy()
        self._ring_config = RingStreamConfig() if ring_config is None else attrs.evolve(ring_config)
        pool = ThreadPool() if thread_pool is None else thread_pool
        self._runner = receiving_engine(engine, config).receive_runner(config, self._ring_config, pool, end)
        super().__init__(config, self._runner)

    @property
    def ring_config(self) -> RingStreamConfig:
        """A copy of the ring's settings."""
        return attrs.evolve(self._ring_config)

    @property
    def ringbuffer(self) -> Ringbuffer:
        """The heaps that wait for the user."""
        return Ringbuffer(self._runner, self._ring_config.heaps)

    @property
    def fd(self) -> int:
        """A file descriptor that polls readable when it is worth calling :meth:`get_nowait`."""
        return self._runner.fileno()

    def get_nowait(self) -> ReceivedHeap:
        """The next heap, if there is one.

        Raises
        ------
        Empty
            If there is none now.
        Stopped
            If the stream ended and all heaps were taken.
        TransportError
            Once, before :exc:`Stopped`, if a reader broke.
        """
        heap = self._runner.take()
        if heap is None:
            raise Empty("no heap has arrived")
        return heap

    def __iter__(self) -> Iterator[ReceivedHeap]:
        """The heaps until the stream ends; waiting for one blocks the thread."""
        return self._runner.iterate(self)

    def __next__(self) -> ReceivedHeap:
        try:
            return self._runner.get(None)
        except Stopped:
            raise StopIteration from None


class Stream(RingStream):
    """A stream of heaps: iterate over it, or call :meth:`get`. It is a context manager that stops the stream."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def get(self, timeout: float | None = None) -> ReceivedHeap:
        """The next heap; wait for it if there is none.

        Parameters
        ----------
        timeout
            The longest wait, in seconds; ``None`` waits for ever.

        Raises
        ------
        Empty
            If the time ran out.
        Stopped
            If the stream ended and all heaps were taken.
        TransportError
            Once, before :exc:`Stopped`, if a reader broke.
        """
        return self._runner.get(timeout)


def open_receiver(
    *targets: ReceiverTarget,
    config: StreamConfig | None = None,
    ring_config: RingStreamConfig | None = None,
    thread_pool: ThreadPool | None = None,
    engine: str | None = None,
    end: EndPolicy | None = None,
) -> Stream:
    """Open a stream to receive heaps.

    Parameters
    ----------
    targets
        Where from: URLs such as ``udp://239.2.3.4:7148?interface=eth0``, which may have the stream's settings, too
        (``&max_heaps=16``), configured transports, streams of a configuration file, or endpoints.
    config, ring_config
        The settings of the stream, and of the ring of heaps that wait for the user. Those that differ from their
        defaults count more than those in `targets`.
    thread_pool
        Whose threads to use; by default the stream has its own.
    engine
        Which engine to use, or several in order of preference (``"native,python"``); by default what `targets` say,
        or the fastest that is installed.
    end
        Whether the stream ends when all of its readers have ended (``"all"``), or with the first of them
        (``"any"``); by default what `targets` say, or the former.

    Raises
    ------
    ValueError
        If a URL is malformed, or names an unknown transport, option or engine, or two of them give a setting of the
        stream different values.
    TransportError
        If the system refuses to open a transport.
    """
    specified, settings = specify(targets)
    stream = Stream(
        thread_pool,
        settings.recv_config(config),
        settings.ring_config(ring_config),
        engine=engine or settings.engine or None,
        end=end or settings.end,
    )
    stream.add_readers(specified)
    return stream


def specify(targets: Iterable[ReceiverTarget]) -> tuple[list[ReceiverTarget], StreamSettings]:
    """What to read from, and the settings of the stream that does."""
    specified = [target if isinstance(target, PacketReceiver) else as_spec(target) for target in targets]
    return [*specified], common_settings([spec for spec in specified if isinstance(spec, StreamSpec)])
