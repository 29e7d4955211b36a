"""The options of files, and what is said of those that make no sense."""

from __future__ import annotations

import pytest
from spead_transport_file import FileConfig

from spead_transport.transport import transport_from_url


def test_url() -> None:
    transport = transport_from_url(
        "file:///data/x.spead?mode=append&follow=yes&open_timeout=1min&max_packet_size=9000"
    )
    assert transport.config == FileConfig(
        path="/data/x.spead", mode="append", follow="yes", open_timeout=60.0, max_packet_size=9000
    )
    assert transport_from_url(transport.url) == transport


@pytest.mark.parametrize("path", ["-", "relative/path", "/with space", "/with?mark&amp", "/ä/%41", "/a=b#c"])
def test_paths(path: str) -> None:
    assert FileConfig.from_url(FileConfig(path=path).to_url("file")).path == path


@pytest.mark.parametrize(
    "url",
    [
        "file://",
        "file:///a%00b",
        "file:///x?mode=overwrite",
        "file:///x?follow=maybe",
        "file:///x?open_timeout=-1",
        "file:///x?max_packet_size=0",
        "file:///x?max_packet_size=1TiB",
        "file:///x?compress=yes",
    ],
)
def test_nonsense_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="file://"):
        transport_from_url(url)
