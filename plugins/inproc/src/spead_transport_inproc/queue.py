"""A queue of packets in memory: what the in-process transport consists of.

Packets wait in *lanes*. Receivers that share a queue take turns at its only lane; with fan-out each receiver has a
lane of its own. One lock guards everything; whoever holds it does no more than move references, and wakes those who
wait before he lets go, so that no report of a readiness is late.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs
import numpy as np

from spead_transport.errors import EndOfStream, Full, Stopped, TransportError
from spead_transport.transport import BufferLike, EventReadiness, FdSetReadiness, Offsets, PacketBatch, as_bytes

from .channel import Channel, ChannelReader
from .lanes import Entry, Lane, Tally, merge

__all__ = ["InprocQueue", "InprocStatistics", "Mode", "Policy", "Subscription"]

#: What happens to a packet that finds the queue full.
Policy: TypeAlias = Literal["block", "error", "drop-oldest"]
#: Whether several receivers share the packets or each get all of them.
Mode: TypeAlias = Literal["share", "fanout"]

_serial = itertools.count(1)
# Counts forks: a queue of the parent process shares its file descriptors with the child's copy, which must keep off.
_generation = 0


def _after_fork_in_child() -> None:
    global _generation
    _generation += 1


os.register_at_fork(after_in_child=_after_fork_in_child)


@attrs.frozen(kw_only=True)
class InprocStatistics:
    """What went through a queue, in packets and bytes.

    With fan-out a packet waits once for each receiver, and goes out once to each. Every packet that came in and
    neither waits nor went out was dropped or discarded.
    """

    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0
    packets_waiting: int = 0
    bytes_waiting: int = 0
    #: The most that ever waited.
    peak_packets: int = 0
    peak_bytes: int = 0
    #: Dropped because the queue was full (policy "drop-oldest").
    packets_dropped: int = 0
    bytes_dropped: int = 0
    #: Left behind by a receiver that closed, and that nobody else can receive (fan-out).
    packets_discarded: int = 0
    bytes_discarded: int = 0


class InprocQueue:
    """Packets on their way from any number of senders to any number of receivers in one process.

    Unless it is given a bound, it takes everything at once and keeps it until somebody receives it; the sender may
    be long gone by then. A queue must not be used in a child process made by ``fork``.

    Parameters
    ----------
    max_packets, max_bytes
        How much may wait (for each receiver, with fan-out); ``None`` for no limit.
    policy
        What happens when that much is waiting: ``"block"`` makes senders wait, ``"error"`` refuses the packet,
        ``"drop-oldest"`` makes room by dropping the packets that wait longest, and counts them.
    mode
        ``"share"``: each packet goes to one of the receivers, whichever asks first. ``"fanout"``: each receiver gets
        all packets from the time it was opened; the first one also gets those that were waiting.
    name
        For messages; it does not make the queue known to URLs.

    Raises
    ------
    ValueError
        If a limit is less than 1, or a policy or mode unknown.
    """

    def __init__(
        self,
        *,
        max_packets: int | None = None,
        max_bytes: int | None = None,
        policy: Policy = "block",
        mode: Mode = "share",
        name: str = "",
    ) -> None:
        for what, limit in (("max_packets", max_packets), ("max_bytes", max_bytes)):
            if limit is not None and limit < 1:
                raise ValueError(f"{what} must be at least 1, or None for no limit, not {limit}")
        _check_choice("policy", policy, ("block", "error", "drop-oldest"))
        _check_choice("mode", mode, ("share", "fanout"))
        self._max_packets = max_packets
        self._max_bytes = max_bytes
        self._bounded = max_packets is not None or max_bytes is not None
        self._policy: Policy = policy
        self._mode = mode
        self._name = name or f"unnamed-{next(_serial)}"
        self._generation = _generation
        # Reentrant, because a leaked endpoint may be collected, and close itself, in the thread that holds the lock.
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._lanes = [Lane()]
        #: In the order of their lanes, if each has its own.
        self._subscriptions: list[Subscription] = []
        self._blocked: weakref.WeakSet[EventReadiness] = weakref.WeakSet()
        self._channel: Channel | None = None
        self._stopped = False
        #: No more senders are expected: the first receiver that finds nothing left stops the queue.
        self._ending = False
        self._in = Tally()
        self._out = Tally()
        self._peak = Tally()
        self._dropped = Tally()
        self._discarded = Tally()

    def __repr__(self) -> str:
        state = "stopped, " if self.stopped else ""
        return f"<{type(self).__name__} {self._name}: {state}{self._waiting().packets} packets waiting>"

    @property
    def name(self) -> str:
        """What messages call the queue."""
        return self._name

    @property
    def lossy(self) -> bool:
        """Whether the queue may drop packets."""
        return self._bounded and self._policy == "drop-oldest"

    @property
    def stopped(self) -> bool:
        """Whether the queue takes no more packets."""
        return self._stopped or (self._channel is not None and self._channel.stopped)

    def add_packet(self, packet: BufferLike, timeout: float | None = None) -> None:
        """Add a copy of a packet, whatever its bytes are.

        Parameters
        ----------
        packet
            Any contiguous buffer.
        timeout
            How long to wait for room, in seconds, if the queue has a bound and the policy ``"block"``; ``None``
            waits for ever.

        Raises
        ------
        Stopped
            If the queue was stopped.
        Full
            If there is no room, or was none within `timeout`.
        ValueError
            If `packet` is not contiguous.
        TransportError
            If `packet` is larger than ``max_bytes``, or the queue belongs to another process.
        """
        content = as_bytes(packet).copy()
        entry = Entry(content, 1, len(content))
        with self._lock:
            self._check_process()
            if self.stopped:
                raise Stopped(f"{self!r} takes no more packets")
            if self._bounded:
                self._wait_for_room(np.array([entry.nbytes], np.int64), timeout)
            self._push(entry)

    def offer(self, batch: PacketBatch, writable: EventReadiness) -> int:
        """For senders: add copies of the first packets of `batch`, as many as there is room for.

        If there is no room, `writable` is cleared, and set again when there is.

        Returns
        -------
        int
            How many packets were taken.

        Raises
        ------
        TransportError
            If the queue was stopped (``ECANCELED``) or belongs to another process; if the policy is ``"error"`` and
            the queue full (``ENOBUFS``); if the first packet is larger than ``max_bytes`` (``EMSGSIZE``).
        """
        owned = None if self._bounded else Entry.copy_of(batch)  # large copies are best made without the lock
        with self._lock:
            self._check_process()
            if self.stopped:
                raise self._error("the queue was stopped", errno.ECANCELED)
            if owned is None:
                count = self._make_room(batch.sizes)
                if count == 0 and len(batch):
                    if self._policy == "error":
                        raise self._error(f"the queue is full ({self._limits()})", errno.ENOBUFS)
                    writable.clear()
                    self._blocked.add(writable)
                    return 0
                owned = Entry.copy_of(batch[:count])
            if owned.packets:
                self._push(owned)
            return owned.packets

    def subscribe(self, readable: FdSetReadiness) -> Subscription:
        """For receivers: take part in receiving. `readable` reports whenever there may be something to take."""
        with self._lock:
            self._check_process()
            lane = self._lanes[0]
            subscription = Subscription(self, lane, readable)
            if self._channel is not None:
                subscription.move_to(self._channel.reader())
                return subscription
            if self._mode == "fanout" and lane.readers:
                subscription.lane = lane = Lane()
                self._lanes.append(lane)
            lane.readers.append(readable)
            if lane.entries or self._stopped or self._ending:
                readable.set()
            self._subscriptions.append(subscription)
            return subscription

    def channel(self, make: Callable[[bool], Channel]) -> Channel | None:
        """For engines of native code: where the packets wait from now on, to be reached without Python.

        Parameters
        ----------
        make
            Makes the channel, for fan-out or not, if the queue has none yet. One that it has stays, whoever made it.

        Returns
        -------
        Channel or None
            ``None`` if the packets stay here: the queue has a bound, or packets wait for one of several receivers.
        """
        with self._lock:
            self._check_process()
            if self._channel is None and not (self._bounded or any(lane.entries for lane in self._lanes[1:])):
                self._move_to(make(self._mode == "fanout"))
            return self._channel

    def stop(self) -> None:
        """Take no more packets; receivers get those that wait, and then the end. Harmless to repeat."""
        with self._lock:
            self._stopped = True
            self._wake_all()

    def statistics(self) -> InprocStatistics:
        """A snapshot of what was counted."""
        with self._lock:
            came, went, _, peak, discarded = self._through_channel()
            waiting = self._waiting()
            return InprocStatistics(
                packets_in=self._in.packets + came.packets,
                bytes_in=self._in.nbytes + came.nbytes,
                packets_out=self._out.packets + went.packets,
                bytes_out=self._out.nbytes + went.nbytes,
                packets_waiting=waiting.packets,
                bytes_waiting=waiting.nbytes,
                peak_packets=max(self._peak.packets, peak.packets),
                peak_bytes=max(self._peak.nbytes, peak.nbytes),
                packets_dropped=self._dropped.packets,
                bytes_dropped=self._dropped.nbytes,
                packets_discarded=self._discarded.packets + discarded.packets,
                bytes_discarded=self._discarded.nbytes + discarded.nbytes,
            )

    # ---------------------------------------------------------------------------------------- with the lock held

    @property
    def _foreign(self) -> bool:
        """Whether this is a copy, made by a fork, of a queue that belongs to the parent process."""
        return self._generation != _generation

    def _check_process(self) -> None:
        if self._foreign:
            raise self._error(
                "the queue was made before a fork, and its packets stay in the parent process",
                errno.EPERM,
                "start child processes by multiprocessing's 'spawn', and use a transport that reaches them",
            )

    def _error(self, message: str, number: int, hint: str | None = None) -> TransportError:
        return TransportError(message, errno=number, url=f"inproc://{self._name}", hint=hint)

    def _limits(self) -> str:
        limits = {"max_packets": self._max_packets, "max_bytes": self._max_bytes}
        return ", ".join(f"{name}={limit}" for name, limit in limits.items() if limit is not None)

    def _waiting(self) -> Tally:
        _, _, total, _, _ = self._through_channel()
        for lane in self._lanes:
            total.add(lane.waiting.packets, lane.waiting.nbytes)
        return total

    def _through_channel(self) -> list[Tally]:
        """What the channel tells: see :meth:`Channel.tallies`."""
        tallies = [(0, 0)] * 5 if self._channel is None else self._channel.tallies()
        return [Tally(*tally) for tally in tallies]

    def _move_to(self, channel: Channel) -> None:
        """Let what waits, for the first receiver at most, go on waiting in `channel`, where it is counted anew."""
        lane = self._lanes[0]
        self._in.add(-lane.waiting.packets, -lane.waiting.nbytes)
        for entry in lane.entries:
            channel.push(entry.batch())
        self._lanes = [Lane()]
        self._channel = channel
        self._tell_channel()
        for subscription in self._subscriptions:
            subscription.move_to(channel.reader())
        self._subscriptions.clear()

    def _tell_channel(self) -> None:
        if self._channel is not None:
            self._channel.set_ending(self._ending)
            if self._stopped:
                self._channel.stop()

    def _set_ending(self, ending: bool) -> None:
        self._ending = ending
        self._tell_channel()
        if ending:
            self._wake_all()

    def _wake_all(self) -> None:
        self._tell_channel()
        for lane in tuple(self._lanes):
            lane.wake()
        self._wake_writers()

    def _wake_writers(self) -> None:
        blocked = list(self._blocked)
        self._blocked.clear()
        for writable in blocked:
            writable.set()
            # A sender that was refused by another queue since then has cleared its readiness: tell it all the same.
            writable.wake()
        self._room.notify_all()

    def _push(self, entry: Entry) -> None:
        if self._channel is not None:
            self._channel.push(entry.batch())
            return
        self._in.add(entry.packets, entry.nbytes)
        if len(self._lanes) > 1 and isinstance(entry.content, PacketBatch):
            entry = attrs.evolve(entry, content=attrs.evolve(entry.content, adoptable=False))
        for lane in tuple(self._lanes):
            lane.push(entry)
        waiting = self._waiting()
        self._peak.packets = max(self._peak.packets, waiting.packets)
        self._peak.nbytes = max(self._peak.nbytes, waiting.nbytes)

    def _wait_for_room(self, sizes: Offsets, timeout: float | None) -> None:
        """For :meth:`add_packet`: wait until its packet may come in."""
        if self._policy == "error":
            timeout = 0
        if not self._room.wait_for(lambda: self._stopped or self._make_room(sizes) == 1, timeout):
            waited = f" after {timeout} seconds" if timeout else ""
            raise Full(f"{self!r} is full{waited} ({self._limits()})")
        if self._stopped:
            raise Stopped(f"{self!r} takes no more packets")

    def _make_room(self, sizes: Offsets) -> int:
        """How many packets of these sizes (in bytes) may come in; makes room for them if that is the policy."""
        count = self._admissible(sizes)
        if self._policy == "drop-oldest":
            for lane in self._lanes:
                self._drop_for(lane, sizes[:count])
            return count
        for lane in self._lanes:
            if self._max_packets is not None:
                count = min(count, self._max_packets - lane.waiting.packets)
            if self._max_bytes is not None:
                room = self._max_bytes - lane.waiting.nbytes
                count = int(np.searchsorted(np.cumsum(sizes[:count]), room, "right"))
        return count

    def _admissible(self, sizes: Offsets) -> int:
        """How many packets come before the first that can never come in, or before there are too many at once."""
        count = len(sizes)
        if self._max_packets is not None:
            count = min(count, self._max_packets)
        if self._max_bytes is None:
            return count
        too_large = np.flatnonzero(sizes[:count] > self._max_bytes)
        if len(too_large) and too_large[0] == 0:
            raise self._error(
                f"a packet of {sizes[0]} bytes does not fit", errno.EMSGSIZE, f"raise max_bytes={self._max_bytes}"
            )
        return int(np.searchsorted(np.cumsum(sizes[:count]), self._max_bytes, "right"))

    def _drop_for(self, lane: Lane, sizes: Offsets) -> None:
        """Drop from the front of `lane` what does not fit beside new packets."""
        excess_packets = excess_bytes = 0
        if self._max_packets is not None:
            excess_packets = lane.waiting.packets + len(sizes) - self._max_packets
        if self._max_bytes is not None:
            excess_bytes = lane.waiting.nbytes + int(sizes.sum()) - self._max_bytes
        for dropped in lane.drop(excess_packets, excess_bytes):
            self._dropped.add(dropped.packets, dropped.nbytes)

    def _take(self, lane: Lane, limit: int) -> list[Entry]:
        """Entries for one call of a receiver; none if nothing waits."""
        self._check_process()
        taken = lane.take(limit)
        if not taken and (self._stopped or self._ending):
            if not self._stopped:
                self.stop()
            raise EndOfStream
        for entry in taken:
            self._out.add(entry.packets, entry.nbytes)
        if taken and self._bounded:
            self._wake_writers()
        return taken

    def _leave(self, subscription: Subscription) -> None:
        lane = subscription.lane
        self._subscriptions.remove(subscription)
        lane.readers.remove(subscription.readable)
        if self._mode == "share":
            return
        self._discarded.add(lane.waiting.packets, lane.waiting.nbytes)
        self._lanes.remove(lane)
        if not self._lanes:
            self._lanes.append(Lane())
        self._wake_writers()


class Subscription:
    """A receiver's part in a queue; made by :meth:`InprocQueue.subscribe`."""

    def __init__(self, queue: InprocQueue, lane: Lane, readable: FdSetReadiness) -> None:
        self._queue = queue
        #: What the receiver takes from, unless there is a channel.
        self.lane = lane
        self.readable = readable
        #: Access to the channel that the packets wait in, if they do.
        self.reader: ChannelReader | None = None
        self._dropped = 0

    def move_to(self, reader: ChannelReader) -> None:
        """Take from a channel from now on."""
        self.readable.add(reader.fileno())
        self.reader = reader

    def take(self, limit: int) -> PacketBatch | None:
        """Up to `limit` packets, or those that were sent in one piece; ``None`` if there are none now.

        Raises
        ------
        EndOfStream
            If the queue was stopped and is empty.
        """
        queue = self._queue
        with queue._lock:
            self._note_drops()
            reader = self.reader
            entries = queue._take(self.lane, limit) if reader is None else []
        if reader is not None:
            return reader.pop()
        return merge(entries) if entries else None

    def drops(self) -> int:
        """How many packets the queue dropped; each is reported to one receiver only."""
        with self._queue._lock:
            self._note_drops()
            return self._dropped

    def cancel(self) -> None:
        """Receive no more."""
        if self._queue._foreign:
            return
        with self._queue._lock:
            if self.reader is None:
                self._queue._leave(self)
            else:
                self.readable.remove(self.reader.fileno())
                self.reader = None

    def _note_drops(self) -> None:
        self._dropped += self.lane.dropped
        self.lane.dropped = 0


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
