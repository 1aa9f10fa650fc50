"""Bring a database to the newest schema, once, however many start at the same time."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from bastide.db.engines import new_engine, writer_of
from bastide.db.schema import key_metadata, metadata

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = Path(__file__).parent / "migrations"
VERSIONS = SCRIPTS / "versions"
KEY_VERSIONS = SCRIPTS / "key_versions"  # of the key database
_ADVISORY = 0x62617374696465  # "bastide", the lock's name in PostgreSQL
_one_at_a_time = threading.Lock()  # alembic's `op` and `context` are the process's own


def migrate(url: str, versions: Path | None = None) -> None:
    """Run the steps that the database lacks, in one transaction; all of them or none."""
    engine = new_engine(url)
    try:
        if _is_newest(engine, versions):
            return
        from alembic import command  # half a second that most starts have no need of

        with _one_at_a_time, writer_of(engine).begin() as connection:
            _wait_for_others(connection)
            command.upgrade(config(connection, versions), "head")
    finally:
        engine.dispose()


def _is_newest(engine: Engine, versions: Path | None) -> bool:
    """Whether the last step was made. Their files are numbered, and so are they."""
    steps = (versions or VERSIONS).glob("[0-9]*.py")
    last = max((path.name[:4] for path in steps), default="")
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        made = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
        return list(made) == [last]


def config(connection: Connection, versions: Path | None = None) -> "Config":
    """Alembic's settings, without a file."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    settings.set_main_option("path_separator", "newline")
    where = str(versions or VERSIONS)
    settings.set_main_option("version_locations", where.replace("%", "%%"))
    settings.attributes["connection"] = connection
    settings.attributes["tables"] = key_metadata if versions == KEY_VERSIONS else metadata
    return settings


def _wait_for_others(connection: Connection) -> None:
    """SQLite's BEGIN IMMEDIATE has done it already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY})
