"""A regular file that is followed while it is written keeps the contract just as a pipe does."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from spead_transport_file import FileTransport

from spead_transport.testing import TransportConformance, TransportUnderTest


class GrowingFiles(TransportUnderTest):
    """A new file for each receiver."""

    def __init__(self, folder: Path) -> None:
        super().__init__(FileTransport)
        self._paths = (folder / f"{serial}.spead" for serial in itertools.count())

    def receiver_url(self) -> str:
        path = next(self._paths)
        path.touch()
        return f"file://{path}?mode=append&follow=until-closed"


class TestGrowingFiles(TransportConformance):
    transport = FileTransport
    folder: Path

    @pytest.fixture(autouse=True)
    def _choose_folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def subject(self) -> TransportUnderTest:
        return GrowingFiles(self.folder)
