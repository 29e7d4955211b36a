"""What tests of streaming programs need from pytest; it is there wherever the package is installed.

The fixtures are those below. The marker ``transports`` says over what a test that uses the streams among them runs:
``@pytest.mark.transports("inproc", "udp", engines="all")`` runs it once for each combination. A transport is named
as :meth:`TransportUnderTest.of <spead_transport.testing.TransportUnderTest.of>` says; engines by their names, or
``"all"`` for each that is installed. Ini options:

* ``spead_transports``, ``spead_engines``: what tests run over that have no marker, or whose marker does not say: one
  transport or engine, or several with spaces between them. By default ``inproc``, and the engine that a program gets
  that names none.
* ``spead_no_leaks``: whether every test has the fixture of that name.
* ``spead_inproc``: what the fixture of that name redirects, and to where.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Final

import pytest

from ..engine import engine_names, get_engine
from ..transport import Redirection, redirected
from .leaks import Resources
from .links import AsyncStreamPair, Link, StreamPair
from .subject import TransportUnderTest

__all__ = ["spead_async_pair", "spead_inproc", "spead_link", "spead_no_leaks", "spead_pair"]

_RULES: Final = "udp->inproc,tcp->inproc"
_LINK: Final = "spead_link"
_MARKER: Final = "transports"
_FAILED: Final = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("spead_inproc", "what the fixture spead_inproc redirects, and to where", default=_RULES)
    parser.addini("spead_no_leaks", "whether every test has the fixture spead_no_leaks", type="bool", default=False)
    parser.addini("spead_transports", "what streams of tests run over", type="args", default=["inproc"])
    parser.addini("spead_engines", "which engines streams of tests run with", type="args", default=[])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(*transports, engines=...): run the test, which uses {_LINK}, spead_pair or spead_async_pair, "
        f'over each of these transports (schemes, URLs or classes), with each of these engines (names, or "all")',
    )
    if config.getini("spead_no_leaks"):
        config.pluginmanager.register(_EveryTest(), "spead_no_leaks")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if _LINK in metafunc.fixturenames:
        try:
            links = _links(metafunc)
        except (TypeError, ValueError) as error:
            pytest.fail(f"{metafunc.definition.nodeid}, {_MARKER}: {error}", pytrace=False)
        metafunc.parametrize(_LINK, links, ids=_name, indirect=True)
    elif any(mark.name == _MARKER for mark in metafunc.definition.own_markers):
        pytest.fail(
            f"{metafunc.definition.nodeid} is marked with {_MARKER}, but uses none of the fixtures {_LINK}, "
            f"spead_pair and spead_async_pair",
            pytrace=False,
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    if call.excinfo is not None:
        item.stash[_FAILED] = True


def _links(metafunc: pytest.Metafunc) -> list[Link]:
    """What a test runs over: each combination.

    Raises
    ------
    TypeError, ValueError
        If the marker is malformed, or names something that is not installed.
    """
    mark = metafunc.definition.get_closest_marker(_MARKER)
    targets, engines = _arguments(*mark.args, **mark.kwargs) if mark else ((), None)
    targets = targets or metafunc.config.getini("spead_transports")
    engines = metafunc.config.getini("spead_engines") if engines is None else engines
    links = [Link(TransportUnderTest.of(target), engine) for target, engine in product(targets, _engines(engines))]
    for link in links:
        if link.engine is not None:
            get_engine(link.engine)  # fails for an unknown one
    return links


def _name(link: Link) -> str:
    """Of a combination, in the names of tests."""
    return str(link.subject) if link.engine is None else f"{link.subject}-{link.engine}"


def _arguments(
    *transports: Any, engines: str | Sequence[str] | None = None
) -> tuple[Any, str | Sequence[str] | None]:
    """Those of the marker."""
    return transports, engines


def _engines(names: str | Sequence[str]) -> Sequence[str | None]:
    """The engines' names; ``None`` stands for the one that a program gets that names none."""
    listed = [names] if isinstance(names, str) else list(names)
    return engine_names() if listed == ["all"] else listed or [None]


@pytest.fixture
def spead_link(request: pytest.FixtureRequest) -> Link:
    """The transport and the engine that the test is to be run with, which make pairs of streams with any settings."""
    link: Link = request.param
    return link


@pytest.fixture
def spead_pair(spead_link: Link) -> Iterator[StreamPair]:
    """A stream that sends, and the one that receives from it, which nobody else uses; closed after the test."""
    with spead_link.streams() as pair:
        yield pair


@pytest.fixture
def spead_async_pair(spead_link: Link) -> Iterator[AsyncStreamPair]:
    """The same for asyncio, whichever plugin runs the test in an event loop."""
    with spead_link.async_streams() as pair:
        yield pair


@pytest.fixture
def spead_inproc(pytestconfig: pytest.Config) -> Iterator[Redirection]:
    """Every ``udp://`` and ``tcp://`` of the program under test, under classic names too, goes through memory.

    Ends meet as on a network: by port, or by group and port. Nothing is lost or slowed down to a rate, nothing needs
    a free port, and nothing is left for the next test. The ini option of the same name has the rules.
    """
    with redirected(pytestconfig.getini("spead_inproc")) as redirection:
        yield redirection


@pytest.fixture
def spead_no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that leaves a thread, a file descriptor (a socket, say) or a named queue behind fails.

    With the ini option of the same name every test has this fixture. A test that fails anyway is not looked at: its
    traceback holds on to what it used.
    """
    caplog = request.getfixturevalue("caplog") if request.config.pluginmanager.hasplugin("logging") else None
    before = Resources.now()
    yield
    item = request.node
    if item.stash.get(_FAILED, False):
        return
    # What pytest keeps for longer than the test is none of the test's doing.
    if isinstance(item, pytest.Function):
        item.funcargs.clear()
    if caplog is not None:
        for phase in ("setup", "call"):
            caplog.get_records(phase).clear()  # with errors that were logged, whose tracebacks hold on to streams
    leaks = before.leaked_since()
    if leaks:
        pytest.fail("the test left something behind:\n" + "\n".join(leaks), pytrace=False)


class _EveryTest:
    """A plugin of its own, for tests of projects that ask for it."""

    @pytest.fixture(autouse=True)
    def _spead_no_leaks_at_all(self, spead_no_leaks: None) -> None:
        """Nothing but the other fixture."""
