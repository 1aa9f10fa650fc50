"""what a region's labels mean, kept beside its data.

An earlier step put U among the labels in use, whatever the region's scheme: where there is no
agency nothing carries it, and a scheme that has no U could not start.
"""

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
    op.execute(
        "DELETE FROM labels_in_use WHERE label = 'U' "
        "AND NOT EXISTS (SELECT 1 FROM identity_agencies)"
    )


def downgrade() -> None:
    op.drop_table("label_settings")
