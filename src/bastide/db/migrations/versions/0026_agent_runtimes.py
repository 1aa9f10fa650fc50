"""agent runtimes, their versions and endpoints, and the sessions that run."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agent_runtimes",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("name", sa.String(length=48), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "id", name=op.f("pk_agent_runtimes")),
    )
    with op.batch_alter_table("agent_runtimes", schema=None) as batch_op:
        batch_op.create_index("ix_agent_runtimes_name", ["account", "name"], unique=False)

    op.create_table(
        "agent_runtime_versions",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("runtime_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("definition", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "runtime_id", "number", name=op.f("pk_agent_runtime_versions")
        ),
    )
    op.create_table(
        "agent_runtime_endpoints",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("runtime_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=48), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.String(length=256), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "runtime_id", "name", name=op.f("pk_agent_runtime_endpoints")
        ),
    )
    op.create_table(
        "agent_runtime_sessions",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("runtime_id", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.String(length=48), nullable=False),
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(length=256), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "runtime_id", "endpoint", "id", "label",
            name=op.f("pk_agent_runtime_sessions"),
        ),
        sa.UniqueConstraint("job_id", name=op.f("uq_agent_runtime_sessions_job_id")),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("agent_runtime_sessions")
    op.drop_table("agent_runtime_endpoints")
    op.drop_table("agent_runtime_versions")
    with op.batch_alter_table("agent_runtimes", schema=None) as batch_op:
        batch_op.drop_index("ix_agent_runtimes_name")

    op.drop_table("agent_runtimes")
