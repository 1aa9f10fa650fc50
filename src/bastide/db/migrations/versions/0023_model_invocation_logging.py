"""models: where their invocations are logged."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_invocation_logging",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "label", name=op.f("pk_model_invocation_logging")),
    )


def downgrade() -> None:
    op.drop_table("model_invocation_logging")
