"""retirements of audit records."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_retirements",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("newest", sa.String(length=32), nullable=False),
        sa.Column("hashes_sha256", sa.String(length=64), nullable=False),
        sa.Column("request", sa.String(length=36), nullable=False),
        sa.Column("recorded", sa.Boolean(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_retirements")),
    )


def downgrade() -> None:
    """Refused where records were retired: what is older than this takes them for forged."""
    found = op.get_bind().execute(sa.text("SELECT count(*) FROM audit_retirements")).scalar()
    if found:
        raise RuntimeError("Audit records were retired: the database cannot go back before that.")
    op.drop_table("audit_retirements")
