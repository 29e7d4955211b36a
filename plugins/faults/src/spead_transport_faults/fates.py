"""Which fate each packet meets: decided by seed and script, whatever the batches and the time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import attrs
import numpy as np
import numpy.typing as npt

from spead_transport.protocol.packets import DecodedPackets, decode_headers
from spead_transport.protocol.rejection import Rejection
from spead_transport.transport import PacketBatch

from .config import FaultsConfig, Side
from .dice import Dice
from .script import Rule

__all__ = ["Fate", "Fates", "Prophecy"]

#: Heaps whose packets are counted at the same time; what comes from a network must not fill the memory.
_MOST_HEAPS: Final = 4096


@attrs.define
class Fate:
    """What happens to one packet that does not simply pass."""

    #: Why it is lost; empty if it is not.
    lost: str = ""
    copies: int = 1
    #: Position in the packet, from 0 to below 1, of a bit to flip.
    flip: float | None = None
    #: Bytes that are left of it, or the part of it that is.
    size: int | None = None
    share: float | None = None
    #: How many packets overtake it.
    hold: int = 0
    #: Seconds added to its delay.
    delay: float = 0.0


@attrs.frozen(eq=False)
class Prophecy:
    """What will happen to the packets of a batch, once they are taken."""

    #: By position in the batch, ascending.
    fates: dict[int, Fate]
    #: The cnt of each packet's heap, -1 if it has none; ``None`` if nobody looked.
    heaps: list[int] | None


class Fates:
    """Decides for the packets to one destination. Only :meth:`take` changes anything.

    Parameters
    ----------
    config
        What is to go wrong.
    side, destination
        Which stream this is.
    """

    def __init__(self, config: FaultsConfig, side: Side, destination: int) -> None:
        self._config = config
        self._dice = Dice(config.seed, f"{side} {destination}")
        self._counts: OrderedDict[int, int] = OrderedDict()
        #: How many packets were taken.
        self.index: int = 0
        chances = {
            "loss": config.loss,
            "duplication": config.duplication,
            "corruption": config.corruption,
            "truncation": config.truncation,
            "reordering": config.reordering,
        }
        self._chances = {what: chance for what, chance in chances.items() if chance}

    def foresee(self, batch: PacketBatch) -> Prophecy:
        """What will happen to these packets, which come next."""
        fates: dict[int, Fate] = {}
        for what, chance in self._chances.items():
            for row in np.flatnonzero(self._throw(what, len(batch)) < chance).tolist():
                self._befall(what, fates.setdefault(row, Fate()), row)
        heaps = None
        if self._config.script.rules:
            heaps = self._apply_script(batch, fates)
        return Prophecy(dict(sorted(fates.items())), heaps)

    def take(self, prophecy: Prophecy, first: int, last: int) -> None:
        """Count the packets from `first` to before `last` of a batch, in its order."""
        self.index += last - first
        for cnt in prophecy.heaps[first:last] if prophecy.heaps is not None else ():
            self._counts[cnt] = self._counts.pop(cnt, 0) + 1
            if len(self._counts) > _MOST_HEAPS:
                self._counts.popitem(last=False)

    def jitter(self, count: int) -> npt.NDArray[np.float64]:
        """A number from 0 to below 1 for each of the next packets."""
        return self._throw("jitter", count)

    def _throw(self, purpose: str, count: int, row: int = 0) -> npt.NDArray[np.float64]:
        return self._dice.throw(purpose, self.index + row, count)

    def _befall(self, what: str, fate: Fate, row: int) -> None:
        if what == "loss":
            fate.lost = "loss"
        elif what == "duplication":
            fate.copies = 2
        elif what == "reordering":
            fate.hold = self._config.reorder_by
        elif what == "corruption":
            fate.flip = float(self._throw("flip", 1, row)[0])
        else:
            fate.share = float(self._throw("share", 1, row)[0])

    def _apply_script(self, batch: PacketBatch, fates: dict[int, Fate]) -> list[int] | None:
        """Add the script's fates; returns the packets' heaps, if rules are about them."""
        rules = self._config.script.rules
        in_stream = np.arange(self.index + 1, self.index + 1 + len(batch))
        decoded = decode_headers(batch) if self._config.script.within_heaps else None
        cnts, in_heap = self._count(decoded) if decoded is not None else (None, in_stream)
        for rule in rules:
            numbers = in_heap if rule.within_heap else in_stream
            chosen = np.ones(len(batch), np.bool_) if rule.packets is None else rule.packets.cover(numbers)
            if rule.within_heap and decoded is not None:
                chosen &= _of_heaps(rule, decoded)
            for row in np.flatnonzero(chosen).tolist():
                self._obey(rule, fates.setdefault(row, Fate()), row)
        return cnts

    def _count(self, decoded: DecodedPackets) -> tuple[list[int], npt.NDArray[np.int64]]:
        """The heap of each packet, and the packet's number in it."""
        valid = decoded.reason == Rejection.NONE
        cnts = [int(cnt) if good else -1 for cnt, good in zip(decoded.heap_cnt, valid, strict=True)]
        more: dict[int, int] = {}
        numbers = []
        for cnt in cnts:
            more[cnt] = more.get(cnt, 0) + 1
            numbers.append(self._counts.get(cnt, 0) + more[cnt])
        return cnts, np.array(numbers, np.int64)

    def _obey(self, rule: Rule, fate: Fate, row: int) -> None:
        match rule.action:
            case "drop":
                fate.lost = "script_drop"
            case "duplicate":
                fate.copies = 2
            case "corrupt":
                fate.flip = float(self._throw("flip", 1, row)[0])
            case "truncate":
                fate.size, fate.share = (None, 0.5) if rule.amount is None else (int(rule.amount), None)
            case "delay":
                fate.delay += rule.amount or 0.0
            case "hold":
                fate.hold = int(rule.amount or 0)


def _of_heaps(rule: Rule, decoded: DecodedPackets) -> npt.NDArray[np.bool_]:
    chosen: npt.NDArray[np.bool_] = decoded.reason == Rejection.NONE
    if rule.heaps is not None:
        chosen = chosen & rule.heaps.cover(decoded.heap_cnt)
    if rule.last:
        ends = decoded.payload_offset + decoded.payload_size
        chosen = chosen & (decoded.heap_length >= 0) & (ends == decoded.heap_length)
    return chosen
