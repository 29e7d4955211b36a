"""Every test is done with both implementations of the endpoints."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from spead_transport_file import FileTransport

from ..faces import FACES, faces_of


@pytest.fixture(scope="module", params=FACES, autouse=True)
def face(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from faces_of(request.param, FileTransport)
