"""The conformance suite as a class of tests, for pytest and whatever else finds methods named ``test_…``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..transport import Transport
from .check import Check
from .subject import TransportUnderTest
from .suite import checks_for

__all__ = ["TransportConformance"]


class TransportConformance:
    """Inherit from it, name a transport, and the class has a test for every rule that the transport must keep::

        class TestMine(TransportConformance):
            transport = MyTransport

    Which rules these are is decided by the transport's capabilities. A test that fails quotes the sentence of the
    contract that is broken. A test that the class defines itself takes the place of the one that it would get; its
    rule is in :attr:`rules`.

    Raises
    ------
    TypeError
        By a subclass that names no transport.
    """

    #: The transport.
    transport: ClassVar[type[Transport[Any]]]
    #: Options of both ends, as in a URL: ``max_packets=7&mode=fanout``.
    options: ClassVar[str] = ""
    #: The rule of each test, by the test's name. Subclasses are given theirs.
    rules: ClassVar[Mapping[str, Check]] = {}

    def subject(self) -> TransportUnderTest:
        """What is tried, made anew for each test. Override it for a transport that needs more to be tried."""
        return TransportUnderTest(self.transport, self.options)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "transport"):
            raise TypeError(f"{cls.__name__} does not say what it tests: give it `transport = ` a Transport class")
        inherited = cls.rules
        cls.rules = {f"test_{check.name}": check for check in checks_for(cls.transport.capabilities)}
        for name in inherited.keys() - cls.rules.keys():
            setattr(cls, name, None)  # a rule for another transport, whose tests this class inherits
        for name, check in cls.rules.items():
            if name not in vars(cls) and getattr(cls, name, None) is None:
                setattr(cls, name, _test(name, check))


def _test(name: str, check: Check) -> Callable[[TransportConformance], None]:
    def test(self: TransportConformance) -> None:
        check.run(self.subject())

    test.__name__ = name
    test.__qualname__ = f"{TransportConformance.__name__}.{name}"
    test.__doc__ = check.sentence
    return test
