"""who wrote an object: a service of the region of its own, or anybody; and up to which record of
the audit log all calls have their end.

What the trails delivered before this nobody noted: it counts as anybody's, and auditors, who read
what the delivery wrote, do not read it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    column = sa.Column("written_by", sa.String(64), server_default="", nullable=False)
    op.add_column("s3_versions", column)
    op.create_table(
        "audit_ends_known",
        sa.Column("size", _POSITION, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_ends_known")),
    )


def downgrade() -> None:
    op.drop_table("audit_ends_known")
    op.drop_column("s3_versions", "written_by")
