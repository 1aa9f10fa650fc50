"""Migrations make the tables that the contexts declare, on both databases, once."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData
from sqlalchemy.exc import IntegrityError

from bastide.db.autogenerate import generate, load_tables
from bastide.db.engines import new_engine, writer_of
from bastide.db.migrate import KEY_VERSIONS, SCRIPTS, config, migrate
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


@contextmanager
def engine_of(url):
    engine = new_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def stepped(url, where):
    """Go up or down to a step; answers the tables as they are then."""
    with engine_of(url) as engine:
        with writer_of(engine).begin() as connection:
            to = command.upgrade if where == "head" else command.downgrade
            to(config(connection), where)
        found = MetaData()
        found.reflect(engine)
    return found.tables


def filled(url, table, **values):
    """Put a row there: what is not named has something of its type."""
    needed = [column for column in table.columns if not column.nullable]
    row = {column.name: column.type.python_type() for column in needed} | values
    with engine_of(url) as engine, writer_of(engine).begin() as connection:
        connection.execute(table.insert().values(**row))


def rows(url, table):
    with engine_of(url) as engine, engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(table.select())]


def test_labels_of_machine_learning_go_and_come_back(database_url):
    migrate(database_url)
    tables = stepped(database_url, "head")
    job = {"account": "1" * 12, "name": "j", "job_id": "training/" + "1" * 12 + "/j"}
    filled(database_url, tables["training_jobs"], **job, label="U")
    filled(database_url, tables["training_metrics"], job_id=job["job_id"], name="loss")
    older = stepped(database_url, "0010")
    assert "derivations" not in older
    assert not {"label", "job_id"} & set(older["training_jobs"].columns.keys())
    (metric,) = rows(database_url, older["training_metrics"])
    assert (metric["account"], metric["job"], metric["name"]) == ("1" * 12, "j", "loss")
    tables = stepped(database_url, "head")
    assert differences(database_url) == []
    (found,) = rows(database_url, tables["training_jobs"])
    assert (found["label"], found["job_id"]) == ("U", job["job_id"])
    (metric,) = rows(database_url, tables["training_metrics"])
    assert metric["job_id"] == job["job_id"]


def test_labels_of_machine_learning_stay_where_a_name_is_there_twice(database_url):
    migrate(database_url)
    tables = stepped(database_url, "head")
    for label in ("U", "S"):
        filled(database_url, tables["serving_models"], account="1" * 12, name="m", label=label)
    before = rows(database_url, tables["serving_models"])
    with pytest.raises(IntegrityError):
        stepped(database_url, "0010")
    assert rows(database_url, tables["serving_models"]) == before
    assert differences(database_url) == []


def test_there_is_no_way_back_once_audit_records_were_retired(database_url):
    migrate(database_url)
    filled(database_url, stepped(database_url, "head")["audit_retirements"], size=5)
    with pytest.raises(RuntimeError, match="retired"):
        stepped(database_url, "0012")
    assert differences(database_url) == []
