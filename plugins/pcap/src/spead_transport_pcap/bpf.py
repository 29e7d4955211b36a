"""Filters for many frames at once. libpcap compiles them; here their instructions are carried out on whole columns.

The instructions are those of the BSD Packet Filter (S. McCanne and V. Jacobson, "The BSD Packet Filter", 1993, and
bpf(4)). They only jump forwards, so that one pass through the program, with the frames that come to each instruction,
does what one pass for each frame would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from spead_transport.transport import Bytes, Offsets

__all__ = ["Filter", "Instruction", "UnsupportedFilterError"]

#: Operation code, how far to jump if true and if false, operand.
Instruction: TypeAlias = tuple[int, int, int, int]
_Rows: TypeAlias = npt.NDArray[np.int64]
_Words: TypeAlias = npt.NDArray[np.int64]

_MASK: Final = 0xFFFFFFFF
_MEMORY: Final = 16  #: words
_LD, _LDX, _ST, _STX, _ALU, _JUMP, _RETURN, _MISC = range(8)
_IMMEDIATE, _ABSOLUTE, _INDIRECT, _MEMORY_WORD, _LENGTH, _IP_HEADER = (mode << 5 for mode in range(6))
_WIDTHS: Final = {0x00: 4, 0x08: 2, 0x10: 1}  #: bytes that are loaded
_ALWAYS: Final = 0x00
_FROM_X: Final = 0x08

_COMPARISONS: Final[dict[int, Callable[[_Words, _Words], npt.NDArray[np.bool_]]]] = {
    0x10: lambda a, b: a == b,
    0x20: lambda a, b: a > b,
    0x30: lambda a, b: a >= b,
    0x40: lambda a, b: a & b != 0,
}
#: Shifts by more than a word's bits give 0, and divisions by 0 are dealt with before.
_ARITHMETIC: Final[dict[int, Callable[[_Words, _Words], _Words]]] = {
    0x00: lambda a, b: a + b,
    0x10: lambda a, b: a - b,
    0x20: lambda a, b: (a.astype(np.uint64) * b.astype(np.uint64)).astype(np.int64),
    0x30: lambda a, b: a // b,
    0x40: lambda a, b: a | b,
    0x50: lambda a, b: a & b,
    0x60: lambda a, b: np.where(b < 32, a << np.minimum(b, 31), 0),
    0x70: lambda a, b: np.where(b < 32, a >> np.minimum(b, 31), 0),
    0x80: lambda a, b: -a,
    0x90: lambda a, b: a % b,
    0xA0: lambda a, b: a ^ b,
}
_DIVISIONS: Final = (0x30, 0x90)


class UnsupportedFilterError(ValueError):
    """The program has an instruction that is not known here, or jumps backwards."""


class Filter:
    """A program that says which frames are wanted.

    Parameters
    ----------
    program
        Its instructions.

    Raises
    ------
    UnsupportedFilterError
        If they cannot be carried out on many frames at once.
    """

    def __init__(self, program: Sequence[Instruction]) -> None:
        self._program = [*program]
        for at, (code, if_true, if_false, operand) in enumerate(self._program):
            _check(code, operand)
            farthest = (operand if code == _JUMP | _ALWAYS else max(if_true, if_false)) if code & 7 == _JUMP else 0
            if code & 7 != _RETURN and at + 1 + farthest >= len(self._program):
                raise UnsupportedFilterError(f"instruction {at} leads out of the program, or backwards")

    def wanted(self, block: Bytes, starts: Offsets, captured: Offsets, lengths: Offsets) -> npt.NDArray[np.bool_]:
        """Which frames are wanted.

        Parameters
        ----------
        block
            Where the frames lie. A few bytes behind each one are looked at, too, but do not count.
        starts, captured, lengths
            Where each one starts, how much of it was captured, and how long it was.
        """
        frames = _Frames(block, starts, captured, lengths)
        arriving: list[list[_Rows]] = [[] for _ in self._program]
        arriving[0].append(np.arange(len(starts)))
        for at, instruction in enumerate(self._program):
            if not arriving[at]:
                continue
            rows = np.concatenate(arriving[at])
            for offset, leaving in frames.step(instruction, rows):
                arriving[at + 1 + offset].append(leaving)
        return frames.result


class _Frames:
    """The frames, and where each one's run of the program is."""

    def __init__(self, block: Bytes, starts: Offsets, captured: Offsets, lengths: Offsets) -> None:
        self._block = block
        self._starts = starts
        self._captured = captured
        self._lengths = lengths
        self._a = np.zeros(len(starts), np.int64)
        self._x = np.zeros(len(starts), np.int64)
        self._memory = np.zeros((_MEMORY, len(starts)), np.int64)
        self.result = np.zeros(len(starts), np.bool_)

    def step(self, instruction: Instruction, rows: _Rows) -> list[tuple[int, _Rows]]:
        """Carry out an instruction. Returns how many instructions are skipped then, by which frames."""
        code, if_true, if_false, operand = instruction
        kind = code & 7
        if kind == _RETURN:
            self.result[rows] = self._a[rows] != 0 if code & 0x18 == 0x10 else operand != 0
            return []
        if kind == _JUMP:
            return self._jump(code, if_true, if_false, operand, rows)
        if kind in (_LD, _LDX):
            rows, values = self._load(code, operand, rows)
            (self._a if kind == _LD else self._x)[rows] = values
        elif kind in (_ST, _STX):
            self._memory[operand, rows] = (self._a if kind == _ST else self._x)[rows]
        elif kind == _ALU:
            rows = self._calculate(code, operand, rows)
        elif code & 0x80:
            self._a[rows] = self._x[rows]
        else:
            self._x[rows] = self._a[rows]
        return [(0, rows)]

    def _jump(self, code: int, if_true: int, if_false: int, operand: int, rows: _Rows) -> list[tuple[int, _Rows]]:
        if code & 0xF0 == _ALWAYS:
            return [(operand, rows)]
        true = _COMPARISONS[code & 0xF0](self._a[rows], self._operand(code, operand, rows))
        return [(if_true, rows[true]), (if_false, rows[~true])]

    def _operand(self, code: int, operand: int, rows: _Rows) -> _Words:
        return self._x[rows] if code & _FROM_X else np.full(len(rows), operand, np.int64)

    def _calculate(self, code: int, operand: int, rows: _Rows) -> _Rows:
        """Returns the frames that go on: a division by 0 refuses a frame."""
        other = self._operand(code, operand, rows)
        if code & 0xF0 in _DIVISIONS:
            rows, other = rows[other != 0], other[other != 0]
        self._a[rows] = _ARITHMETIC[code & 0xF0](self._a[rows], other) & _MASK
        return rows

    def _load(self, code: int, operand: int, rows: _Rows) -> tuple[_Rows, _Words]:
        """Returns the frames that go on, and what is loaded: to look behind its end refuses a frame."""
        mode = code & 0xE0
        if mode == _IMMEDIATE:
            return rows, np.full(len(rows), operand, np.int64)
        if mode == _LENGTH:
            return rows, self._lengths[rows]
        if mode == _MEMORY_WORD:
            return rows, self._memory[operand, rows]
        at = (np.full(len(rows), operand, np.int64) + self._x[rows] * (mode == _INDIRECT)) & _MASK
        width = 1 if mode == _IP_HEADER else _WIDTHS[code & 0x18]
        inside = at + width <= self._captured[rows]
        rows, at = rows[inside], at[inside] + self._starts[rows[inside]]
        values = np.zeros(len(rows), np.int64)
        for i in range(width):
            values = values << 8 | self._block[at + i]
        return rows, (values & 0xF) * 4 if mode == _IP_HEADER else values


def _check(code: int, operand: int) -> None:
    """Whether an instruction is known."""
    kind, mode = code & 7, code & 0xE0
    if kind == _LD:
        known = mode in (_IMMEDIATE, _MEMORY_WORD, _LENGTH) or (mode <= _INDIRECT and code & 0x18 in _WIDTHS)
    elif kind == _LDX:
        known = mode in (_IMMEDIATE, _MEMORY_WORD, _LENGTH, _IP_HEADER)
    elif kind == _ALU:
        known = code & 0xF0 in _ARITHMETIC
    elif kind == _JUMP:
        known = code & 0xF0 in _COMPARISONS or code & 0xF0 == _ALWAYS
    else:
        known = True
    uses_memory = kind in (_ST, _STX) or (kind in (_LD, _LDX) and mode == _MEMORY_WORD)
    if not known or (uses_memory and operand >= _MEMORY):
        raise UnsupportedFilterError(f"unknown instruction {code:#x} {operand:#x}")
