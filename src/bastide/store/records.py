"""Buckets, versions, blobs and uploads in the database.

Keys are bytes, so that both databases order them as S3 does: by their UTF-8. Everything hangs
from a bucket's random id, which only `find_bucket(account, name)` gives: no query can reach
another account's rows. A write returns the files that nothing names any more (`Doomed`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from bastide.db.schema import metadata
from bastide.store.model import (
    NULL_VERSION,
    Blob,
    Bucket,
    Doomed,
    Facts,
    Held,
    Upload,
    Version,
)

IN_MAX = 500

buckets = Table(
    "s3_buckets",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("versioning", String(9), nullable=False),
    Column("policy", Text),
    Column("tags", Text, nullable=False),
)
versions = Table(
    "s3_versions",
    metadata,
    Column("bucket_id", String(36), primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("rank", BigInteger, primary_key=True, autoincrement=False),
    Column("version_id", String(64), nullable=False),
    Column("object_id", String(36), nullable=False),
    Column("latest", Integer, nullable=False),
    Column("marker", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(64), nullable=False),
    Column("modified_ms", BigInteger, nullable=False),
    Column("label", Text, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("facts", Text, nullable=False),
)
Index("ix_s3_versions_id", versions.c.bucket_id, versions.c.key, versions.c.version_id)
_LISTED = and_(versions.c.latest == literal_column("1"), versions.c.marker == literal_column("0"))
Index(
    "ix_s3_versions_listed",
    versions.c.bucket_id,
    versions.c.key,
    sqlite_where=_LISTED,
    postgresql_where=_LISTED,
)
blobs = Table(
    "s3_blobs",
    metadata,
    Column("object_id", String(36), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("blob_id", String(36), nullable=False, unique=True),
    Column("account", String(12), nullable=False),
    Column("label", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(64), nullable=False),
    Column("kek_id", String(128), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("modified_ms", BigInteger, nullable=False),
    Column("checksums", Text, nullable=False),
    Column("inline", LargeBinary),
)
Index("ix_s3_blobs_kek", blobs.c.account, blobs.c.kek_id)
uploads = Table(
    "s3_uploads",
    metadata,
    Column("bucket_id", String(36), primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("id", String(36), primary_key=True),
    Column("initiated_ms", BigInteger, nullable=False),
    Column("initiator", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("algorithm", String(16), nullable=False),
    Column("checksum_type", String(16), nullable=False),
    Column("facts", Text, nullable=False),
)
_LIGHT = [column for column in versions.c if column.name != "facts"]
_LIGHT_BLOB = [column for column in blobs.c if column.name != "inline"]
# Built once: building a statement costs more than SQLite takes to run it.
_FIND_BUCKET = select(buckets).where(
    buckets.c.account == bindparam("of"), buckets.c.name == bindparam("named")
)
_LATEST = (
    select(versions)
    .where(versions.c.bucket_id == bindparam("within"), versions.c.key == bindparam("named"))
    .order_by(versions.c.rank)
    .limit(1)
)
_OBJECT_BLOBS = select(blobs).where(blobs.c.object_id == bindparam("of")).order_by(blobs.c.part)


@dataclass(frozen=True, slots=True)
class Span:
    """Keys with `prefix`, after `after` (or from `start` on, whichever is further)."""

    prefix: bytes = b""
    after: bytes = b""
    start: bytes = b""


NO_FACTS = Facts()  # of versions that are only listed


def find_bucket(connection: Connection, account: str, name: str) -> Bucket | None:
    found = connection.execute(_FIND_BUCKET, {"of": account, "named": name}).first()
    return None if found is None else _bucket(found)


def list_buckets(
    connection: Connection, account: str, prefix: str, after: str, limit: int
) -> list[Bucket]:
    query = select(buckets).where(buckets.c.account == account)
    # Bucket names are ASCII; the collation of PostgreSQL must not reorder them.
    found = [_bucket(row) for row in connection.execute(query)]
    named = (b for b in found if b.name.startswith(prefix) and b.name > after)
    return sorted(named, key=lambda bucket: bucket.name)[:limit]


def count_buckets(connection: Connection, account: str) -> int:
    query = select(func.count()).select_from(buckets).where(buckets.c.account == account)
    return int(connection.execute(query).scalar_one())


def add_bucket(connection: Connection, bucket: Bucket) -> None:
    row = {name: getattr(bucket, name) for name in ("account", "name", "id", "created_ms")}
    row |= {"versioning": bucket.versioning, "policy": bucket.policy}
    connection.execute(insert(buckets).values(**row, tags=json.dumps(dict(bucket.tags))))


def change_bucket(connection: Connection, bucket_id: str, **changes: Any) -> None:
    if "tags" in changes:
        changes["tags"] = json.dumps(dict(changes["tags"]))
    connection.execute(update(buckets).where(buckets.c.id == bucket_id).values(**changes))


def is_empty(connection: Connection, bucket_id: str) -> bool:
    query = select(versions.c.rank).where(versions.c.bucket_id == bucket_id).limit(1)
    return connection.execute(query).first() is None


def delete_bucket(connection: Connection, bucket_id: str) -> list[Doomed]:
    """Forget an empty bucket, with the uploads that were under way in it."""
    found = connection.execute(select(uploads).where(uploads.c.bucket_id == bucket_id))
    doomed = [end_upload(connection, _upload(row)) for row in found.all()]
    connection.execute(delete(buckets).where(buckets.c.id == bucket_id))
    return doomed


def holds_bucket(connection: Connection, bucket_id: str) -> bool:
    query = select(buckets.c.id).where(buckets.c.id == bucket_id)
    return connection.execute(query).first() is not None


def version_of_object(
    connection: Connection, bucket_id: str, key: bytes, object_id: str
) -> Version | None:
    """The version that a completed upload became."""
    found = connection.execute(
        select(versions).where(
            versions.c.bucket_id == bucket_id,
            versions.c.key == key,
            versions.c.object_id == object_id,
        )
    ).first()
    return None if found is None else _version(found)


def latest(connection: Connection, bucket_id: str, key: bytes) -> Version | None:
    """The newest version, which may be a delete marker."""
    found = connection.execute(_LATEST, {"within": bucket_id, "named": key}).first()
    return None if found is None else _version(found)


def version(connection: Connection, bucket_id: str, key: bytes, version_id: str) -> Version | None:
    found = connection.execute(
        select(versions).where(
            versions.c.bucket_id == bucket_id,
            versions.c.key == key,
            versions.c.version_id == version_id,
        )
    ).first()
    return None if found is None else _version(found)


def add_version(connection: Connection, added: Version) -> list[Doomed]:
    """Make `added` the latest; a null version replaces the null version before it."""
    doomed = []
    newest = latest(connection, added.bucket_id, added.key)
    before = newest
    if newest is not None and newest.version_id != NULL_VERSION:
        before = version(connection, added.bucket_id, added.key, NULL_VERSION)
    if before is not None and added.version_id == NULL_VERSION:
        doomed.append(_forget(connection, before))
    if newest is not None and not (doomed and newest is before):
        connection.execute(update(versions).where(*_row(newest)).values(latest=0))
    rank = 0 if newest is None else newest.rank - 1
    connection.execute(insert(versions), {**_version_row(added), "rank": rank, "latest": 1})
    return doomed


def remove_version(connection: Connection, gone: Version) -> Doomed:
    """Forget one version; the next newest becomes the latest."""
    doomed = _forget(connection, gone)
    newest = latest(connection, gone.bucket_id, gone.key)
    if newest is not None and not newest.is_latest:
        connection.execute(update(versions).where(*_row(newest)).values(latest=1))
    return doomed


def set_tags(connection: Connection, tagged: Version, facts: Facts) -> None:
    changed = update(versions).where(*_row(tagged)).values(facts=_encode_facts(facts))
    connection.execute(changed)


def add_blob(connection: Connection, blob: Blob) -> None:
    row = {column.name: getattr(blob, column.name) for column in blobs.c}
    connection.execute(insert(blobs), row | {"checksums": json.dumps(dict(blob.checksums))})


def blobs_of(connection: Connection, object_id: str) -> list[Blob]:
    return [_blob(row) for row in connection.execute(_OBJECT_BLOBS, {"of": object_id})]


def parts_of(connection: Connection, object_id: str, after: int, limit: int) -> list[Blob]:
    """Parts by number, without what is kept inline."""
    query = select(*_LIGHT_BLOB).where(blobs.c.object_id == object_id, blobs.c.part > after)
    return [_blob(row) for row in connection.execute(query.order_by(blobs.c.part).limit(limit))]


def replace_part(connection: Connection, blob: Blob) -> Doomed:
    doomed = forget_parts(connection, blob.object_id, [blob.part])
    add_blob(connection, blob)
    return doomed


def forget_parts(connection: Connection, object_id: str, numbers: Sequence[int]) -> Doomed:
    files: list[str] = []
    for start in range(0, len(numbers), IN_MAX):
        some = numbers[start : start + IN_MAX]
        where = and_(blobs.c.object_id == object_id, blobs.c.part.in_(some))
        files += _files(connection, where)
        connection.execute(delete(blobs).where(where))
    return Doomed(object_id, tuple(files))


def known_blobs(connection: Connection, blob_ids: Sequence[str]) -> set[str]:
    query = select(blobs.c.blob_id).where(blobs.c.blob_id.in_(blob_ids), blobs.c.inline.is_(None))
    return {row[0] for row in connection.execute(query)}


def blobs_under(connection: Connection, account: str, kek_id: str, limit: int) -> list[Blob]:
    """Some of the blobs whose DEKs the KEK wraps, without what is kept inline."""
    query = select(*_LIGHT_BLOB).where(blobs.c.account == account, blobs.c.kek_id == kek_id)
    return [_blob(row) for row in connection.execute(query.limit(limit))]


def held(connection: Connection, account: str) -> dict[str, Held]:
    """What each KEK of `account` opens, by its id; of every account when it is empty."""
    query = select(
        blobs.c.kek_id,
        func.count(blobs.c.object_id.distinct()),
        func.count(),
        func.sum(blobs.c.size),
    ).group_by(blobs.c.kek_id)
    if account:
        query = query.where(blobs.c.account == account)
    return {
        kek_id: Held(objects=objects, data_keys=data_keys, size=int(size))
        for kek_id, objects, data_keys, size in connection.execute(query)
    }


def rewrap_blob(connection: Connection, blob: Blob, kek_id: str, wrapped: bytes) -> None:
    """Only if it is still the blob, under the key, that was read."""
    connection.execute(
        update(blobs)
        .where(blobs.c.blob_id == blob.blob_id, blobs.c.kek_id == blob.kek_id)
        .values(kek_id=kek_id, wrapped=wrapped)
    )


def listed(connection: Connection, bucket_id: str, span: Span, limit: int) -> list[Version]:
    """Current objects in key order, without their facts."""
    query = select(*_LIGHT).where(_LISTED, *_in_span(versions, bucket_id, span))
    return [
        _version(row) for row in connection.execute(query.order_by(versions.c.key).limit(limit))
    ]


def listed_versions(
    connection: Connection, bucket_id: str, span: Span, within: tuple[bytes, int] | None, limit: int
) -> list[Version]:
    """Every version in order of key, the newest first; those behind `within` (key, rank)."""
    where = list(_in_span(versions, bucket_id, span))
    if within is not None:
        key, rank = within
        rest = and_(versions.c.key == key, versions.c.rank > rank)
        where.append(or_(versions.c.key > key, rest))
        where.append(versions.c.key >= key)
    query = select(*_LIGHT).where(*where).order_by(versions.c.key, versions.c.rank).limit(limit)
    return [_version(row) for row in connection.execute(query)]


def add_upload(connection: Connection, upload: Upload) -> None:
    row = {column.name: getattr(upload, column.name) for column in uploads.c}
    connection.execute(insert(uploads).values(**row | {"facts": _encode_facts(upload.facts)}))


def find_upload(
    connection: Connection, bucket_id: str, key: bytes, upload_id: str
) -> Upload | None:
    found = connection.execute(
        select(uploads).where(
            uploads.c.bucket_id == bucket_id, uploads.c.key == key, uploads.c.id == upload_id
        )
    ).first()
    return None if found is None else _upload(found)


def listed_uploads(
    connection: Connection, bucket_id: str, span: Span, within: tuple[bytes, str] | None, limit: int
) -> list[Upload]:
    where = list(_in_span(uploads, bucket_id, span))
    if within is not None:
        key, upload_id = within
        rest = and_(uploads.c.key == key, uploads.c.id > upload_id)
        where.append(or_(uploads.c.key > key, rest))
    query = select(uploads).where(*where).order_by(uploads.c.key, uploads.c.id).limit(limit)
    return [_upload(row) for row in connection.execute(query)]


def end_upload(connection: Connection, upload: Upload) -> Doomed:
    """Forget an upload and all its parts."""
    drop_upload(connection, upload)
    return _forget_blobs(connection, upload.id)


def drop_upload(connection: Connection, upload: Upload) -> None:
    """Forget an upload whose parts became an object."""
    connection.execute(
        delete(uploads).where(
            uploads.c.bucket_id == upload.bucket_id,
            uploads.c.key == upload.key,
            uploads.c.id == upload.id,
        )
    )


def after_prefix(prefix: bytes) -> bytes | None:
    """The first key behind all that start with `prefix`; None when there is none."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None


def _in_span(table: Table, bucket_id: str, span: Span) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [table.c.bucket_id == bucket_id]
    low = max(span.prefix, span.start)
    if span.after and span.after >= low:
        where.append(table.c.key > span.after)
    elif low:
        where.append(table.c.key >= low)
    end = after_prefix(span.prefix)
    if end is not None:
        where.append(table.c.key < end)
    return where


def _row(of: Version) -> list[ColumnElement[bool]]:
    return [
        versions.c.bucket_id == of.bucket_id,
        versions.c.key == of.key,
        versions.c.rank == of.rank,
    ]


def _forget(connection: Connection, gone: Version) -> Doomed:
    connection.execute(delete(versions).where(*_row(gone)))
    return _forget_blobs(connection, gone.object_id)


def _forget_blobs(connection: Connection, object_id: str) -> Doomed:
    files = _files(connection, blobs.c.object_id == object_id)
    connection.execute(delete(blobs).where(blobs.c.object_id == object_id))
    return Doomed(object_id, tuple(files))


def _files(connection: Connection, where: ColumnElement[bool]) -> list[str]:
    query = select(blobs.c.blob_id).where(where, blobs.c.inline.is_(None)).order_by(blobs.c.part)
    return [row[0] for row in connection.execute(query)]


def _encode_facts(facts: Facts) -> str:
    return json.dumps({each.name: getattr(facts, each.name) for each in fields_of(Facts)})


def _bucket(row: Any) -> Bucket:
    fields = dict(row._mapping)
    return Bucket(**fields | {"tags": json.loads(fields["tags"])})


def _version_row(of: Version) -> Mapping[str, Any]:
    names = ("bucket_id", "key", "version_id", "object_id", "size", "etag", "modified_ms")
    row = {name: getattr(of, name) for name in (*names, "label", "parts")}
    return row | {"marker": int(of.is_marker), "facts": _encode_facts(of.facts)}


def _version(row: Any) -> Version:
    fields = dict(row._mapping)
    facts = fields.pop("facts", None)
    fields["is_latest"] = bool(fields.pop("latest"))
    fields["is_marker"] = bool(fields.pop("marker"))
    fields["facts"] = NO_FACTS if facts is None else Facts(**json.loads(facts))
    return Version(**fields)


def _blob(row: Any) -> Blob:
    fields = dict(row._mapping)
    return Blob(**fields | {"checksums": json.loads(fields["checksums"])})


def _upload(row: Any) -> Upload:
    fields = dict(row._mapping)
    return Upload(**fields | {"facts": Facts(**json.loads(fields["facts"]))})
