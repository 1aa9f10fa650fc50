"""labels.

What is there has the label that was every region's default, U; a delete marker had none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
_LATEST = sa.text("latest = 1")
_LISTED = sa.text("latest = 1 AND marker = 0")


def upgrade() -> None:
    op.create_table(
        "identity_clearances",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("entity_id", sa.String(length=32), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("granted_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "entity_id", name=op.f("pk_identity_clearances")),
    )
    op.create_table(
        "labels_in_use",
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.PrimaryKeyConstraint("label", name=op.f("pk_labels_in_use")),
    )
    with op.batch_alter_table("identity_agencies", schema=None) as batch_op:
        batch_op.add_column(sa.Column("label", sa.Text(), server_default="", nullable=False))
    with op.batch_alter_table("s3_buckets", schema=None) as batch_op:
        batch_op.add_column(sa.Column("label", sa.Text(), server_default="U", nullable=False))
        batch_op.drop_constraint(batch_op.f("uq_s3_buckets_id"), type_="unique")
        batch_op.drop_constraint(batch_op.f("pk_s3_buckets"), type_="primary")
        batch_op.create_primary_key(batch_op.f("pk_s3_buckets"), ["id"])
        batch_op.create_index("ix_s3_buckets_name", ["account", "name"], unique=False)
    with op.batch_alter_table("s3_buckets", schema=None) as batch_op:
        batch_op.alter_column("label", existing_type=sa.Text(), server_default=None)
    op.execute("UPDATE s3_versions SET label = 'U' WHERE label = ''")
    op.execute("INSERT INTO labels_in_use SELECT DISTINCT label FROM s3_versions")
    op.execute(
        "INSERT INTO labels_in_use SELECT 'U' "
        "WHERE NOT EXISTS (SELECT 1 FROM labels_in_use WHERE label = 'U')"
    )
    _listed_where(_LATEST)


def downgrade() -> None:
    _listed_where(_LISTED)
    with op.batch_alter_table("s3_buckets", schema=None) as batch_op:
        batch_op.drop_index("ix_s3_buckets_name")
        batch_op.drop_constraint(batch_op.f("pk_s3_buckets"), type_="primary")
        batch_op.create_primary_key(batch_op.f("pk_s3_buckets"), ["account", "name"])
        batch_op.create_unique_constraint(batch_op.f("uq_s3_buckets_id"), ["id"])
        batch_op.drop_column("label")
    with op.batch_alter_table("identity_agencies", schema=None) as batch_op:
        batch_op.drop_column("label")
    op.drop_table("labels_in_use")
    op.drop_table("identity_clearances")


def _listed_where(rows: sa.TextClause) -> None:
    op.drop_index("ix_s3_versions_listed", table_name="s3_versions")
    op.create_index(
        "ix_s3_versions_listed",
        "s3_versions",
        ["bucket_id", "key"],
        unique=False,
        sqlite_where=rows,
        postgresql_where=rows,
    )
