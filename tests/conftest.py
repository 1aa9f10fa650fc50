"""`--database postgresql` runs the service tests' regions on PostgreSQL; SQLite is the default.
What needs root on the host is skipped where there is none."""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(  # a timing never decides whether a test passes
    "untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=("sqlite", "postgresql"), default="sqlite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.getuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root on the host, for uids and cgroups")
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(skip)
