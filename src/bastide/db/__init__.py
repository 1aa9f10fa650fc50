"""Transactions: many readers, one writer that commits in groups, SQLite or PostgreSQL alike."""

from bastide.db.database import Database
from bastide.db.schema import key_metadata, metadata

__all__ = ["Database", "key_metadata", "metadata"]
