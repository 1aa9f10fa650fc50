"""Alembic's scripts: `versions/` is the history of the tables, `env.py` runs it."""
