"""The code of a version: read from S3 as the runtime's role, when the version is made and whenever
a session begins. It stays in the object that it was found in, which must still be what it was: its
digest is the version's. So nothing of an agency's code lies about outside of the store.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bastide.kernel import arns
from bastide.kernel.call import Principal
from bastide.kernel.errors import ServiceError, invalid
from bastide.kernel.regions import Region
from bastide.runtimes import archive
from bastide.runtimes.archive import BadArchive
from bastide.runtimes.ports import Objects, Permits, StoredObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """`folder`: where a ZIP lies while it is read."""

    region: Region
    permits: Permits
    objects: Objects
    folder: Path

    def checked(self, role: Principal, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What a version says of its code. ValidationException, AccessDeniedException."""
        with self._fetched(role, asked, None) as (file, digest, info):
            try:
                names = archive.check(file)
            except BadArchive as error:
                raise invalid(f"{self._place(asked)}: {error}.") from error
            entry = asked["entryPoint"][-1]
            if entry not in names:
                raise invalid(f"{self._place(asked)} has no file {entry[:200]}, the entryPoint.")
        return {"sha256": digest, "size": info.size, "version_id": info.version_id}

    def unpack(
        self, role: Principal, asked: Mapping[str, Any], code: Mapping[str, Any], target: Path
    ) -> None:
        """Raises ServiceError, also where it is not what the version was made of."""
        with self._fetched(role, asked, code["version_id"]) as (file, digest, _):
            if digest != code["sha256"]:
                raise invalid(
                    f"{self._place(asked)} is not what this version was made of: make another one."
                )
            try:
                archive.unpack(file, target)
            except BadArchive as error:
                raise invalid(f"{self._place(asked)}: {error}.") from error

    @contextlib.contextmanager
    def _fetched(
        self, role: Principal, asked: Mapping[str, Any], found: str | None
    ) -> Iterator[tuple[IO[bytes], str, StoredObject]]:
        """`found`: the version of the object that it was, though none was named."""
        place = asked["code"]["s3"]
        bucket, key, named = place["bucket"], place["prefix"], place.get("versionId")
        action, arn = _action(named), arns.s3(self.region, bucket, key)
        if not self.permits.permits(role, action, arn, {}):
            raise ServiceError(
                "AccessDeniedException",
                f"{role.issuer_arn} is not authorized to perform: {action} on resource: {arn}",
            )
        try:
            info, chunks = self.objects.open(role, bucket, key, named or found)
        except ServiceError as error:
            raise invalid(f"{self._place(asked)}: {error.message}") from error
        with contextlib.closing(chunks):  # type: ignore[type-var]  # the store's have a `close`
            if info.size > archive.PACKED_MAX:
                raise invalid(f"{self._place(asked)} is larger than {archive.PACKED_MAX} bytes.")
            with tempfile.TemporaryFile(dir=self.folder) as file:
                digest = hashlib.sha256()
                for chunk in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                yield file, digest.hexdigest(), info

    def _place(self, asked: Mapping[str, Any]) -> str:
        place = asked["code"]["s3"]
        return f"s3://{place['bucket']}/{place['prefix']}"[:300]


def _action(named: str | None) -> str:
    return "s3:GetObjectVersion" if named else "s3:GetObject"
