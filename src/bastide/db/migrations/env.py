"""Alembic's entry: always on a connection that `bastide.db.migrate` gives it."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["tables"],
    render_as_batch=True,  # SQLite can only alter a table by copying it
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
