"""Buckets in the database.

Names are each label's own (polyinstantiation): what a session cannot see takes no name from it.
Where it sees several of one name it finds that of its own label, else the newest; of its own label,
as lower ones can be raised to it, the oldest. Source: D. E.
Denning et al., A Multilevel Relational Data Model, IEEE Symposium on Security and Privacy (1987).
"""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    String,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from bastide.db.schema import metadata
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.view import View
from bastide.store import records
from bastide.store.model import Bucket, Doomed

buckets = Table(
    "s3_buckets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("name", String(63), nullable=False),
    Column("label", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("versioning", String(9), nullable=False),
    Column("policy", Text),
    Column("tags", Text, nullable=False),
    Column("kms_key", Text, nullable=False, server_default=""),
    Column("bucket_key", Boolean, nullable=False),
    Index("ix_s3_buckets_name", "account", "name"),
)
# Built once: building a statement costs more than SQLite takes to run it.
_FIND_BUCKET = select(buckets).where(
    buckets.c.account == bindparam("of"), buckets.c.name == bindparam("named")
)


def find(connection: Connection, account: str, name: str, view: View) -> Bucket | None:
    rows = connection.execute(_FIND_BUCKET, {"of": account, "named": name})
    return _preferred([_bucket(row, view) for row in rows if row.label in view.seen])


def now(connection: Connection, bucket: Bucket) -> Bucket | None:
    """The bucket as it is now, if it is still there and its viewer still sees it."""
    return by_id(connection, bucket.id, bucket.view)


def by_id(connection: Connection, bucket_id: str, view: View) -> Bucket | None:
    row = connection.execute(select(buckets).where(buckets.c.id == bucket_id)).first()
    seen = row is not None and row.label in view.seen
    return _bucket(row, view) if seen else None


def labels_of(connection: Connection, account: str, name: str, key: bytes | None) -> list[str]:
    """Of the buckets of a name, or of the objects of a key in them, whoever may see them."""
    mine = (buckets.c.account == account) & (buckets.c.name == name)
    asked = select(buckets.c.label).where(mine)
    if key is not None:
        v = records.versions.c
        inside = (v.bucket_id == buckets.c.id) & (v.key == key) & (v.marker == 0)
        asked = select(v.label).where(mine, inside)
    return list(connection.execute(asked.distinct()).scalars())


def of_account(connection: Connection, account: str, view: View, prefix: str) -> list[Bucket]:
    """By name. Names are ASCII; the collation of PostgreSQL must not reorder them."""
    query = select(buckets).where(buckets.c.account == account, buckets.c.label.in_(view.seen))
    found = [_bucket(row, view) for row in connection.execute(query)]
    by_name = sorted((b for b in found if b.name.startswith(prefix)), key=lambda b: b.name)
    groups = (list(group) for _, group in groupby(by_name, lambda bucket: bucket.name))
    return [best for group in groups if (best := _preferred(group))]


def _preferred(found: Sequence[Bucket]) -> Bucket | None:
    """Who raises a bucket to a label takes no name from one that is there."""
    own = [bucket for bucket in found if bucket.label == bucket.view.own]
    if own:
        return min(own, key=lambda bucket: bucket.created_ms)
    return max(found, key=lambda bucket: bucket.created_ms, default=None)


def add(connection: Connection, bucket: Bucket) -> None:
    names = (
        "account", "name", "id", "label", "created_ms", "versioning", "policy", "kms_key",
        "bucket_key",
    )  # fmt: skip
    row = {name: getattr(bucket, name) for name in names}
    connection.execute(insert(buckets).values(**row, tags=json.dumps(dict(bucket.tags))))


def change(connection: Connection, bucket_id: str, **changes: Any) -> None:
    if "tags" in changes:
        changes["tags"] = json.dumps(dict(changes["tags"]))
    connection.execute(update(buckets).where(buckets.c.id == bucket_id).values(**changes))


def remove(connection: Connection, bucket: Bucket) -> list[Doomed]:
    """Forget a bucket that is empty to its viewer, with the uploads that it sees under way. Where
    others see objects in it, it goes on for them, at the least of their labels; never below its
    own, as what was said of it there would go down with it."""
    doomed = records.end_uploads(connection, bucket.id, bucket.view.seen)
    label = label_left(connection, bucket)
    if label is not None:
        change(connection, bucket.id, label=label.text)
    else:
        connection.execute(delete(buckets).where(buckets.c.id == bucket.id))
    return doomed


def label_left(connection: Connection, bucket: Bucket) -> Label | None:
    """At which label a bucket goes on when its viewer, who sees nothing in it, deletes it."""
    seen, scheme = bucket.view.seen, bucket.view.session.scheme
    hidden = [text for text in records.labels_in(connection, bucket.id) if text not in seen]
    return scheme.least(hidden).join(scheme.parse(bucket.label)) if hidden else None


def _bucket(row: Any, view: View) -> Bucket:
    fields = dict(row._mapping)
    return Bucket(**fields | {"tags": json.loads(fields["tags"]), "view": view})
