"""Signature Version 4, the arithmetic: canonical request, string to sign, signing key.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
and https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from bastide.wire.types import Headers

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
SAFE = "-_.~"


@dataclass(frozen=True, slots=True)
class Scope:
    """`20261122/us-gov-west-1/s3/aws4_request`."""

    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


@lru_cache(maxsize=4096)
def signing_key(secret: str, scope: Scope) -> bytes:
    """The key of one day, region and service; derived once."""
    key = _hmac(f"AWS4{secret}".encode(), scope.date)
    for part in (scope.region, scope.service, "aws4_request"):
        key = _hmac(key, part)
    return key


def sign(key: bytes, text: str) -> str:
    """Not by `hmac.digest`: for 2 µs of work that lets other threads go first, and waits."""
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def canonical_path(raw_path: str, *, is_s3: bool) -> str:
    """S3 signs the path as it is sent; all others normalise it and encode it once more."""
    if is_s3:
        return quote(raw_path.encode("latin-1"), safe="/%" + SAFE) or "/"
    kept: list[str] = []
    for part in raw_path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part and part != ".":
            kept.append(part)
    path = "/" + "/".join(kept)
    if raw_path.endswith("/") and kept:
        path += "/"
    return quote(path.encode("latin-1"), safe="/" + SAFE)


def canonical_query(raw_query: str, without: str = "") -> str:
    """Fields sorted by encoded name and value; `without` leaves out the signature itself."""
    if not raw_query:
        return ""
    fields = []
    for field in raw_query.split("&"):
        if not field:
            continue
        name, _, value = field.partition("=")
        name, value = _recoded(name), _recoded(value)
        if name != without:
            fields.append((name, value))
    return "&".join(f"{name}={value}" for name, value in sorted(fields))


def _recoded(text: str) -> str:
    """As AWS encodes it. `+` is a space, as it is for whoever reads the query: were it signed as
    a plus, `%2B` could be made a space on the way."""
    return quote(unquote_to_bytes(text.replace("+", " ").encode("latin-1")), safe=SAFE)


def canonical_headers(headers: Headers, signed: Iterable[str]) -> str | None:
    """The block of signed headers; None when one of them is not there."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(" ".join(value.split()))
    lines = []
    for name in signed:
        if name not in values:
            return None
        lines.append(f"{name}:{','.join(values[name])}\n")
    return "".join(lines)


def canonical_request(
    method: str, path: str, query: str, headers: str, signed: Sequence[str], payload: str
) -> str:
    return f"{method}\n{path}\n{query}\n{headers}\n{';'.join(signed)}\n{payload}"


def string_to_sign(when: str, scope: Scope, canonical: str) -> str:
    return f"{ALGORITHM}\n{when}\n{scope}\n{sha256(canonical.encode('utf-8', 'surrogateescape'))}"


@dataclass(slots=True)
class ChunkSigner:
    """The chain of signatures over an upload's chunks; `previous` begins as the seed signature."""

    key: bytes
    when: str
    scope: Scope
    previous: str

    def chunk(self, data_sha256: str) -> str:
        """The signature that the next chunk must have."""
        text = (
            f"{ALGORITHM}-PAYLOAD\n{self.when}\n{self.scope}\n{self.previous}\n"
            f"{EMPTY_SHA256}\n{data_sha256}"
        )
        self.previous = sign(self.key, text)
        return self.previous

    def trailer(self, lines: bytes) -> str:
        text = f"{ALGORITHM}-TRAILER\n{self.when}\n{self.scope}\n{self.previous}\n{sha256(lines)}"
        return sign(self.key, text)
