"""A regular file that is followed while it is written keeps the contract just as a pipe does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from spead_transport_file import FileTransport

from spead_transport.testing import Check, TransportUnderTest, checks_for


class GrowingFiles(TransportUnderTest):
    """A new file for each receiver."""

    def __init__(self, folder: Path) -> None:
        super().__init__(FileTransport)
        self._paths: Iterator[Path] = (folder / f"{serial}.spead" for serial in itertools.count())

    def receiver_url(self) -> str:
        path = next(self._paths)
        path.touch()
        return f"file://{path}?mode=append&follow=until-closed"


@pytest.mark.parametrize("check", checks_for(FileTransport.capabilities), ids=str)
def test_growing_files(check: Check, tmp_path: Path) -> None:
    check.run(GrowingFiles(tmp_path))
