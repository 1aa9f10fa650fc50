"""labels of machine learning.

What is there has the label that was every region's default, U, and its names go on to be found.
Jobs keep their ids, as folders are named by them; what is known of one goes by that from now on.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
_LABEL = "U"
_NAMED = ("training_jobs", "serving_models", "serving_endpoint_configs", "serving_endpoints")
_KEYS = {
    **{table: ["account", "name"] for table in _NAMED},
    "sagemaker_tags": ["account", "arn", "key"],
}


def upgrade() -> None:
    op.create_table(
        "derivations",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("arn", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("from_arn", sa.Text(), nullable=False),
        sa.Column("from_label", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_derivations")),
    )
    with op.batch_alter_table("derivations", schema=None) as batch_op:
        batch_op.create_index("ix_derivations_arn", ["account", "arn"], unique=False)
    for table in _KEYS:
        _add_label(table)
    for table, key in _KEYS.items():
        at = 2 if table == "sagemaker_tags" else len(key)
        _set_key(table, [*key[:at], "label", *key[at:]])
    _name_jobs()
    _tell_jobs()


def downgrade() -> None:
    """Fails, and changes nothing, where a name is there at several labels."""
    with op.batch_alter_table("training_metrics", schema=None) as batch_op:
        batch_op.add_column(sa.Column("account", sa.String(12), server_default="", nullable=False))
        batch_op.add_column(sa.Column("job", sa.String(64), server_default="", nullable=False))
    for column in ("account", "name"):
        target = "job" if column == "name" else column
        op.execute(
            f"UPDATE training_metrics SET {target} = (SELECT {column} FROM training_jobs "  # noqa: S608 - names of ours
            "WHERE training_jobs.job_id = training_metrics.job_id)"
        )
    with op.batch_alter_table("training_metrics", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("pk_training_metrics"), type_="primary")
        batch_op.drop_column("job_id")
        batch_op.create_primary_key(batch_op.f("pk_training_metrics"), ["account", "job", "name"])
    with op.batch_alter_table("training_jobs", schema=None) as batch_op:
        batch_op.drop_index("ix_training_jobs_job_id")
        batch_op.drop_column("job_id")
    for table, key in _KEYS.items():
        _set_key(table, key)
    for table in _KEYS:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("label")
    op.drop_table("derivations")


def _add_label(table: str) -> None:
    """Rows that are there get it; whoever writes a new one says it."""
    with op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("label", sa.String(1024), server_default=_LABEL, nullable=False)
        )
    with op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.alter_column("label", existing_type=sa.String(1024), server_default=None)


def _set_key(table: str, columns: list[str]) -> None:
    with op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f(f"pk_{table}"), type_="primary")
        batch_op.create_primary_key(batch_op.f(f"pk_{table}"), columns)


def _name_jobs() -> None:
    for table, name in (("training_jobs", "name"), ("training_metrics", "job")):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(
                sa.Column("job_id", sa.String(512), server_default="", nullable=False)
            )
        op.execute(f"UPDATE {table} SET job_id = 'training/' || account || '/' || {name}")  # noqa: S608 - names of ours
    with op.batch_alter_table("training_jobs", schema=None) as batch_op:
        batch_op.alter_column("job_id", existing_type=sa.String(512), server_default=None)
        batch_op.create_index("ix_training_jobs_job_id", ["job_id"], unique=False)
    with op.batch_alter_table("training_metrics", schema=None) as batch_op:
        batch_op.alter_column("job_id", existing_type=sa.String(512), server_default=None)
        batch_op.drop_constraint(batch_op.f("pk_training_metrics"), type_="primary")
        batch_op.drop_column("account")
        batch_op.drop_column("job")
        batch_op.create_primary_key(batch_op.f("pk_training_metrics"), ["job_id", "name"])


def _tell_jobs() -> None:
    """Jobs work at the label that their payload names."""
    connection = op.get_bind()
    jobs = connection.execute(
        sa.text("SELECT id, body FROM jobs WHERE kind IN ('training', 'endpoint')")
    )
    for job_id, text in jobs.all():
        body = json.loads(text)
        body["spec"]["payload"].setdefault("label", _LABEL)
        connection.execute(
            sa.text("UPDATE jobs SET body = :body WHERE id = :id"),
            {"body": json.dumps(body), "id": job_id},
        )
    endpoints = connection.execute(sa.text("SELECT account, name, body FROM serving_endpoints"))
    for account, name, text in endpoints.all():
        connection.execute(
            sa.text(
                "UPDATE serving_endpoints SET body = :body "
                "WHERE account = :account AND name = :name"
            ),
            {"body": json.dumps(_told(json.loads(text))), "account": account, "name": name},
        )


def _told(body: dict[str, Any]) -> dict[str, Any]:
    for deployment in (body["live"], body["next"]):
        for variant in deployment["variants"] if deployment else ():
            variant["payload"].setdefault("label", _LABEL)
    return body
