"""`--database postgresql` runs the service tests' regions on PostgreSQL; SQLite is the default."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=("sqlite", "postgresql"), default="sqlite")
