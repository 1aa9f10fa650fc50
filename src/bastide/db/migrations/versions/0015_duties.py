"""duties: what two officers made a user or a role be; whether an agency's keys were handed out.

Whether those of the agencies that are there were, nobody noted: they count as handed out.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("identity_entities", schema=None) as batch_op:
        batch_op.add_column(sa.Column("duty", sa.String(32), server_default="", nullable=False))
    with op.batch_alter_table("identity_agencies", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("handed_ms", sa.BigInteger(), server_default="0", nullable=False)
        )
    op.execute("UPDATE identity_agencies SET handed_ms = created_ms")


def downgrade() -> None:
    """Fails, and changes nothing, where somebody has a duty: without it they would read content."""
    held = op.get_bind().execute(sa.text("SELECT COUNT(*) FROM identity_entities WHERE duty <> ''"))
    if held.scalar_one():
        raise RuntimeError("Somebody has a duty: take it away first (bastide duty remove).")
    with op.batch_alter_table("identity_entities", schema=None) as batch_op:
        batch_op.drop_column("duty")
    with op.batch_alter_table("identity_agencies", schema=None) as batch_op:
        batch_op.drop_column("handed_ms")
