"""Versions, blobs and uploads in the database.

Keys are bytes, so that both databases order them as S3 does: by their UTF-8. Everything hangs
from a bucket's random id, which only `bucket_records.find` gives: no query can reach another
account's rows. A write returns the files that nothing names any more (`Doomed`).

Keys are each label's own, as the names of buckets are (`bucket_records.py`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from itertools import groupby
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
from bastide.kernel.labels.view import View
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
    Column("written_by", String(64), nullable=False, server_default=""),
)
Index("ix_s3_versions_id", versions.c.bucket_id, versions.c.key, versions.c.version_id)
_IS_LATEST = versions.c.latest == literal_column("1")
Index(
    "ix_s3_versions_listed",
    versions.c.bucket_id,
    versions.c.key,
    sqlite_where=_IS_LATEST,
    postgresql_where=_IS_LATEST,
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
_OF_KEY = and_(versions.c.bucket_id == bindparam("within"), versions.c.key == bindparam("named"))
_LATEST = select(versions).where(_OF_KEY, _IS_LATEST)
_NEWEST_OF = (
    select(versions)
    .where(_OF_KEY, versions.c.label == bindparam("of"))
    .order_by(versions.c.rank)
    .limit(1)
)
_RANKS = select(func.min(versions.c.rank), func.max(versions.c.rank)).where(_OF_KEY)
_OBJECT_BLOBS = select(blobs).where(blobs.c.object_id == bindparam("of")).order_by(blobs.c.part)


@dataclass(frozen=True, slots=True)
class Span:
    """Keys with `prefix`, after `after` (or from `start` on, whichever is further)."""

    prefix: bytes = b""
    after: bytes = b""
    start: bytes = b""


NO_FACTS = Facts()  # of versions that are only listed


def is_empty(connection: Connection, bucket: Bucket) -> bool:
    """Whether its viewer sees nothing in it."""
    seen = (versions.c.bucket_id == bucket.id) & _is_seen(bucket.view)
    return connection.execute(select(versions.c.rank).where(seen).limit(1)).first() is None


def labels_in(connection: Connection, bucket_id: str) -> list[str]:
    """Of all that is in a bucket, uploads under way too."""
    kept = select(versions.c.label).where(versions.c.bucket_id == bucket_id)
    coming = select(uploads.c.label).where(uploads.c.bucket_id == bucket_id)
    return [row[0] for row in connection.execute(kept.union(coming))]


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


def latest(connection: Connection, bucket: Bucket, key: bytes) -> Version | None:
    """The newest version, which may be a delete marker."""
    rows = connection.execute(_LATEST, {"within": bucket.id, "named": key})
    return _preferred([_version(row) for row in rows], bucket.view)


def version(connection: Connection, bucket: Bucket, key: bytes, version_id: str) -> Version | None:
    query = select(versions).where(
        versions.c.bucket_id == bucket.id,
        versions.c.key == key,
        versions.c.version_id == version_id,
    )
    return _preferred([_version(row) for row in connection.execute(query)], bucket.view)


def _preferred(found: Sequence[Version], view: View) -> Version | None:
    """Of versions with one name, that of the viewer's own label, else the newest that it sees."""
    seen = [each for each in found if each.label in view.seen and _is_shown(each, view)]
    return min(seen, key=lambda each: (each.label != view.own, each.rank), default=None)


def _is_shown(version: Version, view: View) -> bool:
    return view.writer in ("", version.written_by)


def _is_seen(view: View) -> ColumnElement[bool]:
    """The same, asked of the database."""
    seen = versions.c.label.in_(view.seen)
    return and_(seen, versions.c.written_by == view.writer) if view.writer else seen


def add_version(connection: Connection, added: Version, *, is_above: bool) -> list[Doomed]:
    """Make `added` the latest of its label; a null version replaces the null version before it.
    One that `is_above` what its maker sees goes behind what is there: it overwrites nothing."""
    of_key = {"within": added.bucket_id, "named": added.key}
    first, last = connection.execute(_RANKS, of_key).one()
    newest = _newest_of(connection, added)
    if is_above and newest is not None:
        connection.execute(insert(versions), {**_version_row(added), "rank": last + 1, "latest": 0})
        return []
    before = None if added.version_id != NULL_VERSION else _null_of(connection, added)
    doomed = [] if before is None else [_forget(connection, before)]
    if newest is not None and newest != before:
        connection.execute(update(versions).where(*_row(newest)).values(latest=0))
    rank = 0 if first is None else first - 1
    connection.execute(insert(versions), {**_version_row(added), "rank": rank, "latest": 1})
    return doomed


def _newest_of(connection: Connection, like: Version) -> Version | None:
    """The newest of the same key and label."""
    where = {"within": like.bucket_id, "named": like.key, "of": like.label}
    found = connection.execute(_NEWEST_OF, where).first()
    return None if found is None else _version(found)


def _null_of(connection: Connection, like: Version) -> Version | None:
    """The null version of the same key and label."""
    found = connection.execute(
        select(versions).where(
            versions.c.bucket_id == like.bucket_id,
            versions.c.key == like.key,
            versions.c.version_id == NULL_VERSION,
            versions.c.label == like.label,
        )
    ).first()
    return None if found is None else _version(found)


def remove_version(connection: Connection, gone: Version) -> Doomed:
    """Forget one version; the next newest of its label becomes the latest."""
    doomed = _forget(connection, gone)
    newest = _newest_of(connection, gone)
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


def listed(
    connection: Connection, bucket: Bucket, span: Span, limit: int, *, whole: bool = False
) -> list[Version]:
    """Current objects in key order; their facts only where they are wanted `whole`."""
    view, found = bucket.view, list[Version]()
    columns = versions.c if whole else _LIGHT
    size = limit + len(view.seen)
    while True:
        where = (_IS_LATEST, _is_seen(view), *_in_span(versions, bucket.id, span))
        query = select(*columns).where(*where).order_by(versions.c.key).limit(size)
        rows = [_version(row) for row in connection.execute(query)]
        groups = [list(group) for _, group in groupby(rows, lambda each: each.key)]
        ended = groups if len(rows) < size else groups[:-1]  # the last key may have more
        best = (_preferred(group, view) for group in ended)
        found += [each for each in best if each is not None and not each.is_marker]
        if len(rows) < size or len(found) >= limit:
            return found[:limit]
        span = replace(span, after=ended[-1][0].key)


def listed_versions(
    connection: Connection, bucket: Bucket, span: Span, within: tuple[bytes, int] | None, limit: int
) -> list[Version]:
    """Every version in order of key, the newest first; those behind `within` (key, rank)."""
    where = [*_in_span(versions, bucket.id, span), _is_seen(bucket.view)]
    if within is not None:
        key, rank = within
        rest = and_(versions.c.key == key, versions.c.rank > rank)
        where.append(or_(versions.c.key > key, rest))
        where.append(versions.c.key >= key)
    query = select(*_LIGHT).where(*where).order_by(versions.c.key, versions.c.rank).limit(limit)
    found = [_version(row) for row in connection.execute(query)]
    if len(bucket.view.seen) == 1:
        return found
    return [replace(v, is_latest=_is_latest(connection, bucket, v)) for v in found]


def _is_latest(connection: Connection, bucket: Bucket, of: Version) -> bool:
    """Of several labels' latest versions, the one that is found under the key."""
    if not of.is_latest:
        return False
    best = latest(connection, bucket, of.key)
    return best is not None and best.object_id == of.object_id


def add_upload(connection: Connection, upload: Upload) -> None:
    row = {column.name: getattr(upload, column.name) for column in uploads.c}
    connection.execute(insert(uploads).values(**row | {"facts": _encode_facts(upload.facts)}))


def find_upload(
    connection: Connection, bucket: Bucket, key: bytes, upload_id: str, labels: Sequence[str]
) -> Upload | None:
    """The upload, if it has one of the labels."""
    found = connection.execute(
        select(uploads).where(
            uploads.c.bucket_id == bucket.id,
            uploads.c.key == key,
            uploads.c.id == upload_id,
            uploads.c.label.in_(labels),
        )
    ).first()
    return None if found is None else _upload(found)


def listed_uploads(
    connection: Connection, bucket: Bucket, span: Span, within: tuple[bytes, str] | None, limit: int
) -> list[Upload]:
    where = [*_in_span(uploads, bucket.id, span), uploads.c.label.in_(bucket.view.seen)]
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


def end_uploads(connection: Connection, bucket_id: str, labels: Sequence[str]) -> list[Doomed]:
    """Forget a bucket's uploads of those labels."""
    where = (uploads.c.bucket_id == bucket_id) & uploads.c.label.in_(labels)
    found = connection.execute(select(uploads).where(where)).all()
    return [end_upload(connection, _upload(row)) for row in found]


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


def _version_row(of: Version) -> Mapping[str, Any]:
    names = ("bucket_id", "key", "version_id", "object_id", "size", "etag", "modified_ms")
    row = {name: getattr(of, name) for name in (*names, "label", "parts", "written_by")}
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
