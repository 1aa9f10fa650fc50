"""Request bodies, checked as they are read: length, payload hash, chunk signatures, checksums.

Whatever the client promised must hold at the end, or the last read raises ServiceError: nothing
may become visible before `readinto` has answered 0. The forms are a closed list: what is none of
them is refused (a new form that one handler forgets is how others were broken).
"""

import base64
import hashlib
import hmac
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bastide.kernel.errors import ServiceError
from bastide.wire import checksums
from bastide.wire.sigv4 import ChunkSigner
from bastide.wire.types import RawRequest

UNIT_SIZE = 1024 * 1024
LINE_MAX = 4096
LINE_AHEAD = 64  # read at once in search of a line's end: the rest is data, which is copied twice
CHUNK_SIZE_MAX = 64 * 1024 * 1024  # a signed chunk is held whole until its signature is checked
TRAILERS_MAX = 16
MD5_SIZE = 16


class Form(StrEnum):
    """The values of x-amz-content-sha256 that are no hash."""

    UNSIGNED = "UNSIGNED-PAYLOAD"
    UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"


CHUNKED = frozenset({Form.UNSIGNED_TRAILER, Form.SIGNED_CHUNKS, Form.SIGNED_CHUNKS_TRAILER})
TRAILED = frozenset({Form.UNSIGNED_TRAILER, Form.SIGNED_CHUNKS_TRAILER})


class Source(Protocol):
    """Bytes as they arrive; 0 at the end, ServiceError when the client goes away."""

    def readinto(self, view: memoryview) -> int: ...


@dataclass(frozen=True, slots=True)
class Promise:
    """What a client said of its body, and how the body is written.

    `form` is a Form, or the body's SHA-256 in hex, or "" when nothing was said.
    """

    form: str = ""
    size: int | None = None
    md5: str = ""
    sums: Mapping[str, str] = field(default_factory=dict)
    trailer: str = ""
    signer: ChunkSigner | None = None


def promise_of(
    raw: RawRequest, form: str, signer: ChunkSigner | None, *, has_sums: bool = True
) -> Promise:
    """The promise in a request's headers. ServiceError for one that contradicts itself.

    `has_sums`: the checksum headers are of this body. CompleteMultipartUpload's are of the object.
    """
    sums = _sums(raw) if has_sums else {}
    trailer = (raw.header("x-amz-trailer") or "").lower() if form in TRAILED else ""
    if trailer and checksums.algorithm_of(trailer) is None:
        raise invalid(
            f"The value specified in the x-amz-trailer header is not supported: {trailer[:64]}"
        )
    if len(sums) + bool(trailer) > 1:
        raise invalid("Expecting a single x-amz-checksum- header. Multiple checksum Types are "
                      "not allowed.")  # fmt: skip
    declared = raw.header("x-amz-decoded-content-length" if form in CHUNKED else "content-length")
    return Promise(
        form=form,
        size=_size(declared),
        md5=_md5(raw.header("content-md5")),
        sums=sums,
        trailer=trailer,
        signer=signer,
    )


def _sums(raw: RawRequest) -> dict[str, str]:
    """Every checksum of the body that is in a header; one that cannot be checked is refused."""
    sums = {}
    for name, value in raw.headers:
        if name.startswith(checksums.HEADER_PREFIX) and name not in checksums.OTHER_HEADERS:
            algorithm = checksums.algorithm_of(name)
            if algorithm is None:
                raise invalid(f"The checksum {name[:64]} is not supported here.")
            sums[algorithm] = value
    return sums


def _md5(text: str | None) -> str:
    try:
        if text is not None and len(base64.b64decode(text, validate=True)) != MD5_SIZE:
            raise ValueError(text)
    except ValueError:
        message = "The Content-MD5 you specified was invalid."
        raise ServiceError("InvalidDigest", message, status=400) from None
    return text or ""


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ServiceError("InvalidArgument", "The length of the body is malformed.", status=400)
    return int(text)


def invalid(message: str) -> ServiceError:
    return ServiceError("InvalidRequest", message, status=400)


def incomplete() -> ServiceError:
    return ServiceError(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
        status=400,
    )


def bad_digest(what: str) -> ServiceError:
    return ServiceError("BadDigest", f"The {what} you specified did not match the calculated "
                        "checksum.", status=400)  # fmt: skip


def inflated(data: bytes, size_max: int) -> bytes:
    """What gzip compressed, as botocore does from 10 KiB on; never more than `size_max`."""
    stream = zlib.decompressobj(wbits=31)
    try:
        found = stream.decompress(data, size_max)
    except zlib.error as error:
        raise invalid("The body is not gzip.") from error
    if not stream.eof or stream.unused_data:
        raise invalid("The compressed body is cut short or too large.")
    return found


class CheckedBody:
    """Implements kernel.call.Body over what arrives."""

    def __init__(self, source: Source, promise: Promise) -> None:
        self._promise = promise
        self._chunks = _Chunks(source, promise) if promise.form in CHUNKED else None
        self._source = source
        self._received = 0
        self._ended = False
        self._failed: ServiceError | None = None
        self._given = dict(promise.sums)
        wanted = set(promise.sums)
        if promise.trailer:
            wanted.add(checksums.algorithm_of(promise.trailer) or "")
        self._digests = {name: checksums.ALGORITHMS[name]() for name in wanted}
        self._sha256 = hashlib.sha256() if len(promise.form) == 64 else None
        self._md5 = hashlib.md5(usedforsecurity=False) if promise.md5 else None

    @property
    def declared_size(self) -> int | None:
        return self._promise.size

    @property
    def promised(self) -> Collection[str]:
        return self._digests.keys()

    @property
    def checksums(self) -> Mapping[str, str]:
        return self._given if self._ended else {}

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(self._likely_left()), b""))
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(memoryview(buffer))])

    def readinto(self, view: memoryview) -> int:
        if self._ended or not view:
            return 0
        if self._failed is not None:
            raise self._failed
        try:
            return self._next(view)
        except ServiceError as error:
            self._failed = error  # a body that was wrong once stays wrong
            raise

    def _likely_left(self) -> int:
        """How much to make room for: one more than is promised, or a unit."""
        if self._promise.size is None:
            return UNIT_SIZE
        return min(max(self._promise.size - self._received, 0) + 1, UNIT_SIZE)

    def _next(self, view: memoryview) -> int:
        size = (self._chunks or self._source).readinto(view)
        if not size:
            self._end()
            return 0
        self._received += size
        if self._promise.size is not None and self._received > self._promise.size:
            raise incomplete()
        data = view[:size]
        for digest in (self._sha256, self._md5, *self._digests.values()):
            if digest is not None:
                digest.update(data)
        return size

    def _end(self) -> None:
        if self._promise.size is not None and self._received != self._promise.size:
            raise incomplete()
        if self._sha256 is not None and not hmac.compare_digest(
            self._sha256.hexdigest(), self._promise.form
        ):
            raise ServiceError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                status=400,
            )
        if self._md5 is not None and checksums.as_text(self._md5.digest()) != self._promise.md5:
            raise bad_digest("Content-MD5")
        if self._chunks is not None:
            self._take_trailers(self._chunks.trailers)
        for name, value in self._given.items():
            if checksums.as_text(self._digests[name].digest()) != value:
                raise bad_digest(name)
        self._ended = True

    def _take_trailers(self, trailers: Mapping[str, str]) -> None:
        if set(trailers) != ({self._promise.trailer} if self._promise.trailer else set()):
            raise _malformed_trailer()
        for header, value in trailers.items():
            self._given[checksums.algorithm_of(header) or ""] = value


def _malformed_trailer() -> ServiceError:
    return ServiceError(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our "
        "published schema.",
        status=400,
    )


class _Chunks:
    """Decodes `aws-chunked`: size lines, chunks, then trailers; checks each chunk's signature."""

    def __init__(self, source: Source, promise: Promise) -> None:
        self._source = source
        self._signer = promise.signer if "HMAC" in promise.form else None
        self._has_trailers = promise.form in TRAILED
        self._ahead = bytearray()  # read behind the end of a line
        self._left = 0  # of an unsigned chunk that is being passed on
        self._signed = memoryview(b"")  # what is left of a signed chunk
        self._done = False
        self._is_sealed = False  # the trailers' signature was there
        self.trailers: dict[str, str] = {}

    def readinto(self, view: memoryview) -> int:
        while not self._done:
            if self._left:
                return self._pass_on(view)
            if self._signed:
                return self._hand_out(view)
            length, signature = self._size_line()
            if self._signer is not None:
                self._take_signed(length, signature)
            self._left = 0 if self._signer is not None else length
            if not length:
                self._finish()
        return 0

    def _pass_on(self, view: memoryview) -> int:
        size = self._fill(view[: self._left])
        self._left -= size
        if not self._left:
            self._expect_line_end()
        return size

    def _hand_out(self, view: memoryview) -> int:
        size = min(len(view), len(self._signed))
        view[:size], self._signed = self._signed[:size], self._signed[size:]
        return size

    def _take_signed(self, length: int, signature: str) -> None:
        """Hold a whole chunk, as it comes, until its signature is checked."""
        assert self._signer is not None
        data = bytearray()
        unit = memoryview(bytearray(min(length, UNIT_SIZE)))
        while len(data) < length:
            data += unit[: self._fill(unit[: length - len(data)])]
        expected = self._signer.chunk(hashlib.sha256(data).hexdigest())
        if not hmac.compare_digest(expected, signature):
            raise _bad_signature()
        if length:
            self._expect_line_end()
        self._signed = memoryview(data)

    def _size_line(self) -> tuple[int, str]:
        head, _, extension = self._line().partition(b";")
        text = head.decode("latin-1")
        if not text or len(text) > 12 or any(c not in "0123456789abcdefABCDEF" for c in text):
            raise incomplete()
        length = int(text, 16)
        if self._signer is not None and length > CHUNK_SIZE_MAX:
            raise invalid("A signed chunk is too large.")
        name, _, signature = extension.decode("latin-1").partition("=")
        if self._signer is not None and name != "chunk-signature":
            raise _bad_signature()
        return length, signature

    def _finish(self) -> None:
        """Trailers until an empty line; the last may be their signature."""
        lines = bytearray()
        while self._has_trailers and (line := self._line()):
            if self._is_sealed:
                raise _malformed_trailer()
            name, _, value = line.decode("latin-1").partition(":")
            name = name.strip().lower()
            if name == "x-amz-trailer-signature":
                self._check_trailer(bytes(lines), value.strip())
                self._is_sealed = True
                continue
            if len(self.trailers) >= TRAILERS_MAX or not value or name in self.trailers:
                raise _malformed_trailer()
            self.trailers[name] = value.strip()
            lines += f"{name}:{value.strip()}\n".encode("latin-1")
        if self._signer is not None and self._has_trailers and not self._is_sealed:
            raise _bad_signature()
        if not self._has_trailers:
            self._expect_line_end()
        if self._ahead or self._source.readinto(memoryview(bytearray(1))):
            raise incomplete()
        self._done = True

    def _check_trailer(self, lines: bytes, signature: str) -> None:
        if self._signer is None or not hmac.compare_digest(self._signer.trailer(lines), signature):
            raise _bad_signature()

    def _line(self) -> bytes:
        more = memoryview(bytearray(LINE_AHEAD))
        while (end := self._ahead.find(b"\r\n")) < 0:
            if len(self._ahead) > LINE_MAX:
                raise incomplete()
            size = self._source.readinto(more)
            if not size:
                raise incomplete()
            self._ahead += more[:size]
        if end > LINE_MAX:
            raise incomplete()
        line = bytes(self._ahead[:end])
        del self._ahead[: end + 2]
        return line

    def _expect_line_end(self) -> None:
        if self._line():
            raise incomplete()

    def _fill(self, view: memoryview) -> int:
        """What was read ahead, and then what the source has; IncompleteBody at its end."""
        ahead = min(len(view), len(self._ahead))
        view[:ahead] = self._ahead[:ahead]
        del self._ahead[:ahead]
        if ahead == len(view):
            return ahead
        size = self._source.readinto(view[ahead:])
        if not size:
            raise incomplete()
        return ahead + size


def _bad_signature() -> ServiceError:
    return ServiceError(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check "
        "your key and signing method.",
        status=403,
    )
