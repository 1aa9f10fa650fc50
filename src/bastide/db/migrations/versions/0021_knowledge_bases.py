"""knowledge bases, what they are made of, and conversations about them."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "knowledge_bases",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("id", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("arn", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "id", name=op.f("pk_knowledge_bases")),
    )
    op.create_table(
        "knowledge_documents",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("base", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("sidecar", sa.String(length=64), nullable=False),
        sa.Column("job", sa.String(length=10), nullable=False),
        sa.Column("waiting", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint(
            "account", "base", "source", "key", "label", name=op.f("pk_knowledge_documents")
        ),
    )
    with op.batch_alter_table("knowledge_documents", schema=None) as batch_op:
        batch_op.create_index("ix_knowledge_documents_status", ["status"], unique=False)

    op.create_table(
        "knowledge_jobs",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("base", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("id", sa.String(length=10), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("statistics", sa.Text(), nullable=False),
        sa.Column("failures", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "base", "source", "id", name=op.f("pk_knowledge_jobs")),
    )
    with op.batch_alter_table("knowledge_jobs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_knowledge_jobs_status"), ["status"], unique=False)

    op.create_table(
        "knowledge_sessions",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("turns", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account", "id", "label", name=op.f("pk_knowledge_sessions")),
    )
    with op.batch_alter_table("knowledge_sessions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_knowledge_sessions_updated_ms"), ["updated_ms"], unique=False
        )

    op.create_table(
        "knowledge_sources",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("base", sa.String(length=10), nullable=False),
        sa.Column("id", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "base", "id", name=op.f("pk_knowledge_sources")),
    )


def downgrade() -> None:
    op.drop_table("knowledge_sources")
    with op.batch_alter_table("knowledge_sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_knowledge_sessions_updated_ms"))

    op.drop_table("knowledge_sessions")
    with op.batch_alter_table("knowledge_jobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_knowledge_jobs_status"))

    op.drop_table("knowledge_jobs")
    with op.batch_alter_table("knowledge_documents", schema=None) as batch_op:
        batch_op.drop_index("ix_knowledge_documents_status")

    op.drop_table("knowledge_documents")
    op.drop_table("knowledge_bases")
