"""What a check is, and how it says what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from ..transport import Capabilities
from .subject import TransportUnderTest

__all__ = ["Check", "CheckFunction", "Checks", "ConformanceError", "expect", "raises"]

CheckFunction = Callable[[TransportUnderTest], None]


class ConformanceError(AssertionError):
    """A transport does not keep the contract."""


def _always(_: Capabilities) -> bool:
    return True


@attrs.frozen
class Check:
    """One rule of the contract, and the code that finds out whether a transport keeps it."""

    name: str
    #: What the contract, or the manual, says.
    sentence: str
    #: Whether the rule holds for a transport with these capabilities.
    applies: Callable[[Capabilities], bool] = attrs.field(repr=False)
    function: CheckFunction = attrs.field(repr=False)

    def __str__(self) -> str:
        return self.name

    def run(self, subject: TransportUnderTest) -> None:
        """Try it.

        Raises
        ------
        ConformanceError
            If `subject` does not keep the rule; the message says which.
        """
        __tracebackhide__ = True  # pytest shows what the check did, and not how
        try:
            self.function(subject)
        except Exception as error:
            what = str(error) if isinstance(error, ConformanceError) else f"{type(error).__name__}: {error}"
            raise ConformanceError(
                f"{subject.scheme} fails the check {self.name!r}.\nThe contract: {self.sentence}\nBut: {what}"
            ) from error


class Checks:
    """A list of checks that functions are added to by decorating them."""

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def add(
        self, sentence: str, *, when: Callable[[Capabilities], bool] = _always
    ) -> Callable[[CheckFunction], CheckFunction]:
        """Decorator: the function raises if the transport that it is given does not do what `sentence` says.

        Parameters
        ----------
        sentence
            From the contract, word for word.
        when
            Which capabilities a transport needs for the rule to hold.
        """

        def decorate(function: CheckFunction) -> CheckFunction:
            self._checks.append(Check(function.__name__, sentence, when, function))
            return function

        return decorate

    def applying_to(self, capabilities: Capabilities) -> list[Check]:
        """The checks that a transport with these capabilities must pass."""
        return [check for check in self._checks if check.applies(capabilities)]


def expect(condition: object, otherwise: str) -> None:
    """Fail with the message `otherwise` unless `condition` holds. (An ``assert`` would vanish with ``python -O``.)"""
    __tracebackhide__ = True
    if not condition:
        raise ConformanceError(otherwise)


def raises(expected: type[Exception] | tuple[type[Exception], ...], call: Callable[[], Any], what: str) -> None:
    """Fail unless `call`, which the message calls `what`, raises one of the `expected` exceptions."""
    kinds = expected if isinstance(expected, tuple) else (expected,)
    names = " or ".join(kind.__name__ for kind in kinds)
    try:
        result = call()
    except kinds:
        return
    except Exception as error:
        raise ConformanceError(f"{what} raised {type(error).__name__} ({error}), not {names}") from error
    raise ConformanceError(f"{what} returned {result!r} and did not raise {names}")
