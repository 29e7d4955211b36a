"""Transports for these tests, installed as a third party's are."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The scheme of an installed wrapper."""
    site = tmp_path / "site"
    info = site / "drop_wrapper-3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: drop-wrapper\nVersion: 3\n")
    (info / "entry_points.txt").write_text(
        "[spead_transport.transports]\ndrop = tests.config.wrapping:DropTransport\n"
    )
    monkeypatch.syspath_prepend(str(site))
    return "drop"
