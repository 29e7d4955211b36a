"""Memory is tested with the pools of each engine."""

from __future__ import annotations

import pytest

from spead_transport.engine.selection import ENVIRONMENT_VARIABLE


@pytest.fixture(autouse=True)
def _chosen_engine(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine of pools, and of streams where nothing else is said."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, engine)
