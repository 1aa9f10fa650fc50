"""Bodies in every form: whole, cut short, altered, replayed, with checksums that do not hold."""

import asyncio
import base64
import gzip
import hashlib
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.kernel.errors import ServiceError, Unavailable
from bastide.wire import checksums
from bastide.wire.arrival import HELD_MAX, Arriving, Room, read_whole
from bastide.wire.payload import LINE_MAX, CheckedBody, Form, Promise, inflated, promise_of
from bastide.wire.sigv4 import ChunkSigner, Scope, signing_key
from bastide.wire.types import RawRequest
from tests.wire.gateway.chunks import Chunker
from tests.wire.gateway.kit import SECRET, Request

WHEN, REGION, SEED = "20261123T040000Z", "us-gov-west-1", "5" * 64
PARTS = [b"a" * 8192, b"b" * 8192, b"c" * 100]
WHOLE = b"".join(PARTS)
CRC = ("x-amz-checksum-crc32", "")


class Feed:
    """A source that gives `step` bytes at most."""

    def __init__(self, data: bytes, step: int = 1 << 20) -> None:
        self.data, self.step = data, step

    def readinto(self, view: memoryview) -> int:
        size = min(self.step, len(view), len(self.data))
        view[:size], self.data = self.data[:size], self.data[size:]
        return size


def sum_of(name: str, data: bytes) -> str:
    digest = checksums.ALGORITHMS[name]()
    digest.update(data)
    return checksums.as_text(digest.digest())


def signer() -> ChunkSigner:
    scope = Scope(WHEN[:8], REGION, "s3")
    return ChunkSigner(signing_key(SECRET, scope), WHEN, scope, SEED)


def made(form: Form, parts=PARTS, algorithm="CRC32") -> tuple[bytes, Promise]:
    signed = "HMAC" in form
    trailer = f"x-amz-checksum-{algorithm.lower()}" if "TRAILER" in form else ""
    chunker = Chunker(WHEN, REGION, SEED, SECRET if signed else None)
    pair = (trailer, sum_of(algorithm, b"".join(parts))) if trailer else None
    promise = Promise(form=form, size=sum(map(len, parts)), trailer=trailer,
                      signer=signer() if signed else None)  # fmt: skip
    return chunker.body(parts, pair), promise


def drained(data: bytes, promise: Promise, *, step: int = 1 << 20, size: int = 4096) -> bytes:
    body = CheckedBody(Feed(data, step), promise)
    found = b""
    while part := body.read(size):
        assert len(found) + len(part) <= (promise.size or 1 << 60), "more than was promised"
        found += part
    return found


def refused(data: bytes, promise: Promise, step: int = 1 << 20) -> str:
    """The code; asserts that what was wrong once stays wrong."""
    body = CheckedBody(Feed(data, step), promise)
    with pytest.raises(ServiceError) as error:
        body.read()
    with pytest.raises(ServiceError):
        body.read(4096)
    assert body.checksums == {}
    return error.value.code


CHUNKED = [Form.UNSIGNED_TRAILER, Form.SIGNED_CHUNKS, Form.SIGNED_CHUNKS_TRAILER]


@pytest.mark.parametrize("form", CHUNKED)
@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
def test_chunked_whole(form, step):
    data, promise = made(form)
    assert drained(data, promise, step=step) == WHOLE


@pytest.mark.parametrize("algorithm", sorted(checksums.ALGORITHMS))
@pytest.mark.parametrize("form", [Form.UNSIGNED_TRAILER, Form.SIGNED_CHUNKS_TRAILER])
def test_trailer_of_every_algorithm(form, algorithm):
    data, promise = made(form, algorithm=algorithm)
    body = CheckedBody(Feed(data), promise)
    assert body.read() == WHOLE
    assert body.checksums == {algorithm: sum_of(algorithm, WHOLE)}
    right, wrong = sum_of(algorithm, WHOLE), sum_of(algorithm, WHOLE + b"x")
    code = refused(data.replace(right.encode(), wrong.encode()), made(form, algorithm=algorithm)[1])
    assert code == ("BadDigest" if form == Form.UNSIGNED_TRAILER else "SignatureDoesNotMatch")


@pytest.mark.parametrize("form", CHUNKED)
def test_cut_short_anywhere(form):
    data, _ = made(form, [b"a" * 40, b"b" * 9])
    for end in range(len(data)):
        promise = made(form, [b"a" * 40, b"b" * 9])[1]
        assert refused(data[:end], promise) in ("IncompleteBody", "SignatureDoesNotMatch"), end


@pytest.mark.parametrize("form", CHUNKED)
@pytest.mark.parametrize("extra", [b"x", b"\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n"])
def test_bytes_after_the_end(form, extra):
    data, promise = made(form)
    assert refused(data + extra, promise) == "IncompleteBody"


@pytest.mark.parametrize("form", [Form.SIGNED_CHUNKS, Form.SIGNED_CHUNKS_TRAILER])
def test_every_altered_bit_of_a_signed_body(form):
    parts = [b"a" * 20, b"b" * 9]
    data, _ = made(form, parts)
    for index in range(len(data)):
        promise = made(form, parts)[1]
        altered = data[:index] + bytes([data[index] ^ 0x10]) + data[index + 1 :]
        if altered.lower() == data.lower():
            continue
        refused(altered, promise)


@pytest.mark.parametrize("form", [Form.SIGNED_CHUNKS, Form.SIGNED_CHUNKS_TRAILER])
def test_chunks_replayed_swapped_or_left_out(form):
    chunker = Chunker(WHEN, REGION, SEED, SECRET)
    first, second = chunker.chunk(b"a" * 16), chunker.chunk(b"b" * 16)
    last = chunker.chunk(b"") + b"\r\n"
    for wrong in (first + first + last, second + first + last, first + last, last):
        promise = made(form, [b"a" * 16, b"b" * 16])[1]
        assert refused(wrong, promise) == "SignatureDoesNotMatch"


def test_an_unsigned_chunk_is_no_signed_one():
    promise = made(Form.SIGNED_CHUNKS)[1]
    assert refused(b"5\r\nhello\r\n0\r\n\r\n", promise) == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    "line",
    [b"", b"-5", b"+5", b"0x5", b" 5", b"5 ", b"g", b"fffffffffffff", b"1_0", "٣".encode(), b"5\n",
     b"5" * (LINE_MAX + 1)],
)  # fmt: skip
@pytest.mark.parametrize("form", [Form.UNSIGNED_TRAILER, Form.SIGNED_CHUNKS])
def test_bad_size_lines(form, line):
    promise = made(form, [b"hello"])[1]
    assert refused(line + b"\r\nhello\r\n0\r\n\r\n", promise) == "IncompleteBody"


def test_a_line_without_end_is_not_kept_for_ever():
    source = Feed(b"1" * 10_000_000, 1 << 16)
    with pytest.raises(ServiceError):
        CheckedBody(source, made(Form.UNSIGNED_TRAILER)[1]).read(10)
    assert len(source.data) > 9_000_000


def test_a_signed_chunk_that_is_too_large_is_not_collected():
    source = Feed(b"%x;chunk-signature=%s\r\n" % (1 << 32, b"0" * 64) + b"x" * 1000)
    with pytest.raises(ServiceError, match="too large"):
        CheckedBody(source, made(Form.SIGNED_CHUNKS)[1]).read(10)


@pytest.mark.parametrize("size", [len(WHOLE) - 1, len(WHOLE) + 1, 0])
@pytest.mark.parametrize("form", CHUNKED)
def test_declared_length_that_is_not_kept(form, size):
    data, promise = made(form)
    other = Promise(form=form, size=size, trailer=promise.trailer, signer=promise.signer)
    assert refused(data, other) == "IncompleteBody"


TRAILERS = {
    "missing": b"",
    "no value": b"x-amz-checksum-crc32\r\n",
    "another": b"x-amz-checksum-sha1:2jmj7l5rSw0yVb/vlWAYkK/YBwk=\r\n",
    "one more": b"x-amz-checksum-crc32:AAAAAA==\r\nx-amz-meta-a:b\r\n",
    "twice": b"x-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:AAAAAA==\r\n",
    "many": b"".join(b"a%d:b\r\n" % n for n in range(1000)),
}


@pytest.mark.parametrize("name", sorted(TRAILERS))
def test_wrong_trailers(name):
    promise = Promise(form=Form.UNSIGNED_TRAILER, size=0, trailer="x-amz-checksum-crc32")
    assert drained(b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", promise) == b""
    assert refused(b"0\r\n" + TRAILERS[name] + b"\r\n", promise) == "MalformedTrailerError"


def test_trailers_after_their_signature_and_without():
    data, _ = made(Form.SIGNED_CHUNKS_TRAILER)
    more = data[:-2] + b"x-amz-meta-a:b\r\n\r\n"
    assert refused(more, made(Form.SIGNED_CHUNKS_TRAILER)[1]) == "MalformedTrailerError"
    bare = data[: data.index(b"x-amz-trailer-signature")] + b"\r\n"
    assert refused(bare, made(Form.SIGNED_CHUNKS_TRAILER)[1]) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("algorithm", sorted(checksums.ALGORITHMS))
def test_checksum_in_a_header(algorithm):
    good = Promise(sums={algorithm: sum_of(algorithm, WHOLE)})
    body = CheckedBody(Feed(WHOLE), good)
    assert body.read(10) == WHOLE[:10]
    assert body.checksums == {}
    body.read()
    assert body.checksums == good.sums
    assert refused(WHOLE + b"x", good) == "BadDigest"
    assert refused(WHOLE, Promise(sums={algorithm: "nonsense"})) == "BadDigest"


def test_hash_and_md5():
    digest = hashlib.sha256(WHOLE).hexdigest()
    assert drained(WHOLE, Promise(form=digest)) == WHOLE
    assert refused(WHOLE[1:], Promise(form=digest)) == "XAmzContentSHA256Mismatch"
    md5 = base64.b64encode(hashlib.md5(WHOLE, usedforsecurity=False).digest()).decode()
    assert drained(WHOLE, Promise(md5=md5)) == WHOLE
    assert refused(WHOLE[1:], Promise(md5=md5)) == "BadDigest"
    assert refused(WHOLE, Promise(size=5)) == "IncompleteBody"


def test_reading_nothing_is_not_the_end():
    body = CheckedBody(Feed(WHOLE), Promise(form=hashlib.sha256(b"").hexdigest()))
    assert body.read(0) == b""
    assert body.checksums == {}
    with pytest.raises(ServiceError):
        body.read()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5), st.sampled_from(CHUNKED),
       st.integers(1, 300), st.integers(1, 300))  # fmt: skip
def test_any_framing(parts, form, step, size):
    data, promise = made(form, parts)
    assert drained(data, promise, step=step, size=size) == b"".join(parts)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(CHUNKED), st.integers(1, 20))
def test_rubbish_is_refused_and_nothing_else(data, form, step):
    body = CheckedBody(Feed(data, step), made(form)[1])
    with pytest.raises(ServiceError):
        body.read()


def raw(*headers) -> RawRequest:
    return RawRequest(method="PUT", raw_path="/b/k", raw_query="", headers=headers, secure=True,
                      source_ip="")  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        [("x-amz-checksum-crc32", "a"), ("x-amz-checksum-sha1", "b")],
        [("x-amz-checksum-crc32", "a"), ("x-amz-trailer", "x-amz-checksum-crc32")],
        [("x-amz-checksum-xxhash64", "a")],
        [("x-amz-trailer", "x-amz-meta-a")],
        [("x-amz-trailer", "x-amz-checksum-crc32,x-amz-checksum-sha1")],
        [("x-amz-decoded-content-length", "-1")],
        [("x-amz-decoded-content-length", "1e3")],
        [("x-amz-decoded-content-length", "²")],
        [("x-amz-decoded-content-length", "9" * 16)],
    ],
)
def test_promises_that_contradict_themselves(headers):
    with pytest.raises(ServiceError) as error:
        promise_of(raw(*headers), Form.UNSIGNED_TRAILER, None)
    assert error.value.code in ("InvalidRequest", "InvalidArgument")


def test_a_checksum_of_the_object_is_not_one_of_the_request(world):
    """CompleteMultipartUpload's header has the checksum of all parts together."""
    body = b"<CompleteMultipartUpload></CompleteMultipartUpload>"
    headers = [("x-amz-checksum-crc32", "AAAAAA==")]
    answer = world.ask(Request("POST", "/bucket/key?uploadId=1", headers, body).sign())
    assert answer.status == 200, answer.text


def test_put_object_over_http_in_every_form(world):
    def put(body, **headers):
        request = Request("PUT", "/bucket/key", [(k.replace("_", "-"), v) for k, v in
                                                 headers.items()], body)  # fmt: skip
        return request

    length = str(len(WHOLE))
    for form in CHUNKED:
        data, _ = made(form)
        request = put(data, x_amz_decoded_content_length=length, content_encoding="aws-chunked")
        if "TRAILER" in form:
            request.set("x-amz-trailer", "x-amz-checksum-crc32")
        request.sign(form=str(form))
        seed = request.get("authorization")[-64:]
        if "HMAC" in form:
            chunker = Chunker(WHEN, REGION, seed, SECRET)
            crc = ("x-amz-checksum-crc32", sum_of("CRC32", WHOLE))
            request.body = chunker.body(PARTS, crc if "TRAILER" in form else None)
            request.scheme = "http"
        answer = world.ask(request)
        assert answer.status == 200, answer.text
        request.body = request.body.replace(b"aaaa", b"aaab", 1)
        answer = world.ask(request)
        assert answer.status in (400, 403)
    assert len(world.handlers.bodies) == 3


async def held(room, parts, source="192.0.2.1"):
    async def receive():
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    return await read_whole(receive, 1000, None, room, source)


def test_room_is_shared_and_comes_back():
    room = Room(200)
    assert asyncio.run(held(room, [b"x" * 60, b"y" * 40])) == b"x" * 60 + b"y" * 40
    assert room.left == 200
    with pytest.raises(Unavailable):
        asyncio.run(held(room, [b"x" * 60, b"y" * 41]))
    assert room.left == 200


def test_one_source_leaves_room_for_the_others():
    room = Room(200)
    room.take("198.51.100.9", 100)
    with pytest.raises(Unavailable):
        asyncio.run(held(room, [b"x"], "198.51.100.9"))
    assert asyncio.run(held(room, [b"x" * 50])) == b"x" * 50


def test_a_stranger_is_refused_before_a_byte_of_its_body_is_held(world):
    request = Request("POST", "/", [("x-amz-target", "SageMaker.CreateModel")], b"x" * 5_000_000,
                      "sagemaker").sign(key="AKIAIOSFODNN7UNKNOWN")  # fmt: skip

    async def never():
        raise AssertionError("the body was read")

    async def drop(message):
        statuses.append(message.get("status"))

    statuses: list = []
    asyncio.run(world.gateway(request.scope(), never, drop))
    assert statuses[0] == 403


def test_too_large_by_its_own_word(world):
    request = Request("POST", "/", [("x-amz-target", "SageMaker.CreateModel")], b"{}", "sagemaker")
    request.sign()
    request.set("content-length", str(11 << 20))
    assert world.ask(request).status == 413


def test_arriving_holds_back_a_fast_sender():
    async def main():
        arriving = Arriving(asyncio.get_running_loop())
        total, sent, peak = 64, 0, 0

        async def receive():
            nonlocal sent, peak
            sent += 1
            peak = max(peak, arriving._held)
            return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": sent < total}

        size = 0

        def read():
            nonlocal size
            while taken := arriving.readinto(memoryview(bytearray(1 << 18))):
                size += taken

        pump = asyncio.create_task(arriving.pump(receive))
        await asyncio.get_running_loop().run_in_executor(None, read)
        await pump
        assert size == total << 20
        assert peak <= HELD_MAX

    asyncio.run(main())


def test_arriving_that_is_abandoned_wakes_its_reader():
    async def main():
        arriving = Arriving(asyncio.get_running_loop())
        started = threading.Event()

        def read():
            started.set()
            arriving.readinto(memoryview(bytearray(10)))

        work = asyncio.get_running_loop().run_in_executor(None, read)
        started.wait()
        arriving.abandon()
        with pytest.raises(ServiceError):
            await work

    asyncio.run(main())


def test_compressed_bodies_are_bounded():
    bomb = gzip.compress(bytes(50_000_000))
    for wrong in (bomb, b"rubbish", gzip.compress(b"a")[:-1], gzip.compress(b"a") + b"x", b""):
        with pytest.raises(ServiceError):
            inflated(wrong, 1 << 20)
    assert inflated(gzip.compress(b"hello"), 1 << 20) == b"hello"


@pytest.mark.parametrize("md5", ["", "YWJj", "rubbish!", "AAAAAAAAAAAAAAAAAAAAAA"])
def test_a_content_md5_that_is_none(md5):
    headers = (("content-md5", md5), ("content-length", "1"))
    raw = RawRequest(
        method="PUT", raw_path="/b/k", raw_query="", headers=headers, secure=True, source_ip=""
    )
    with pytest.raises(ServiceError) as error:
        promise_of(raw, "", None)
    assert error.value.code == "InvalidDigest"
