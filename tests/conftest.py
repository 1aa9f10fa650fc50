"""`--database postgresql` runs the service tests' regions on PostgreSQL; SQLite is the default.
What needs root on the host is skipped where there is none."""

import os

import pytest
from hypothesis import HealthCheck, settings

from bastide.jobs.folders import empty_at
from tests import strays

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


@pytest.fixture
def deep_path(tmp_path):
    """For trees of any depth: pytest's own removal of what a failed test leaves calls itself."""
    yield tmp_path
    empty_at(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running(tmp_path_factory):
    """Set up before all other fixtures, so it looks when all of them have ended what they had."""
    yield
    strays.fail_if_any(tmp_path_factory.getbasetemp())
