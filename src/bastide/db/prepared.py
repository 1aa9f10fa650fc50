"""Statements of the hottest path, run by the driver itself.

SQLAlchemy compiles the text once for each dialect; its execution layer would cost more than the
statement does (60 µs against 6). For the writer's connection only, and only for the audit log.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.sql.elements import ClauseElement


class Prepared:
    """A statement whose parameters are plain values that both drivers take as they are."""

    def __init__(self, statement: ClauseElement) -> None:
        assert isinstance(statement, Executable)
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...]]] = {}

    def many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run once for each row."""
        text, names = self._text(connection)
        cursor: Any = _cursor(connection)
        if names:
            cursor.executemany(text, [tuple([row[name] for name in names]) for row in rows])
        else:
            cursor.executemany(text, rows)

    def scalar(self, connection: Connection) -> Any:
        """The first column of the only row of a query without parameters."""
        cursor = _cursor(connection)
        cursor.execute(self._text(connection)[0])
        row = cursor.fetchone()
        return None if row is None else row[0]

    def _text(self, connection: Connection) -> tuple[str, tuple[str, ...]]:
        """The text and, where parameters go by position, their names in order."""
        dialect = connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            compiled: Any = self._statement.compile(dialect=dialect)
            found = (str(compiled), tuple(compiled.positiontup or ()))
            self._compiled[dialect.name] = found
        return found


def _cursor(connection: Connection) -> Any:
    driver: Any = connection.connection.driver_connection
    return driver.cursor()
