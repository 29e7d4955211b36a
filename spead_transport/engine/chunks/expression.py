"""Arithmetic on columns of integers, written as text and safe to take from a configuration file.

An expression is parsed by Python's own parser, and only what is known here is accepted. It is evaluated for all rows
at once, in 64-bit integers. A row in which it has no value (a division by zero, a shift by a negative number) is
marked, and does not disturb the others.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Column", "Expression", "Mask"]

#: An ``int64`` for each row.
Column: TypeAlias = npt.NDArray[np.int64]
#: Rows in which an expression has no value.
Mask: TypeAlias = npt.NDArray[np.bool_]
_Term: TypeAlias = Callable[[Mapping[str, Column], Mask], Any]

_BINARY: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_UNARY: Final[dict[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_COMPARISON: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_LARGEST: Final = (1 << 63) - 1


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
        #: Names that it does use.
        self.uses: set[str] = set()
        try:
            self._term = self._compile(body)
        except RecursionError:
            raise ValueError(f"{what}={text!r} is nested too deeply") from None

    def __reduce__(self) -> tuple[object, ...]:
        return Expression, (self._text, self._names, self._what)

    def evaluate(self, columns: Mapping[str, Column], undefined: Mask) -> Column:
        """The value in each row; rows without one are set in `undefined`, and their values mean nothing."""
        with np.errstate(all="ignore"):
            value = self._term(columns, undefined)
        return np.broadcast_to(np.asarray(value, np.int64), undefined.shape)

    def _error(self, node: ast.AST, problem: str) -> ValueError:
        return ValueError(f"{self._what}={self._text!r}: {problem}: {ast.unparse(node)}")

    def _compile(self, node: ast.expr) -> _Term:
        constant = self._constant(node)
        if constant is not None:
            value = np.int64(constant)
            return lambda columns, undefined: value
        if isinstance(node, ast.Name):
            return self._compile_name(node)
        if isinstance(node, ast.BinOp):
            return self._compile_binary(node)
        if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            unary, operand = _UNARY[type(node.op)], self._compile(node.operand)
            return lambda columns, undefined: unary(operand(columns, undefined))
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISON:
            compare = _COMPARISON[type(node.ops[0])]
            left, right = self._compile(node.left), self._compile(node.comparators[0])
            return lambda columns, undefined: (
                compare(left(columns, undefined), right(columns, undefined)) * np.int64(1)
            )
        if isinstance(node, ast.IfExp):
            return self._compile_choice(node)
        raise self._error(node, "this is not supported in expressions")

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

    def _compile_name(self, node: ast.Name) -> _Term:
        name = node.id
        if name not in self._names:
            raise self._error(node, f"there is no such name (known are {', '.join(sorted(self._names))})")
        self.uses.add(name)
        return lambda columns, undefined: columns[name]

    def _compile_binary(self, node: ast.BinOp) -> _Term:
        function = _BINARY.get(type(node.op))
        if function is None:
            hint = " (use // to divide)" if isinstance(node.op, ast.Div) else ""
            raise self._error(node, f"this operator is not supported in expressions{hint}")
        left, right = self._compile(node.left), self._compile(node.right)
        divides = isinstance(node.op, ast.FloorDiv | ast.Mod)
        shifts = isinstance(node.op, ast.LShift | ast.RShift)

        def term(columns: Mapping[str, Column], undefined: Mask) -> Any:
            a, b = left(columns, undefined), right(columns, undefined)
            if divides:
                bad = b == 0
                undefined |= bad
                b = np.where(bad, 1, b)
            elif shifts:
                bad = (b < 0) | (b > 63)
                undefined |= bad
                b = np.where(bad, 0, b)
            return function(a, b)

        return term

    def _compile_choice(self, node: ast.IfExp) -> _Term:
        condition, first, second = map(self._compile, (node.test, node.body, node.orelse))

        def term(columns: Mapping[str, Column], undefined: Mask) -> Any:
            chosen = np.broadcast_to(condition(columns, undefined) != 0, undefined.shape)
            # What has no value matters only where it is chosen.
            first_undefined, second_undefined = np.zeros_like(undefined), np.zeros_like(undefined)
            value = np.where(chosen, first(columns, first_undefined), second(columns, second_undefined))
            undefined |= np.where(chosen, first_undefined, second_undefined)
            return value

        return term
