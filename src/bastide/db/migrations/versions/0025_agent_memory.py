"""agents: what they keep of sessions that have ended, and since when a session goes on."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bedrock_agent_memories",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("agent_id", sa.String(length=10), nullable=False),
        sa.Column("alias_id", sa.String(length=10), nullable=False),
        sa.Column("memory_id", sa.String(length=100), nullable=False),
        sa.Column("session_id", sa.String(length=100), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account",
            "label",
            "agent_id",
            "alias_id",
            "memory_id",
            "session_id",
            name=op.f("pk_bedrock_agent_memories"),
        ),
    )
    with op.batch_alter_table("bedrock_agent_memories", schema=None) as batch_op:
        batch_op.create_index("ix_bedrock_agent_memories_expires_ms", ["expires_ms"], unique=False)
    with op.batch_alter_table("bedrock_agent_sessions", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("memory_id", sa.String(length=100), nullable=False, server_default="")
        )


def downgrade() -> None:
    with op.batch_alter_table("bedrock_agent_sessions", schema=None) as batch_op:
        batch_op.drop_column("memory_id")
    op.drop_table("bedrock_agent_memories")
