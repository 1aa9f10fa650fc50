"""CloudTrail's files: their names, what is in them, and what of a digest is signed.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
"""

import gzip
import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from bastide.evidence.model import LogFile, Trail
from bastide.kernel import arns
from bastide.kernel.clock import moment
from bastide.kernel.regions import Region

ALGORITHM = "SHA256withRSA"
_SHA = "SHA-256"


def arn_of(region: Region, account: str, name: str) -> str:
    return arns.regional(region, "cloudtrail", account, f"trail/{name}")


def packed(document: Any) -> tuple[bytes, str]:
    """The file, and the hash of what is in it. The same document gives the same bytes."""
    plain = json.dumps(document, separators=(",", ":")).encode()
    return gzip.compress(plain, mtime=0), sha256(plain).hexdigest()


def log_key(region: Region, trail: Trail, oldest_ms: int) -> str:
    """Of the file that begins with the record `next_index`: one that was put twice, because a
    crash came before it was noted, is put where it was."""
    at = moment(oldest_ms)
    seed = f"{arn_of(region, trail.account, trail.name)}|{trail.started_ms}|{trail.next_index}"
    unique = sha256(seed.encode()).hexdigest()[:16].upper()
    name = f"{trail.account}_CloudTrail_{region.name}_{at:%Y%m%dT%H%MZ}_{unique}.json.gz"
    return f"{_folder(region, trail, 'CloudTrail', at)}/{name}"


def digest_key(region: Region, trail: Trail, end_ms: int) -> str:
    at = moment(end_ms)
    name = (
        f"{trail.account}_CloudTrail-Digest_{region.name}_{trail.name}_{region.name}_"
        f"{at:%Y%m%dT%H%M%SZ}.json.gz"
    )
    return f"{_folder(region, trail, 'CloudTrail-Digest', at)}/{name}"


def folders(region: Region, trail: Trail) -> tuple[str, ...]:
    """What the keys of all files of a trail begin with."""
    return tuple(_root(region, trail, kind) for kind in ("CloudTrail", "CloudTrail-Digest"))


def digest(
    region: Region, trail: Trail, end_ms: int, files: Sequence[LogFile], fingerprint: str
) -> dict[str, Any]:
    """The digest of the files that were delivered from `digest_from_ms` to `end_ms`."""
    last = trail.last
    return {
        "awsAccountId": trail.account,
        "digestStartTime": _shown(trail.digest_from_ms),
        "digestEndTime": _shown(end_ms),
        "digestS3Bucket": trail.bucket,
        "digestS3Object": digest_key(region, trail, end_ms),
        "digestPublicKeyFingerprint": fingerprint,
        "digestSignatureAlgorithm": ALGORITHM,
        "newestEventTime": _shown(max(f.newest_ms for f in files)) if files else None,
        "oldestEventTime": _shown(min(f.oldest_ms for f in files)) if files else None,
        "previousDigestS3Bucket": trail.bucket if last else None,
        "previousDigestS3Object": last.key if last else None,
        "previousDigestHashValue": last.hash if last else None,
        "previousDigestHashAlgorithm": _SHA if last else None,
        "previousDigestSignature": last.signature if last else None,
        "logFiles": [_named(trail, file) for file in files],
    }


def to_sign(document: dict[str, Any], digest_hash: str) -> bytes:
    parts = (
        document["digestEndTime"],
        f"{document['digestS3Bucket']}/{document['digestS3Object']}",
        digest_hash,
        document["previousDigestSignature"] or "null",
    )
    return "\n".join(parts).encode()


def _named(trail: Trail, file: LogFile) -> dict[str, Any]:
    return {
        "s3Bucket": trail.bucket,
        "s3Object": file.key,
        "hashValue": file.hash,
        "hashAlgorithm": _SHA,
        "newestEventTime": _shown(file.newest_ms),
        "oldestEventTime": _shown(file.oldest_ms),
    }


def _folder(region: Region, trail: Trail, kind: str, at: datetime) -> str:
    return f"{_root(region, trail, kind)}{at:%Y/%m/%d}"


def _root(region: Region, trail: Trail, kind: str) -> str:
    head = f"{trail.prefix}/" if trail.prefix else ""
    return f"{head}AWSLogs/{trail.account}/{kind}/{region.name}/"


def _shown(at_ms: int) -> str:
    return f"{moment(at_ms):%Y-%m-%dT%H:%M:%SZ}"
