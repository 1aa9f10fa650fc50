"""Inference profiles that agencies make."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inference_profiles",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("source", sa.String(length=2048), nullable=False),
        sa.Column("token", sa.String(length=256), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inference_profiles")),
    )
    with op.batch_alter_table("inference_profiles", schema=None) as batch_op:
        batch_op.create_index("ix_inference_profiles_account", ["account", "id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("inference_profiles", schema=None) as batch_op:
        batch_op.drop_index("ix_inference_profiles_account")

    op.drop_table("inference_profiles")
