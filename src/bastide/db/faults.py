"""Which database errors are the world's fault, and so answered as `Unavailable`, not as a bug.

Sources: https://www.sqlite.org/rescode.html and
https://www.postgresql.org/docs/current/errcodes-appendix.html (classes by their two letters).
"""

import sqlite3

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bastide.kernel.errors import Unavailable

_SQLITE = ("FULL", "IOERR", "BUSY", "LOCKED", "CANTOPEN", "READONLY", "NOMEM", "CORRUPT", "NOTADB")
_POSTGRES = ("08", "25006", "40", "53", "57", "58")


def translated(error: BaseException) -> BaseException:
    """`Unavailable`, caused by `error`, if trying again later may help; else `error` itself."""
    if not is_world(error):
        return error
    unavailable = Unavailable("The database cannot take this now.")
    unavailable.__cause__ = error
    return unavailable


def is_world(error: BaseException) -> bool:
    if isinstance(error, PoolTimeout):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _is_driver_fault(error.orig)
    return _is_driver_fault(error)


def _is_driver_fault(error: object) -> bool:
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
        return name.startswith(_SQLITE)
    state = getattr(error, "sqlstate", "")
    if state is None:  # psycopg lost the connection before the server could say why
        return True
    return bool(state) and str(state).startswith(_POSTGRES)
