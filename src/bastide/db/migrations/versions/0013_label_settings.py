"""what a region's labels mean, kept beside its data."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "label_settings",
        sa.Column("which", sa.String(8), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("which", name=op.f("pk_label_settings")),
    )


def downgrade() -> None:
    op.drop_table("label_settings")
