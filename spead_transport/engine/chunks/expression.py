"""Arithmetic on integers, written as text and safe to take from a configuration file.

An expression is parsed by Python's own parser, and only what is known here is accepted. It becomes a program for a
machine with a stack, which engines may run as they like; here it is run for columns, all rows at once, in 64-bit
integers. A row in which it has no value (a division by zero, a shift by a negative number) is marked, and does not
disturb the others.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

__all__ = ["Column", "Expression", "Instruction", "Mask"]

#: An ``int64`` for each row.
Column: TypeAlias = npt.NDArray[np.int64]
#: Rows in which an expression has no value.
Mask: TypeAlias = npt.NDArray[np.bool_]
_Function: TypeAlias = Callable[[Any, Any], Any]

_BINARY: Final[dict[type[ast.operator | ast.cmpop], tuple[str, _Function]]] = {
    ast.Add: ("add", operator.add),
    ast.Sub: ("subtract", operator.sub),
    ast.Mult: ("multiply", operator.mul),
    ast.FloorDiv: ("divide", operator.floordiv),
    ast.Mod: ("modulo", operator.mod),
    ast.LShift: ("shift_left", operator.lshift),
    ast.RShift: ("shift_right", operator.rshift),
    ast.BitAnd: ("bit_and", operator.and_),
    ast.BitOr: ("bit_or", operator.or_),
    ast.BitXor: ("bit_xor", operator.xor),
    ast.Eq: ("equal", operator.eq),
    ast.NotEq: ("not_equal", operator.ne),
    ast.Lt: ("less", operator.lt),
    ast.LtE: ("less_equal", operator.le),
    ast.Gt: ("greater", operator.gt),
    ast.GtE: ("greater_equal", operator.ge),
}
_FUNCTIONS: Final = dict(_BINARY.values())
_UNARY: Final[dict[type[ast.unaryop], tuple[str, Callable[[Any], Any]]]] = {
    ast.USub: ("negate", operator.neg),
    ast.Invert: ("invert", operator.invert),
}
_UNARY_FUNCTIONS: Final = dict(_UNARY.values())
_LARGEST: Final = (1 << 63) - 1


@attrs.frozen
class Instruction:
    """Takes what it needs from the stack, the last operand first, and leaves its result there.

    ``constant`` and ``name`` need nothing; ``negate`` and ``invert`` one value; ``choose`` three, of which the second
    is its result if the first is not 0, else the third; all others two.
    """

    operation: str
    #: The number of ``constant``, and the name of ``name``.
    argument: int | str = 0


@attrs.frozen
class _Value:
    """A column, or one number for all rows, and where it has no value."""

    number: Any
    undefined: Any


class Expression:
    """Integers, names, ``+ - * // % ** << >> & | ^ ~``, comparisons, and ``a if condition else b``.

    ``//`` and ``%`` round down as they do in Python; ``**`` is for numbers only, not for names.

    Parameters
    ----------
    text
        The expression.
    names
        Names that it may use.
    what
        What to call it in messages.

    Raises
    ------
    ValueError
        If it is malformed, or uses anything else.
    """

    def __init__(self, text: str, names: Collection[str], what: str) -> None:
        self._text = text
        self._what = what
        self._names = names
        if not isinstance(text, str):
            raise TypeError(f"{what} must be an expression as text, not {text!r}")
        try:
            body = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"{what}={text!r} is no expression: {error}") from None
        try:
            #: What to do for its value.
            self.program: tuple[Instruction, ...] = tuple(self._compile(body))
        except RecursionError:
            raise ValueError(f"{what}={text!r} is nested too deeply") from None

    def __reduce__(self) -> tuple[object, ...]:
        return Expression, (self._text, self._names, self._what)

    def evaluate(self, columns: Mapping[str, Column], undefined: Mask) -> Column:
        """The value in each row; rows without one are set in `undefined`, and their values mean nothing."""
        stack: list[_Value] = []
        with np.errstate(all="ignore"):
            for instruction in self.program:
                _execute(instruction, stack, columns)
        (value,) = stack
        undefined |= value.undefined
        return np.broadcast_to(np.asarray(value.number, np.int64), undefined.shape)

    def _error(self, node: ast.AST, problem: str) -> ValueError:
        return ValueError(f"{self._what}={self._text!r}: {problem}: {ast.unparse(node)}")

    def _compile(self, node: ast.expr) -> Iterator[Instruction]:
        constant = self._constant(node)
        if constant is not None:
            yield Instruction("constant", constant)
        elif isinstance(node, ast.Name):
            if node.id not in self._names:
                raise self._error(node, f"there is no such name (known are {', '.join(sorted(self._names))})")
            yield Instruction("name", node.id)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd):
            yield from self._compile(node.operand)
        elif isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            yield from self._compile(node.operand)
            yield Instruction(_UNARY[type(node.op)][0])
        elif isinstance(node, ast.BinOp):
            yield from self._compile_binary(node, node.left, node.op, node.right)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield from self._compile_binary(node, node.left, node.ops[0], node.comparators[0])
        elif isinstance(node, ast.IfExp):
            for part in (node.test, node.body, node.orelse):
                yield from self._compile(part)
            yield Instruction("choose")
        else:
            raise self._error(node, "this is not supported in expressions")

    def _compile_binary(
        self, node: ast.expr, left: ast.expr, operation: ast.operator | ast.cmpop, right: ast.expr
    ) -> Iterator[Instruction]:
        known = _BINARY.get(type(operation))
        if known is None:
            hint = " (use // to divide)" if isinstance(operation, ast.Div) else ""
            raise self._error(node, f"this operator is not supported in expressions{hint}")
        yield from self._compile(left)
        yield from self._compile(right)
        yield Instruction(known[0])

    def _constant(self, node: ast.expr) -> int | None:
        """The value of an expression of numbers only, ``None`` of others."""
        if isinstance(node, ast.Constant):
            if type(node.value) is not int:
                raise self._error(node, "only integers are supported in expressions")
            return self._checked(node, node.value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            base, exponent = self._constant(node.left), self._constant(node.right)
            if base is None or exponent is None or not 0 <= exponent < 64:
                raise self._error(node, "** is for numbers only, with an exponent from 0 to 63")
            return self._checked(node, base**exponent)
        return None

    def _checked(self, node: ast.expr, value: int) -> int:
        if abs(value) > _LARGEST:
            raise self._error(node, "this number does not fit 64 bits")
        return value


def _execute(instruction: Instruction, stack: list[_Value], columns: Mapping[str, Column]) -> None:
    operation, argument = instruction.operation, instruction.argument
    if isinstance(argument, str):
        stack.append(_Value(columns[argument], False))
    elif operation == "constant":
        stack.append(_Value(np.int64(argument), False))
    elif operation in _UNARY_FUNCTIONS:
        value = stack.pop()
        stack.append(_Value(_UNARY_FUNCTIONS[operation](value.number), value.undefined))
    elif operation == "choose":
        second, first, condition = stack.pop(), stack.pop(), stack.pop()
        chosen = condition.number != 0
        # What has no value matters only where it is chosen.
        undefined = condition.undefined | np.where(chosen, first.undefined, second.undefined)
        stack.append(_Value(np.where(chosen, first.number, second.number), undefined))
    else:
        second, first = stack.pop(), stack.pop()
        stack.append(_combine(operation, first, second))


def _combine(operation: str, a: _Value, b: _Value) -> _Value:
    undefined, number = a.undefined | b.undefined, b.number
    if operation in ("divide", "modulo"):
        bad = number == 0
        undefined, number = undefined | bad, np.where(bad, 1, number)
    elif operation in ("shift_left", "shift_right"):
        bad = (number < 0) | (number > 63)
        undefined, number = undefined | bad, np.where(bad, 0, number)
    return _Value(np.asarray(_FUNCTIONS[operation](a.number, number), np.int64), undefined)
