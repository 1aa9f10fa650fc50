"""Bring a database to the newest schema, once, however many start at the same time."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from bastide.db.engines import new_engine, writer_of

SCRIPTS = Path(__file__).parent / "migrations"
_ADVISORY = 0x62617374696465  # "bastide", the lock's name in PostgreSQL
_one_at_a_time = threading.Lock()  # alembic's `op` and `context` are the process's own


def migrate(url: str, versions: Path | None = None) -> None:
    """Run the steps that the database lacks, in one transaction; all of them or none."""
    engine = new_engine(url)
    try:
        with _one_at_a_time, writer_of(engine).begin() as connection:
            _wait_for_others(connection)
            command.upgrade(config(connection, versions), "head")
    finally:
        engine.dispose()


def config(connection: Connection, versions: Path | None = None) -> Config:
    """Alembic's settings, without a file."""
    settings = Config()
    settings.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    settings.set_main_option("path_separator", "newline")
    where = str(versions or SCRIPTS / "versions")
    settings.set_main_option("version_locations", where.replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings


def _wait_for_others(connection: Connection) -> None:
    """SQLite's BEGIN IMMEDIATE has done it already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY})
