"""Objects in and out of a job's folder, under the job's role: every read and write is asked of
the policies first."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from bastide.jobs import outputs
from bastide.jobs.ports import JobFailed
from bastide.kernel import arns
from bastide.kernel.call import Principal
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.kernel.regions import Region
from bastide.training.ports import Objects, Permits

CHUNK = 1024 * 1024
OBJECTS_MAX = 1_000_000
_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key; JobFailed when it is no s3:// URI."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise JobFailed(f"ClientError: {uri[:200]} is not an S3 URI.")
    return match[1], match[2] or ""


def arn_of(region: Region, uri: str) -> str:
    """The ARN of what an S3 URI names, or the text as it is."""
    match = _URI.fullmatch(uri)
    return uri if match is None else arns.s3(region, match[1], match[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What one job may do with the store. `read_at` are the labels of what it has read."""

    region: Region
    principal: Principal
    objects: Objects
    permits: Permits
    read_at: set[Label] = field(default_factory=set)

    @property
    def account(self) -> str:
        return self.principal.account

    def listing(self, bucket: str, prefix: str) -> list[str]:
        """Keys under a prefix."""
        self._ask("s3:ListBucket", arns.s3(self.region, bucket), {"s3:prefix": prefix})
        keys: list[str] = []
        try:
            for found in self.objects.listing(self.principal, bucket, prefix):
                keys.append(found.key)
                if len(keys) > OBJECTS_MAX:
                    raise JobFailed(f"ClientError: more than {OBJECTS_MAX} objects.")
        except ServiceError as error:
            raise _failed("download", bucket, prefix, error) from error
        return keys

    def read(self, bucket: str, key: str, size_max: int) -> bytes:
        data = bytearray()
        for chunk in self.chunks(bucket, key):
            data += chunk
            if len(data) > size_max:
                raise JobFailed(f"ClientError: s3://{bucket}/{key} is larger than {size_max}.")
        return bytes(data)

    def download(self, bucket: str, key: str, target: Path, room: int) -> int:
        """Write an object to a new file; answers its size. JobFailed beyond `room` bytes."""
        size = 0
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for chunk in self.chunks(bucket, key):
                size += len(chunk)
                if size > room:
                    raise JobFailed("ClientError: the data does not fit into VolumeSizeInGB.")
                file.write(chunk)
        return size

    def chunks(self, bucket: str, key: str) -> Iterator[bytes]:
        self._ask("s3:GetObject", arns.s3(self.region, bucket, key), {})
        try:
            found, chunks = self.objects.open(self.principal, bucket, key)
            self.read_at.add(found.label)
            yield from chunks
        except ServiceError as error:
            raise _failed("download", bucket, key, error) from error

    def upload(self, bucket: str, key: str, chunks: Iterator[bytes]) -> None:
        self._ask("s3:PutObject", arns.s3(self.region, bucket, key), {})
        try:
            self.objects.put(self.principal, bucket, key, chunks)
        except ServiceError as error:
            raise _failed("upload", bucket, key, error) from error

    def upload_tree(self, root: Path, bucket: str, prefix: str, size_max: int) -> None:
        """Every regular file below `root`; JobFailed for FIFOs, devices, links that point out, and
        more than `size_max` bytes. Links inside are not followed: what they name is there too."""
        for entry in outputs.files(root, size_max=size_max):
            with outputs.open_file(root, entry.name) as file:
                self.upload(bucket, join(prefix, entry.name), pieces(file))

    def upload_archive(self, root: Path, uri: str, scratch: Path, size_max: int) -> None:
        """`root` as a tar.gz."""
        bucket, key = split_uri(uri)
        try:
            with scratch.open("w+b") as file:
                outputs.pack(root, file, size_max=size_max)
                file.seek(0)
                self.upload(bucket, key, pieces(file))
        finally:
            scratch.unlink(missing_ok=True)

    def _ask(self, action: str, resource: str, context: Mapping[str, str | list[str]]) -> None:
        if not self.permits.permits(self.principal, action, resource, context):
            raise JobFailed(
                f"AccessDenied: The role {self.principal.issuer_arn} is not authorized to "
                f"perform {action} on {resource}."
            )


def pieces(file: BinaryIO) -> Iterator[bytes]:
    read: Callable[[], bytes] = lambda: file.read(CHUNK)  # noqa: E731
    yield from iter(read, b"")


def join(prefix: str, name: str) -> str:
    return f"{prefix.rstrip('/')}/{name}" if prefix.strip("/") else name


def local_name(name: str, uri: str) -> PurePosixPath:
    """The relative path for an object; JobFailed for a key that no file can have."""
    path = PurePosixPath(name)
    bad = not name or path.is_absolute() or "\0" in name or ".." in path.parts
    if bad or any(len(os.fsencode(part)) > 255 for part in path.parts):
        raise JobFailed(f"ClientError: Data download failed: {uri[:300]!r} cannot become a file.")
    return path


def _failed(what: str, bucket: str, key: str, error: ServiceError) -> JobFailed:
    return JobFailed(
        f"ClientError: Data {what} failed: {error.code} for s3://{bucket}/{key[:300]}: "
        f"{error.message}"
    )
