"""Transactions: many readers, one writer that commits in groups, SQLite or PostgreSQL alike."""

from bastide.db.database import Database
from bastide.db.schema import metadata

__all__ = ["Database", "metadata"]
