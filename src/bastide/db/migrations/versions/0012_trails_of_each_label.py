"""trails of each label.

A trail's name is its label's own. Files that wait for a digest are of a trail that is there, and
have its label.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
_MARKING = sa.String(1024)


def upgrade() -> None:
    with op.batch_alter_table("trail_files", schema=None) as batch_op:
        batch_op.add_column(sa.Column("label", _MARKING, server_default="U", nullable=False))
    op.execute(
        "UPDATE trail_files SET label = (SELECT label FROM trails WHERE "
        "trails.account = trail_files.account AND trails.name = trail_files.trail)"
    )
    with op.batch_alter_table("trail_files", schema=None) as batch_op:
        batch_op.alter_column("label", existing_type=_MARKING, server_default=None)
    with op.batch_alter_table("trails", schema=None) as batch_op:
        batch_op.alter_column("label", existing_type=sa.Text(), type_=_MARKING)
    _set_key("trails", ["account", "name", "label"])
    _set_key("trail_files", ["account", "trail", "label", "key"])
    # A trail's label is one in use from now on, so that its session finds it.
    op.execute(
        "INSERT INTO labels_in_use (label) SELECT DISTINCT label FROM trails "
        "WHERE label NOT IN (SELECT label FROM labels_in_use)"
    )


def downgrade() -> None:
    """Fails, and changes nothing, where a name is there at several labels."""
    _set_key("trail_files", ["account", "trail", "key"])
    _set_key("trails", ["account", "name"])
    with op.batch_alter_table("trails", schema=None) as batch_op:
        batch_op.alter_column("label", existing_type=_MARKING, type_=sa.Text())
    with op.batch_alter_table("trail_files", schema=None) as batch_op:
        batch_op.drop_column("label")


def _set_key(table: str, columns: list[str]) -> None:
    with op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f(f"pk_{table}"), type_="primary")
        batch_op.create_primary_key(batch_op.f(f"pk_{table}"), columns)
