"""Rules that hold for all tests: streams are tested with each engine that is installed."""

from __future__ import annotations

import platform
from importlib.metadata import entry_points, version

import pytest
from hypothesis import HealthCheck, settings

ENGINES = sorted(entry_points(group="spead_transport.engines").names)

# No test depends on how long something takes.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_report_header() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "spead2"))
    return f"engines: {', '.join(ENGINES)}; python {platform.python_version()}, {packages}"


@pytest.fixture(params=ENGINES, scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """Name of an engine; a test that asks for it runs once with each."""
    name: str = request.param
    return name
