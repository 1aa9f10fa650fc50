"""labels of logs, metrics and audit records.

What is there has the label that was every region's default, U. An event's place in its stream was
its number in the whole region; its stream goes on from there.
"""

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
_LABELLED = ("log_groups", "log_streams", "metric_samples")


def upgrade() -> None:
    op.add_column("audit_leaves", sa.Column("label", sa.Text()))
    for table in _LABELLED:
        op.add_column(table, sa.Column("label", sa.Text(), server_default="U", nullable=False))
    for name, start in (("stored_bytes", "0"), ("next_seq", "1")):
        column = sa.Column(name, sa.BigInteger(), server_default=start, nullable=False)
        op.add_column("log_streams", column)
    op.add_column(
        "log_events", sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False)
    )
    _count()
    with op.batch_alter_table("log_events", schema=None) as batch_op:
        batch_op.drop_index("ix_log_events_order")
        batch_op.create_index("ix_log_events_order", ["stream_id", "at_ms", "seq"], unique=False)
        _no_default(batch_op, "seq")
    _names_of_each_label()
    with op.batch_alter_table("metric_samples", schema=None) as batch_op:
        _no_default(batch_op, "label")


def downgrade() -> None:
    op.add_column(
        "log_groups", sa.Column("stored_bytes", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.execute(
        "UPDATE log_groups SET stored_bytes = (SELECT COALESCE(SUM(stored_bytes), 0) "
        "FROM log_streams WHERE group_id = log_groups.id)"
    )
    with op.batch_alter_table("log_events", schema=None) as batch_op:
        batch_op.drop_index("ix_log_events_order")
        batch_op.create_index("ix_log_events_order", ["stream_id", "at_ms", "id"], unique=False)
        batch_op.drop_column("seq")
    with op.batch_alter_table("log_streams", schema=None) as batch_op:
        batch_op.drop_index("ix_log_streams_name")
        batch_op.create_unique_constraint(
            batch_op.f("uq_log_streams_group_id_name"), ["group_id", "name"]
        )
        for name in ("next_seq", "stored_bytes", "label"):
            batch_op.drop_column(name)
    with op.batch_alter_table("log_groups", schema=None) as batch_op:
        batch_op.drop_index("ix_log_groups_name")
        batch_op.create_unique_constraint(
            batch_op.f("uq_log_groups_account_name"), ["account", "name"]
        )
        batch_op.drop_column("label")
        batch_op.alter_column("stored_bytes", existing_type=sa.BigInteger(), server_default=None)
    op.drop_column("metric_samples", "label")
    op.drop_column("audit_leaves", "label")


def _count() -> None:
    """Where each stream's lines end, and how many bytes they are."""
    postgres = op.get_bind().dialect.name == "postgresql"
    size = "octet_length(message)" if postgres else "length(CAST(message AS BLOB))"
    of = "FROM log_events WHERE stream_id = log_streams.id"
    op.execute("UPDATE log_events SET seq = id")
    op.execute(f"UPDATE log_streams SET next_seq = (SELECT COALESCE(MAX(seq), 0) + 1 {of})")  # noqa: S608 - our own words
    op.execute(f"UPDATE log_streams SET stored_bytes = (SELECT COALESCE(SUM({size} + 26), 0) {of})")  # noqa: S608 - as above


def _names_of_each_label() -> None:
    with op.batch_alter_table("log_groups", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_log_groups_account_name"), type_="unique")
        batch_op.create_index("ix_log_groups_name", ["account", "name"], unique=False)
        batch_op.drop_column("stored_bytes")
        _no_default(batch_op, "label")
    with op.batch_alter_table("log_streams", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_log_streams_group_id_name"), type_="unique")
        batch_op.create_index("ix_log_streams_name", ["group_id", "name"], unique=False)
        for name in ("label", "stored_bytes", "next_seq"):
            _no_default(batch_op, name)


def _no_default(batch_op: BatchOperations, name: str) -> None:
    kind = sa.Text() if name == "label" else sa.BigInteger()
    batch_op.alter_column(name, existing_type=kind, server_default=None)
