"""The header of native transports."""

from __future__ import annotations

from pathlib import Path

from spead_transport_fastpath import get_include

_ROOT = Path(__file__).parents[2]


def test_the_example_has_a_copy_of_the_header() -> None:
    """A distribution must bring all that it is built from: its source archive leaves out links to elsewhere."""
    header = _ROOT / "plugins/fastpath/include/spead_transport.h"
    copy = _ROOT / "docs/examples/spead-transport-cqueue/native/spead_transport.h"
    assert copy.read_text() == header.read_text()


def test_the_header_is_where_the_package_says() -> None:
    header = Path(get_include(), "spead_transport.h")
    assert header.read_text() == (_ROOT / "plugins/fastpath/include/spead_transport.h").read_text()
