"""Signature Version 4 against what AWS published, against botocore and against awscrt."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSignedBodyHeaderType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.http import HttpHeaders, HttpRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.kernel.call import Credential
from bastide.kernel.errors import ServiceError
from bastide.wire import sigv4
from bastide.wire.authenticate import Authenticator, needs_body
from bastide.wire.payload import CheckedBody, promise_of
from bastide.wire.types import RawRequest
from tests.wire.gateway.chunks import Chunker
from tests.wire.gateway.kit import (
    KEY,
    NOW,
    PRINCIPAL,
    REGION,
    SECRET,
    SIGNING,
    Request,
    StubCredentials,
)

VECTORS = json.loads((Path(__file__).parent / "sigv4_vectors.json").read_text())["vectors"]
SUITE_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SUITE_TIME = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
# What we refuse before any arithmetic: a path that is not the one it is signed as, and a token
# that is not under the signature (for AWS IoT only).
REFUSED = {"get-relative-normalized", "get-relative-relative-normalized",
           "get-slash-dot-slash-normalized", "get-slash-normalized",
           "get-slash-pointless-dot-normalized", "get-slashes-normalized",
           "post-sts-header-after"}  # fmt: skip


class OneKey:
    def __init__(self, secret):
        self.secret = secret

    def find(self, access_key_id, session_token, now):
        return Credential(self.secret, PRINCIPAL)


def authenticator(secret, region, services=SIGNING):
    return Authenticator(
        credentials=OneKey(secret), services=services, regions={"": frozenset({region})}
    )


def parsed(text: str) -> tuple[RawRequest, bytes]:
    head, _, body = text.partition("\n\n")
    first, *lines = head.encode().decode("latin-1").split("\n")
    method, rest = first.split(" ", 1)
    path, _, query = rest.rpartition(" ")[0].partition("?")
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith(" "):
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {line.strip()}")
            continue
        name, _, value = line.partition(":")
        headers.append((name.lower(), value.strip()))
    return raw_of(method, path, query, headers), body.encode()


def raw_of(method, path, query, headers) -> RawRequest:
    return RawRequest(method=method, raw_path=path, raw_query=query, headers=tuple(headers),
                      secure=True, source_ip="")  # fmt: skip


def verified(judge, raw, body, now):
    claim = judge.claim(raw)
    return judge.verify(raw, claim, body if needs_body(raw, claim) else None, now)


@pytest.mark.parametrize("kind", ["header", "query"])
@pytest.mark.parametrize("name", sorted(VECTORS.keys() - REFUSED))
def test_official_vectors_are_accepted(name, kind):
    raw, body = parsed(VECTORS[name][f"{kind}_request"])
    judge = authenticator(SUITE_SECRET, "us-east-1", frozenset({"service"}))
    if kind == "query" and "x-amz-content-sha256" in dict(raw.headers):
        pytest.skip("no such vector")
    assert verified(judge, raw, body, SUITE_TIME).signing_name == "service"
    with pytest.raises(ServiceError, match="Signature"):
        verified(authenticator("other", "us-east-1", frozenset({"service"})), raw, body, SUITE_TIME)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_official_vectors_that_are_ambiguous_are_refused(name):
    raw, body = parsed(VECTORS[name]["header_request"])
    judge = authenticator(SUITE_SECRET, "us-east-1", frozenset({"service"}))
    with pytest.raises(ServiceError):
        verified(judge, raw, body, SUITE_TIME)


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_arithmetic_is_that_of_the_vectors(name):
    vector = VECTORS[name]
    raw, _ = parsed(vector["header_request"])
    *_, signed, payload = vector["header_canonical"].split("\n")
    signed = tuple(signed.split(";"))
    canonical = sigv4.canonical_request(
        raw.method,
        sigv4.canonical_path(raw.raw_path, is_s3=False),
        sigv4.canonical_query(raw.raw_query),
        sigv4.canonical_headers(raw.headers, signed),
        signed,
        payload,
    )
    scope = sigv4.Scope("20150830", "us-east-1", "service")
    text = sigv4.string_to_sign("20150830T123600Z", scope, canonical)
    assert canonical == vector["header_canonical"]
    assert text == vector["header_to_sign"]
    key = sigv4.signing_key(SUITE_SECRET, scope)
    assert sigv4.sign(key, text) == vector["header_signature"]


# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
EMPTY = sigv4.EMPTY_SHA256
S3_TIME = datetime(2013, 5, 24, tzinfo=UTC)
S3_HOST = ("host", "examplebucket.s3.amazonaws.com")
S3_DATE = ("x-amz-date", "20130524T000000Z")
S3_EXAMPLES = {
    "get": ("GET", "/test.txt", "",
            [("range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY)],
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    "put": ("PUT", "/test$file.text", "",
            [("date", "Fri, 24 May 2013 00:00:00 GMT"),
             ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
             ("x-amz-content-sha256",
              "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")],
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    "lifecycle": ("GET", "/", "lifecycle", [("x-amz-content-sha256", EMPTY)],
                  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    "list": ("GET", "/", "max-keys=2&prefix=J", [("x-amz-content-sha256", EMPTY)],
             "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
}  # fmt: skip


def authorization(signed, signature):
    return ("authorization",
            f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request,"
            f"SignedHeaders={signed},Signature={signature}")  # fmt: skip


@pytest.mark.parametrize("name", sorted(S3_EXAMPLES))
def test_s3_examples_of_the_documentation(name):
    method, path, query, headers, signature = S3_EXAMPLES[name]
    headers = [S3_HOST, S3_DATE, *headers]
    signed = ";".join(sorted(key for key, _ in headers))
    raw = raw_of(method, path, query, [*headers, authorization(signed, signature)])
    verified(authenticator(SECRET, "us-east-1"), raw, b"", S3_TIME)


def test_s3_presigned_example_of_the_documentation():
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}%2F20130524%2Fus-east-1%2Fs3%2F"
        "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&"
        "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    raw = raw_of("GET", "/test.txt", query, [S3_HOST])
    judge = authenticator(SECRET, "us-east-1")
    assert verified(judge, raw, b"", S3_TIME).form == "UNSIGNED-PAYLOAD"
    assert verified(judge, raw, b"", S3_TIME.replace(day=25))
    with pytest.raises(ServiceError, match="expired"):
        verified(judge, raw, b"", S3_TIME.replace(day=25, second=1))


# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html (and -trailers.html)
CHUNKED = {
    "": (
        [("content-length", "66824")],
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ],
        None,
    ),
    "-TRAILER": (
        [("x-amz-trailer", "x-amz-checksum-crc32c")],
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ],
        "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435",
    ),
}


@pytest.mark.parametrize("variant", sorted(CHUNKED))
def test_chunked_examples_of_the_documentation(variant):
    extra, seed, signatures, trailer = CHUNKED[variant]
    headers = [
        ("host", "s3.amazonaws.com"), S3_DATE, ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", f"STREAMING-AWS4-HMAC-SHA256-PAYLOAD{variant}"),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"), *extra,
    ]  # fmt: skip
    signed = ";".join(sorted(key for key, _ in headers))
    raw = raw_of("PUT", "/examplebucket/chunkObject.txt", "",
                 [*headers, authorization(signed, seed)])  # fmt: skip
    sender = verified(authenticator(SECRET, "us-east-1"), raw, None, S3_TIME)
    body = b""
    for part, signature in zip([b"a" * 65536, b"a" * 1024, b""], signatures, strict=True):
        body += b"%x;chunk-signature=%s\r\n%s" % (len(part), signature.encode(), part)
        body += b"\r\n" if part else b""
    if trailer:
        body += b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
        body += b"x-amz-trailer-signature:" + trailer.encode() + b"\r\n"
    body += b"\r\n"
    assert len(body) == 66824 or trailer
    ours = Chunker("20130524T000000Z", "us-east-1", seed, SECRET)
    crc = ("x-amz-checksum-crc32c", "sOO8/Q==") if trailer else None
    assert ours.body([b"a" * 65536, b"a" * 1024], crc) == body
    checked = CheckedBody(Feed(body), promise_of(raw, sender.form, sender.signer))
    assert checked.read() == b"a" * 66560
    assert checked.checksums == ({"CRC32C": "sOO8/Q=="} if trailer else {})


class Feed:
    def __init__(self, data):
        self.data = data

    def readinto(self, view):
        size = min(len(view), len(self.data))
        view[:size], self.data = self.data[:size], self.data[size:]
        return size


JUDGE = Authenticator(
    credentials=StubCredentials(), services=SIGNING, regions={"": frozenset({REGION.name})}
)
WORD = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
LABEL = WORD.filter(lambda t: t not in ("", ".", "..")).map(lambda t: quote(t, safe="-_.~"))
PATH = st.lists(LABEL, max_size=5).map(lambda parts: "/" + "/".join(parts))
PAIR = st.tuples(WORD, WORD).map(lambda p: f"{quote(p[0], safe='-_.~')}={quote(p[1], safe='-_.~')}")
# a name that signing adds itself is refused by awscrt and means another signature to us
OTHERS = PAIR.filter(lambda p: p[0] != "=" and not p.lower().startswith("x-amz-"))
QUERY = st.lists(OTHERS, max_size=5, unique=True).map("&".join)
TOKEN_NAME = st.from_regex(r"x-(amz-meta|custom)-[a-z0-9-]{1,8}", fullmatch=True)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
HEADERS = st.dictionaries(TOKEN_NAME, VALUE, max_size=4).map(lambda d: list(d.items()))
SERVICES = st.sampled_from(["s3", "bedrock", "sagemaker", "sts", "monitoring"])
METHODS = st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"])


def raw_from(request: Request) -> RawRequest:
    path, _, query = request.target.partition("?")
    headers = [(k.lower(), v.strip()) for k, v in request.headers]
    return raw_of(request.method, path, query, headers)


@settings(max_examples=300, deadline=None)
@given(METHODS, PATH, QUERY, HEADERS, st.binary(max_size=50), SERVICES)
def test_botocore_agrees(method, path, query, headers, body, service):
    target = f"{path}?{query}" if query else path
    request = Request(method, target, list(headers), body, service).sign()
    verified(JUDGE, raw_from(request), body, NOW)


@settings(max_examples=150, deadline=None)
@given(METHODS, PATH, st.integers(1, 604800), SERVICES)
def test_botocore_agrees_on_presigned_urls(method, path, expires, service):
    request = Request(method, path, [], b"", service).presign(expires=expires)
    verified(JUDGE, raw_from(request), b"", NOW)


@settings(max_examples=150, deadline=None)
@given(METHODS, PATH, QUERY, HEADERS, SERVICES, st.booleans())
def test_awscrt_agrees(method, path, query, headers, service, in_query):
    target = f"{path}?{query}" if query else path
    is_s3 = service == "s3"
    kind = "HTTP_REQUEST_QUERY_PARAMS" if in_query else "HTTP_REQUEST_HEADERS"
    body_header = "X_AMZ_CONTENT_SHA_256" if is_s3 and not in_query else "NONE"
    config = AwsSigningConfig(
        algorithm=AwsSigningAlgorithm.V4,
        signature_type=getattr(AwsSignatureType, kind),
        credentials_provider=AwsCredentialsProvider.new_static(KEY, SECRET),
        region=REGION.name,
        service=service,
        date=NOW,
        use_double_uri_encode=not is_s3,
        should_normalize_uri_path=not is_s3,
        signed_body_value="UNSIGNED-PAYLOAD" if is_s3 and in_query else EMPTY,
        signed_body_header_type=getattr(AwsSignedBodyHeaderType, body_header),
        expiration_in_seconds=600 if in_query else None,
    )
    made = HttpRequest(method, target, HttpHeaders([("host", "localhost"), *headers]))
    aws_sign_request(made, config).result(10)
    path, _, query = made.path.partition("?")
    raw = raw_of(made.method, path, query, [(k.lower(), v.strip()) for k, v in made.headers])
    verified(JUDGE, raw, b"", NOW)
