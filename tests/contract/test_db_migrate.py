"""Migrations make the tables that the contexts declare, on both databases, once."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from bastide.db.autogenerate import generate, load_tables
from bastide.db.engines import new_engine
from bastide.db.migrate import KEY_VERSIONS, SCRIPTS, migrate
from bastide.db.schema import key_metadata, metadata

VERSIONS = SCRIPTS / "versions"


def differences(url, tables=metadata):
    load_tables()
    engine = new_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, tables)
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    versions = tmp_path_factory.mktemp("versions")
    generate("the first tables", versions)
    return versions


def test_a_generated_migration_makes_the_declared_tables(database_url, generated):
    migrate(database_url, generated)
    assert differences(database_url) == []


def test_the_shipped_migrations_make_the_declared_tables(database_url):
    if not list(VERSIONS.glob("0*.py")):
        pytest.fail("run: python -m bastide.db.autogenerate 'the first tables'")
    migrate(database_url)
    assert differences(database_url) == []


def test_the_key_databases_migrations_make_its_tables(database_url):
    migrate(database_url, KEY_VERSIONS)
    assert differences(database_url, key_metadata) == []


def test_migrating_twice_and_at_the_same_time_is_harmless(database_url, generated):
    failures = []

    def run():
        try:
            migrate(database_url, generated)
        except BaseException as error:  # told to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert differences(database_url) == []


def test_a_database_that_is_new_enough_loads_no_alembic(database_url):
    migrate(database_url)
    script = (
        "import sys; from bastide.db.migrate import migrate; migrate(sys.argv[1]); "
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script, database_url]).returncode == 0
