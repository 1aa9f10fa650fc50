"""`database`: each contract test runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import PostgresServer

from bastide.db import Database, key_metadata


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/region.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database()
    yield url
    server.give_back(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A started database that holds every table declared by the modules that the test imports."""
    database = Database(database_url)
    database.start(create=True)
    yield database
    database.close()


@pytest.fixture
def key_database(database_url: str) -> Iterator[Database]:
    """The same of what is kept apart from the data: keys."""
    database = Database(database_url, key_metadata)
    database.start(create=True)
    yield database
    database.close()
