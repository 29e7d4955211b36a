"""The way of the packets to one destination: what is done to them, and which are still on their way.

No I/O is done here and no clock is read: packets go in at one end with the time, and come out at the other when
theirs has come.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Final, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from spead_transport.protocol.packets import decode_headers
from spead_transport.protocol.rejection import Rejection
from spead_transport.transport import Offsets, PacketBatch

from .config import FaultsConfig, Side
from .fates import Fate, Fates, Prophecy
from .log import Fault, FaultLog

__all__ = ["Line"]

_Numbers: TypeAlias = npt.NDArray[np.float64]

_NOTHING: Final = PacketBatch.of([])
_ALL: Final = -1


@attrs.define(eq=False)
class _Held:
    """A packet that others overtake."""

    packet: PacketBatch
    #: It goes on behind the packet of this index, or at this time.
    index: int
    deadline: float
    delay: float


class Line:
    """See the module's text. One caller at a time.

    Parameters
    ----------
    config
        What is to go wrong.
    side, destination
        Which stream this is.
    log
        Where faults are noted.
    opened
        When time began.
    """

    def __init__(self, config: FaultsConfig, side: Side, destination: int, log: FaultLog, opened: float) -> None:
        self._config = config
        self._side: Side = side
        self._destination = destination
        self._log = log
        self._opened = opened
        self._active = config.concerns(side)
        self._fates = Fates(config, side, destination)
        self._serial = itertools.count()
        #: On their way: when they are due, a number that keeps those in order that are due together, a batch, and
        #: which packet of it; `_ALL` for all of them.
        self._waiting: list[tuple[float, int, PacketBatch, int]] = []
        self._held: list[_Held] = []
        #: What is due, and was looked at.
        self._front = _NOTHING
        #: How many packets are waiting, those that are due included.
        self.size: int = 0
        self._link_free = opened
        #: How many packets were lost, by reason.
        self.lost: Counter[str] = Counter()

    # ------------------------------------------------------------------------------------------------------ going in

    def foresee(self, batch: PacketBatch) -> Prophecy:
        """What will happen to these packets if they come next."""
        return self._fates.foresee(batch) if self._active else Prophecy({}, None)

    def clear_run(self, prophecy: Prophecy, first: int, count: int, now: float) -> int:
        """How many of the `count` packets of a batch, from `first` on, pass at once or are lost."""
        if not self._active:
            return count - first if not self.size else 0
        outage = now - self._opened in self._config.outages
        if self.size or self._held or outage or self._config.takes_time:
            return 0
        struck = (row for row, fate in prophecy.fates.items() if row >= first and not fate.lost)
        return next(struck, count) - first

    def kept(self, prophecy: Prophecy, first: int, last: int) -> Offsets:
        """Which packets of such a run are not lost: their positions in the batch."""
        rows = np.arange(first, last)
        lost = [row - first for row in prophecy.fates if first <= row < last]
        return np.delete(rows, lost) if lost else rows

    def struck_run(self, prophecy: Prophecy, first: int, count: int) -> int:
        """How many packets are to be pushed together, if those from `first` on are not clear.

        What follows a packet that is only lost, say, can pass again, and the inner sender's errors then reach the
        caller.
        """
        if self.idle and first in prophecy.fates and not self._config.takes_time:
            return next(row for row in range(first + 1, count + 1) if row not in prophecy.fates) - first
        return count - first

    def room(self, count: int) -> int:
        """How many of `count` packets may come in."""
        if not self._active or self._config.full == "drop":
            return count
        return max(0, min(count, self._config.queue - self.size))

    def passed(self, batch: PacketBatch, prophecy: Prophecy, first: int, last: int) -> None:
        """Note that packets of such a run passed, or were lost."""
        lost = {row: fate for row, fate in prophecy.fates.items() if first <= row < last}
        self._note(batch, lost, first)
        self.lost.update(fate.lost for fate in lost.values())
        self._fates.take(prophecy, first, last)

    def push(self, batch: PacketBatch, prophecy: Prophecy, first: int, last: int, now: float) -> None:
        """Take in the packets from `first` to before `last` of a batch. They are copied.

        Parameters
        ----------
        batch, prophecy
            The packets, and what is to happen to them.
        first, last
            Which of them.
        now
            The time, in seconds.
        """
        fates = {row: fate for row, fate in prophecy.fates.items() if first <= row < last}
        if self._active and now - self._opened in self._config.outages:
            for row in range(first, last):
                fates[row] = Fate(lost="outage")
        if self._active and self._config.takes_time and self._config.full == "drop":
            surviving = [row for row in range(first, last) if row not in fates or not fates[row].lost]
            for row in surviving[max(0, self._config.queue - self.size) :]:
                fates[row] = Fate(lost="queue_full")
        fates = dict(sorted(fates.items()))
        self._note(batch, fates, first)
        jitter = self._config.jitter * self._fates.jitter(last - first) if self._config.jitter else None
        start = self._fates.index - first
        # Where the even run of packets is interrupted: by a packet with a fate, or behind one that sets another free.
        stops = {row + 1 for row in fates} | set(fates) | {last}
        stops |= {held.index - start + 1 for held in self._held if first <= held.index - start < last}
        stops |= {row + fate.hold + 1 for row, fate in fates.items() if fate.hold and row + fate.hold < last}
        at = first
        for stop in sorted(stops - {first}):
            fate = fates.get(at, Fate())
            delays = None if jitter is None else jitter[at - first : stop - first]
            self._forward(batch[at:stop], fate, start + at, delays, now)
            self._set_free(start + stop - 1, now)
            at = stop
        self._fates.take(prophecy, first, last)

    def _note(self, batch: PacketBatch, fates: dict[int, Fate], first: int) -> None:
        rows = np.array(list(fates), np.int64)
        if not len(rows):
            return
        decoded = decode_headers(batch.take(rows))
        cnts = [
            int(cnt) if reason == Rejection.NONE else None
            for cnt, reason in zip(decoded.heap_cnt, decoded.reason, strict=True)
        ]
        for (row, fate), cnt in zip(fates.items(), cnts, strict=True):
            for what in _names(fate):
                self._add(what, self._fates.index + row - first + 1, cnt)

    def _add(self, what: str, packet: int | None, heap: int | None) -> None:
        self._log.add([Fault(what=what, side=self._side, destination=self._destination, packet=packet, heap=heap)])

    def _forward(self, packets: PacketBatch, fate: Fate, index: int, jitter: _Numbers | None, now: float) -> None:
        """Send packets on their way, all of which have the same fate."""
        if fate.lost:
            self.lost[fate.lost] += 1
            return
        packets = _spoil(packets.flatten(), fate)
        delay = fate.delay + (0.0 if jitter is None else float(jitter[0]))
        if fate.hold:
            packets = PacketBatch.concatenate([packets] * fate.copies)
            deadline = now + self._config.reorder_timeout
            self._held.append(_Held(packets, index + fate.hold, deadline, delay))
            return
        for _ in range(fate.copies):
            self._launch(packets, now, fate.delay, jitter)

    def _launch(self, packets: PacketBatch, now: float, delay: float, jitter: _Numbers | None = None) -> None:
        config = self._config
        if not self._active or not (config.takes_time or delay):
            self._wait(packets, now)
            return
        delay += config.delay
        if config.bandwidth is None and jitter is None:
            self._wait(packets, now + delay)
            return
        dues = np.full(len(packets), now + delay)
        if config.bandwidth is not None:
            sent = max(now, self._link_free) + np.cumsum(packets.sizes) / config.bandwidth
            self._link_free = float(sent[-1])
            dues = sent + delay
        if jitter is not None:
            dues = dues + jitter
        for row, due in enumerate(dues.tolist()):
            heapq.heappush(self._waiting, (due, next(self._serial), packets, row))
        self.size += len(packets)

    def _wait(self, packets: PacketBatch, due: float) -> None:
        self.size += len(packets)
        heapq.heappush(self._waiting, (due, next(self._serial), packets, _ALL))

    def _set_free(self, index: int, now: float) -> None:
        """Let those packets go on that were held until after the packet of this index, or for too long."""
        for held in tuple(self._held):
            if held.index <= index or held.deadline <= now:
                self._held.remove(held)
                self._launch(held.packet, now, held.delay)

    # --------------------------------------------------------------------------------------------------- coming out

    def peek(self, now: float, limit: int) -> PacketBatch:
        """The next packets that are due, at most `limit`. They are not gone until :meth:`pop`."""
        self._set_free(-1, now)
        count = len(self._front)
        due: list[tuple[PacketBatch, int]] = []
        while self._waiting and self._waiting[0][0] <= now and count < limit:
            due.append(heapq.heappop(self._waiting)[2:])
            count += len(due[-1][0]) if due[-1][1] == _ALL else 1
        if due:
            found = [_pick(batch, [row for _, row in rows]) for batch, rows in _together(due)]
            self._front = PacketBatch.concatenate([self._front, *found] if len(self._front) else found)
        return self._front[:limit]

    def pop(self, count: int) -> None:
        """The first `count` packets that were due are gone."""
        self._front = self._front[count:] if count < len(self._front) else _NOTHING
        self.size -= count

    def next_due(self) -> float | None:
        """When there will be packets; ``None`` if none are on their way. Not later than the truth."""
        if len(self._front):
            return -float("inf")
        times = [held.deadline for held in self._held]
        if self._waiting:
            times.append(self._waiting[0][0])
        return min(times, default=None)

    def finish(self, now: float) -> None:
        """No more packets come in: none can overtake any more."""
        for held in self._held:
            self._launch(held.packet, now, held.delay)
        self._held.clear()

    def lose(self, count: int, reason: str) -> None:
        """The first `count` packets that were due cannot go on."""
        self.lost[reason] += count
        for _ in range(count):
            self._add(reason, None, None)
        self.pop(count)

    def abandon(self) -> None:
        """Nothing comes out any more: what is still on its way is lost."""
        count = self.size + sum(len(held.packet) for held in self._held)
        self.lost["unsent"] += count
        for _ in range(count):
            self._add("unsent", None, None)
        self._waiting.clear()
        self._held.clear()
        self._front = _NOTHING
        self.size = 0

    @property
    def idle(self) -> bool:
        """Whether no packet is on its way."""
        return not self.size and not self._held


def _together(due: list[tuple[PacketBatch, int]]) -> Iterator[tuple[PacketBatch, list[tuple[PacketBatch, int]]]]:
    """Packets that follow each other and are in one batch."""
    for _, group in itertools.groupby(due, lambda entry: id(entry[0])):
        entries = list(group)
        yield entries[0][0], entries


def _pick(batch: PacketBatch, rows: list[int]) -> PacketBatch:
    if rows[0] == _ALL:
        return batch if len(rows) == 1 else PacketBatch.concatenate([batch] * len(rows))
    return batch.take(np.array(rows, np.int64))


def _names(fate: Fate) -> list[str]:
    """What a log calls it."""
    if fate.lost:
        return [fate.lost]
    happened = {
        "duplication": fate.copies > 1,
        "corruption": fate.flip is not None,
        "truncation": fate.size is not None or fate.share is not None,
        "reordering": fate.hold > 0,
        "delay": fate.delay > 0,
    }
    return [what for what, did in happened.items() if did]


def _spoil(packets: PacketBatch, fate: Fate) -> PacketBatch:
    """Flip a bit of a flat packet that is our own, cut its end off, or neither."""
    size = packets.nbytes
    if fate.flip is not None and size:
        bit = int(fate.flip * 8 * size)
        packets.heads[bit // 8] ^= 1 << bit % 8
    if fate.share is not None and size > 1:
        return attrs.evolve(packets, head_sizes=np.array([1 + int(fate.share * (size - 1))], np.int64))
    if fate.size is not None:
        return attrs.evolve(packets, head_sizes=np.array([min(size, fate.size)], np.int64))
    return packets
