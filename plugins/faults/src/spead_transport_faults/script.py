"""Faults by name: ``drop packet 3 of heap 17; delay packets 10-20 by 50 ms``."""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias, get_args

import attrs
import numpy as np
import numpy.typing as npt

from spead_transport.transport.units import parse_quantity, parse_whole

__all__ = ["Action", "Ranges", "Rule", "Script"]

Action: TypeAlias = Literal["drop", "duplicate", "corrupt", "truncate", "delay", "hold"]

#: What stands behind the selection, its unit, and an example.
_AMOUNTS: Final[dict[str, tuple[str, str, str]]] = {
    "truncate": ("to", "bytes", "to 20 bytes"),
    "delay": ("by", "seconds", "by 50 ms"),
    "hold": ("for", "packets", "for 3 packets"),
}
_NUMBERS: Final = r"\d+(?:-\d*)?(?:,\d+(?:-\d*)?)*"
_HEAPS: Final = rf"(?P<every_heap>every heap)|heaps? (?P<heaps>{_NUMBERS})"
_STATEMENT: Final = re.compile(
    rf"(?P<action>[a-z]+) "
    rf"(?:(?:(?P<every>every packet)|(?P<last>last packet)|packets? (?P<packets>{_NUMBERS}))(?: of (?:{_HEAPS}))?"
    rf"|heaps? (?P<whole>{_NUMBERS}))"
    rf"(?: (?P<word>to|by|for) (?P<amount>.+))?"
)
_EXPECTED: Final = "expected 'drop packet 3 of heap 17', 'delay packets 10-20 by 50 ms' and the like"


@attrs.frozen
class Ranges:
    """Whole numbers, as people write them: ``1-3,7,20-``. The end of the last range may be open."""

    parts: tuple[tuple[int, int | None], ...]

    @classmethod
    def parse(cls, text: str) -> Ranges:
        """The numbers that `text` names.

        Raises
        ------
        ValueError
            If a range ends before it begins.
        """
        parts: list[tuple[int, int | None]] = []
        for part in text.split(","):
            first, dash, last = part.partition("-")
            start, end = int(first), int(last) if last else None if dash else int(first)
            if end is not None and end < start:
                raise ValueError(f"the range {part!r} ends before it begins")
            parts.append((start, end))
        return cls(tuple(parts))

    def __str__(self) -> str:
        return ",".join(
            f"{first}-{'' if last is None else last}" if last != first else str(first) for first, last in self.parts
        )

    def __contains__(self, number: int) -> bool:
        return any(first <= number and (last is None or number <= last) for first, last in self.parts)

    def cover(self, numbers: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Which of `numbers` are among these."""
        covered = np.zeros(len(numbers), np.bool_)
        for first, last in self.parts:
            covered |= (numbers >= first) & (True if last is None else numbers <= last)
        return covered


@attrs.frozen(kw_only=True)
class Rule:
    """One fault, and the packets that have it.

    Parameters
    ----------
    action
        What happens to them.
    packets
        Their numbers, from 1: within their heap in the order of arrival if the rule is about heaps, else within the
        stream (to one destination). ``None`` for all.
    last
        Those that hold the end of their heap, instead.
    heaps
        Cnts of the heaps that the rule is about; ``None`` for all.
    within_heap
        Whether the rule is about heaps at all.
    amount
        How much: bytes that are left (truncate; by default half of the packet), seconds (delay) or packets that
        overtake it (hold).

    Raises
    ------
    ValueError
        If the amount is missing, or out of range, or the action has none.
    """

    action: Action = attrs.field(validator=attrs.validators.in_(get_args(Action)))
    packets: Ranges | None = None
    last: bool = False
    heaps: Ranges | None = None
    within_heap: bool = False
    amount: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.action not in _AMOUNTS and self.amount is not None:
            raise ValueError(f"{self.action} takes no amount")
        if self.action in ("delay", "hold") and self.amount is None:
            raise ValueError(f"{self.action} needs an amount, such as {_AMOUNTS[self.action][2]!r}")
        if self.amount is not None and self.amount < 0:
            raise ValueError(f"expected an amount of 0 or more, not {self.amount}")
        if self.action == "hold" and self.amount is not None and self.amount < 1:
            raise ValueError("a packet is held for at least one packet")
        if self.packets is not None and 0 in self.packets:
            raise ValueError("packets are counted from 1")
        if self.last and not self.within_heap:
            raise ValueError(
                "say of which heap the last packet: 'last packet of heap 3', 'last packet of every heap'"
            )

    @classmethod
    def parse(cls, text: str) -> Rule:
        """The rule that a statement makes.

        Raises
        ------
        ValueError
            If it is malformed.
        """
        match = _STATEMENT.fullmatch(" ".join(text.split()))
        if match is None or match["action"] not in get_args(Action):
            raise ValueError(f"{_EXPECTED}, not {text.strip()!r} (actions: {', '.join(get_args(Action))})")
        action: Action = match["action"]  # type: ignore[assignment]
        heaps = match["heaps"] or match["whole"]
        try:
            return cls(
                action=action,
                packets=Ranges.parse(match["packets"]) if match["packets"] else None,
                last=match["last"] is not None,
                heaps=Ranges.parse(heaps) if heaps else None,
                within_heap=heaps is not None or match["every_heap"] is not None,
                amount=_amount(action, match["word"], match["amount"]),
            )
        except ValueError as error:
            raise ValueError(f"{text.strip()!r}: {error}") from None

    def __str__(self) -> str:
        which = "last packet" if self.last else "every packet" if self.packets is None else f"packets {self.packets}"
        if self.within_heap:
            which += " of every heap" if self.heaps is None else f" of heaps {self.heaps}"
        if self.amount is None:
            return f"{self.action} {which}"
        word, unit, _ = _AMOUNTS[self.action]
        amount = f"{self.amount!r} s" if unit == "seconds" else f"{int(self.amount)} {unit}"
        return f"{self.action} {which} {word} {amount}"


def _amount(action: Action, word: str | None, text: str | None) -> float | None:
    if text is None:
        return None
    if action not in _AMOUNTS or _AMOUNTS[action][0] != word:
        example = f"it is {action} … {_AMOUNTS[action][2]}" if action in _AMOUNTS else f"{action} takes no amount"
        raise ValueError(f"'{word} {text}' does not fit: {example}")
    unit = _AMOUNTS[action][1]
    if unit == "seconds":
        return parse_quantity(text, unit)
    number, _, rest = text.partition(" ")
    if rest not in ("", unit, unit.removesuffix("s")):
        raise ValueError(f"expected a number of {unit}, not {text!r}")
    return float(parse_whole(number))


@attrs.frozen
class Script:
    """Rules; each is about the packets as they came, whatever the other rules do to them."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, value: str | Script) -> Script:
        """The rules that statements make, with ``;`` or line breaks between them.

        Raises
        ------
        ValueError
            If one is malformed.
        """
        if isinstance(value, Script):
            return value
        statements = re.split(r"[;\n]", value)
        return cls(tuple(Rule.parse(statement) for statement in statements if statement.strip()))

    def __str__(self) -> str:
        return "; ".join(map(str, self.rules))

    @property
    def within_heaps(self) -> bool:
        """Whether any rule is about heaps, so that packets have to be looked into."""
        return any(rule.within_heap for rule in self.rules)
