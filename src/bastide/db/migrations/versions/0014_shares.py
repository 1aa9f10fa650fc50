"""shares.

What one agency may read of another's buckets.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "s3_shares",
        sa.Column("alias", sa.String(length=63), nullable=False),
        sa.Column("owner", sa.String(length=12), nullable=False),
        sa.Column("reader", sa.String(length=12), nullable=False),
        sa.Column("bucket_id", sa.String(length=36), nullable=False),
        sa.Column("bucket", sa.String(length=63), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("granted_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("alias", name=op.f("pk_s3_shares")),
    )


def downgrade() -> None:
    op.drop_table("s3_shares")
