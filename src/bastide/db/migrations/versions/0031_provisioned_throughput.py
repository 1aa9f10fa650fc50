"""models: throughput that agencies have reserved."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provisioned_throughputs",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("model_id", sa.String(length=256), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.Column("token", sa.String(length=256), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provisioned_throughputs")),
    )
    with op.batch_alter_table("provisioned_throughputs", schema=None) as batch_op:
        batch_op.create_index(
            "ix_provisioned_throughputs_account", ["account", "created_ms"], unique=False
        )


def downgrade() -> None:
    op.drop_table("provisioned_throughputs")
