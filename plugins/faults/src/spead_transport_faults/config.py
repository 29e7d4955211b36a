"""What is to go wrong, and how often."""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

import attrs

from spead_transport.transport import TransportConfig, option
from spead_transport.transport.units import parse_quantity

from .script import Script

__all__ = ["FaultsConfig", "Side", "Windows"]

#: At which end of the transport faults happen.
Side: TypeAlias = Literal["send", "receive"]

_PROBABILITY: Final = [attrs.validators.ge(0.0), attrs.validators.le(1.0)]
_NOT_NEGATIVE: Final = [attrs.validators.ge(0.0), attrs.validators.lt(float("inf"))]


@attrs.frozen
class Windows:
    """Stretches of time, in seconds since the endpoint was opened: ``2s-2.5s,1e2s-``."""

    spans: tuple[tuple[float, float], ...] = ()

    @classmethod
    def parse(cls, value: str | Windows) -> Windows:
        """The stretches that `value` names.

        Raises
        ------
        ValueError
            If it is malformed.
        """
        if isinstance(value, Windows):
            return value
        spans = []
        for part in filter(None, map(str.strip, value.split(","))):
            # A dash inside a number, as in 1e-3, is none between numbers.
            start, dash, end = re.sub(r"(?<![eE])-", "\0", part, count=1).partition("\0")
            if not dash:
                raise ValueError(f"expected from-until, such as 2s-2.5s, not {part!r}")
            span = parse_quantity(start, "seconds"), parse_quantity(end, "seconds") if end else float("inf")
            if span[1] <= span[0]:
                raise ValueError(f"{part!r} ends before it begins")
            spans.append(span)
        return cls(tuple(spans))

    def __str__(self) -> str:
        return ",".join(f"{start!r}-{'' if end == float('inf') else repr(end)}" for start, end in self.spans)

    def __contains__(self, seconds: float) -> bool:
        return any(start <= seconds < end for start, end in self.spans)


@attrs.frozen(kw_only=True)
class FaultsConfig(TransportConfig):
    """Options of ``faults+…://``. Nothing goes wrong by default.

    Each packet's fate is decided by the seed and by its place in the stream to its destination, so that the same
    packets meet the same faults on every run and every machine; delays, bandwidth and outages also depend on when
    packets come.
    """

    seed: int = option(0, "another number gives other faults", validator=attrs.validators.instance_of(int))
    side: Literal["both", "send", "receive"] = option(
        "both",
        "where faults happen: both, send (in senders only), receive (in receivers only)",
        validator=attrs.validators.in_(("both", "send", "receive")),
    )
    loss: float = option(0.0, "probability that a packet is lost", validator=_PROBABILITY)
    duplication: float = option(0.0, "probability that a packet comes twice", validator=_PROBABILITY)
    corruption: float = option(0.0, "probability that a bit of a packet is flipped", validator=_PROBABILITY)
    truncation: float = option(0.0, "probability that the end of a packet is cut off", validator=_PROBABILITY)
    reordering: float = option(0.0, "probability that a packet is overtaken by others", validator=_PROBABILITY)
    reorder_by: int = option(3, "how many packets overtake it", unit="packets", validator=attrs.validators.ge(1))
    reorder_timeout: float = option(
        1.0, "how long it waits for them at most", unit="seconds", validator=_NOT_NEGATIVE
    )
    delay: float = option(0.0, "how long every packet is on its way", unit="seconds", validator=_NOT_NEGATIVE)
    jitter: float = option(
        0.0,
        "up to this is added to the delay, at random; packets may overtake",
        unit="seconds",
        validator=_NOT_NEGATIVE,
    )
    bandwidth: float | None = option(
        None,
        "how much passes in a second; no limit if not given",
        unit="bytes/s",
        validator=attrs.validators.optional(attrs.validators.gt(0.0)),
    )
    queue: int = option(
        1000, "how many packets may be on their way", unit="packets", validator=attrs.validators.ge(1)
    )
    full: Literal["wait", "drop"] = option(
        "wait",
        "when that many are: wait (take no more) or drop",
        validator=attrs.validators.in_(("wait", "drop")),
    )
    outages: Windows = option(
        Windows(), "when everything is lost, in seconds since opening: 2s-2.5s,10s-", converter=Windows.parse
    )
    script: Script = option(
        Script(), "faults of certain packets: drop packet 3 of heap 17; …", converter=Script.parse
    )

    def concerns(self, side: Side) -> bool:
        """Whether faults happen at this end."""
        return self.side in ("both", side)

    @property
    def takes_time(self) -> bool:
        """Whether every packet is kept for a while."""
        return bool(self.delay or self.jitter or self.bandwidth)

    @property
    def loses(self) -> bool:
        """Whether packets may be lost or spoilt."""
        actions = {rule.action for rule in self.script.rules}
        return bool(
            self.loss
            or self.corruption
            or self.truncation
            or self.outages.spans
            or (self.full == "drop" and self.takes_time)
            or actions & {"drop", "corrupt", "truncate"}
        )

    @property
    def reorders(self) -> bool:
        """Whether packets may come in another order."""
        return bool(self.reordering or self.jitter or {rule.action for rule in self.script.rules} & {"delay", "hold"})
