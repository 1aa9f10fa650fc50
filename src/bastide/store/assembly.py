"""Making one object of the parts that a CompleteMultipartUpload names. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from bastide.kernel.errors import ServiceError
from bastide.store import digests, errors
from bastide.store.model import Blob, Upload, Version
from bastide.store.requests import given_checksums
from bastide.store.shelf import PARTS_MAX

PART_SIZE_MIN = 5 * 1024**2
OBJECT_SIZE_MAX = 5 * 1024**4


@dataclass(frozen=True, slots=True)
class Asked:
    """A part as the client names it."""

    number: int
    etag: str
    checksums: Mapping[str, str]


def asked_parts(req: Mapping[str, Any]) -> list[Asked]:
    parts = (req.get("MultipartUpload") or {}).get("Parts") or []
    if not 1 <= len(parts) <= PARTS_MAX:
        raise errors.malformed_xml()
    asked = []
    for part in parts:
        if part.get("PartNumber") is None or part.get("ETag") is None:
            raise errors.malformed_xml()
        etag = part["ETag"].strip('"')
        asked.append(Asked(part["PartNumber"], etag, given_checksums(part)))
    numbers = [part.number for part in asked]
    if any(left >= right for left, right in pairwise(numbers)):
        raise ServiceError(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
            status=400,
        )
    return asked


def assembled(
    req: Mapping[str, Any],
    asked: Sequence[Asked],
    upload: Upload,
    parts: Sequence[Blob],
    fresh: Version,
) -> tuple[Version, list[int]]:
    """The version that the asked parts make, and the numbers of the parts left out."""
    have = {part.part: part for part in parts}
    chosen = [_matching(have.get(each.number), each, upload) for each in asked]
    for part in chosen[:-1]:
        if part.size < PART_SIZE_MIN:
            raise _too_small(part)
    size = sum(part.size for part in chosen)
    _check_size(req, size)
    algorithm = upload.algorithm or digests.DEFAULT
    pairs = [(part.checksums[algorithm], part.size) for part in chosen]
    checksum = digests.of_parts(algorithm, upload.checksum_type, pairs)
    _check_whole(req, algorithm, checksum, upload.checksum_type)
    version = replace(
        fresh,
        label=upload.label,
        size=size,
        etag=digests.etag_of_parts([part.etag for part in chosen]),
        parts=len(chosen),
        facts=upload.facts.with_checksums({algorithm: checksum}, upload.checksum_type),
    )
    used = {part.part for part in chosen}
    return version, [part.part for part in parts if part.part not in used]


def _matching(part: Blob | None, asked: Asked, upload: Upload) -> Blob:
    good = part is not None and part.etag == asked.etag
    if part is None or not good or not _same_sums(part, asked):
        raise ServiceError(
            "InvalidPart",
            "One or more of the specified parts could not be found. The part may not have been "
            "uploaded, or the specified entity tag may not match the part's entity tag.",
            status=400,
            members={"UploadId": upload.id, "PartNumber": str(asked.number), "ETag": asked.etag},
        )
    return part


def _same_sums(part: Blob, asked: Asked) -> bool:
    return all(part.checksums.get(name, sum_) == sum_ for name, sum_ in asked.checksums.items())


def _too_small(part: Blob) -> ServiceError:
    return ServiceError(
        "EntityTooSmall",
        "Your proposed upload is smaller than the minimum allowed size",
        status=400,
        members={
            "ProposedSize": str(part.size),
            "MinSizeAllowed": str(PART_SIZE_MIN),
            "PartNumber": str(part.part),
            "ETag": part.etag,
        },
    )


def _check_size(req: Mapping[str, Any], size: int) -> None:
    if size > OBJECT_SIZE_MAX:
        raise ServiceError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            status=400,
            members={"ProposedSize": str(size), "MaxSizeAllowed": str(OBJECT_SIZE_MAX)},
        )
    expected = req.get("MpuObjectSize")
    if expected is not None and int(expected) != size:
        raise errors.invalid_request(
            f"The provided 'x-amz-mp-object-size' header value {expected} does not match what was "
            f"computed: {size}"
        )


def _check_whole(req: Mapping[str, Any], algorithm: str, checksum: str, kind: str) -> None:
    asked_kind = req.get("ChecksumType")
    if asked_kind and asked_kind != kind:
        raise errors.invalid_request(
            f"The upload was created with the {kind} checksum type, not {asked_kind}."
        )
    for name, value in given_checksums(req).items():
        if name != algorithm or value.partition("-")[0] != checksum.partition("-")[0]:
            raise errors.bad_digest(
                f"The {name} you specified did not match the calculated checksum."
            )
