"""Finding the version that a call names, and what S3 says when it cannot be read."""

from collections.abc import Callable
from dataclasses import dataclass

from bastide.kernel.call import Call
from bastide.store import errors, shelf
from bastide.store.content import ObjectReader
from bastide.store.model import Bucket, Version
from bastide.store.names import check_version_id, key_bytes
from bastide.store.requests import Doors
from bastide.store.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a call names; no version id means the latest."""

    bucket: Bucket
    key: str
    version_id: str | None = None


def found(shelf: Shelf, doors: Doors, call: Call, wanted: Wanted, method: str) -> Version:
    """An object that can be read; S3's error for one that is absent or a delete marker."""
    bucket, key, version_id = wanted.bucket, wanted.key, wanted.version_id
    check_version_id(version_id)
    version = shelf.find(bucket, key_bytes(key), version_id)
    if version is None:
        if version_id is not None and doors.permits(call, "ListBucket", bucket.address):
            raise errors.no_such_version(key, version_id)
        raise doors.absent(call, bucket.address, key)
    if version.is_marker:
        call.notes.headers["x-amz-delete-marker"] = "true"
        call.notes.headers["x-amz-version-id"] = version.version_id
        if version_id is None:
            raise doors.absent(call, bucket.address, key)
        call.notes.headers["allow"] = "DELETE"
        raise errors.method_not_allowed(method)
    call.notes.label = version.label
    return version


@dataclass(frozen=True, slots=True)
class Opened:
    version: Version
    start: int
    end: int
    reader: ObjectReader


def opened(
    library: Shelf,
    bucket: Bucket,
    choose: Callable[[], tuple[Version, int, int]],
) -> Opened:
    """Open what `choose` finds; choose again if it was replaced in between."""
    for _ in range(shelf.READ_TRIES):
        version, start, end = choose()
        reader = library.reader(bucket, version, start, end)
        if reader is not None:
            return Opened(version, start, end, reader)
    raise shelf.replaced_too_often()
