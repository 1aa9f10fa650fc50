"""Lambda's functions and their packages, and the files of agents' conversations."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lambda_functions",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("arn", sa.String(length=256), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.String(length=36), nullable=False),
        sa.Column("code_id", sa.String(length=36), nullable=False),
        sa.Column("code_sha256", sa.String(length=44), nullable=False),
        sa.Column("code_size", sa.BigInteger(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("env", sa.LargeBinary(), nullable=False),
        sa.Column("statements", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "label", "name", name=op.f("pk_lambda_functions")),
    )
    op.create_table(
        "lambda_packages",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account", "id", name=op.f("pk_lambda_packages")),
    )
    op.create_table(
        "bedrock_agent_files",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("label", sa.String(length=1024), nullable=False),
        sa.Column("agent_id", sa.String(length=10), nullable=False),
        sa.Column("alias_id", sa.String(length=10), nullable=False),
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "label", "agent_id", "alias_id", "id", name=op.f("pk_bedrock_agent_files")
        ),
    )
    op.create_index("ix_bedrock_agent_files_expires_ms", "bedrock_agent_files", ["expires_ms"])


def downgrade() -> None:
    op.drop_index("ix_bedrock_agent_files_expires_ms", "bedrock_agent_files")
    op.drop_table("bedrock_agent_files")
    op.drop_table("lambda_packages")
    op.drop_table("lambda_functions")
