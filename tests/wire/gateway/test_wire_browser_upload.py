"""S3's browser-based uploads, byte by byte: who signed, what the policy says, hostile forms."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import pytest

from bastide.wire.form_data import FilePart
from tests.wire.gateway.kit import (
    HOST,
    KEY,
    NOW,
    OTHER_KEY,
    REGION,
    SECRET,
    SESSION_KEY,
    SESSION_SECRET,
    TOKEN,
    Request,
)
from tests.wire.gateway.test_wire_bodies import Feed

BOUNDARY = "----WebKitFormBoundary7MA4YWxk"
FILE = bytes(range(256)) * 40
LATER = "2026-11-23T05:00:00.000Z"
IMAGES = ["starts-with", "$Content-Type", "image/"]
RANGE = "content-length-range"
DATE = f"{NOW:%Y%m%dT%H%M%SZ}"


def signature(policy: str, secret: str, scope: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, policy.encode(), "sha256").hex()


@dataclass
class Form:
    """As a page would send it; `sign` makes the policy of it, or of other `conditions`."""

    fields: dict[str, str] = field(default_factory=lambda: {"key": "user/report.txt"})
    file: bytes = FILE
    filename: str = "report.txt"
    after: dict[str, str] = field(default_factory=dict)
    end: bytes = b"\r\n--%s--\r\n" % BOUNDARY.encode()

    def sign(self, *, conditions=None, more=(), expiration=LATER, key=KEY, secret=SECRET,
             token=None, date=DATE, service="s3", bucket="shelf", policy=None):  # fmt: skip
        scope = f"{date[:8]}/{REGION.name}/{service}/aws4_request"
        said = dict(self.fields)
        self.fields |= {
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": f"{key}/{scope}",
            "x-amz-date": date,
        }
        if token:
            self.fields["x-amz-security-token"] = token
        if conditions is None:
            conditions = [{"bucket": bucket}, *({name: text} for name, text in said.items())]
        conditions += [{name: text} for name, text in self.fields.items() if name not in said]
        document = {"expiration": expiration, "conditions": [*conditions, *more]}
        text = json.dumps(document) if policy is None else policy
        self.fields["policy"] = base64.b64encode(text.encode()).decode()
        self.fields["x-amz-signature"] = signature(self.fields["policy"], secret, scope)
        return self

    def body(self) -> bytes:
        parts = [self._field(*pair) for pair in self.fields.items()]
        parts.append(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="{self.filename}"\r\nContent-Type: text/plain\r\n\r\n'.encode()
            + self.file
        )
        parts += [self._field(*pair) for pair in self.after.items()]
        return b"\r\n".join(parts) + self.end

    def _field(self, name: str, value: str) -> bytes:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        return (head + value).encode()

    def request(self, target="/shelf", host=HOST, body=None) -> Request:
        data = self.body() if body is None else body
        headers = [
            ("host", host),
            ("content-type", f"multipart/form-data; boundary={BOUNDARY}"),
            ("content-length", str(len(data))),
        ]
        return Request(method="POST", target=target, headers=headers, body=data)


def stored(data: bytes) -> bytes:
    return b"%d %s" % (len(data), hashlib.sha256(data).hexdigest().encode())


def refused(world, request, status: int, code: str, text: str = "", **options) -> None:
    answer = world.ask(request, **options)
    assert (answer.status, f"<Code>{code}</Code>" in answer.text) == (status, True), answer.text
    assert text in answer.text
    assert world.handlers.bodies == []


@pytest.mark.parametrize("part", [1, 7, 1000, 1 << 16])
def test_a_form_is_a_put_object(world, part):
    fields = {
        "key": "user/${filename}", "Content-Type": "text/plain", "x-amz-meta-note": "naïve",
        "x-ignore-me": "x",
    }  # fmt: skip
    conditions = [
        {"bucket": "shelf"}, ["starts-with", "$key", "user/"],
        ["eq", "$Content-Type", "text/plain"], ["STARTS-with", "$X-Amz-Meta-Note", ""],
    ]  # fmt: skip
    form = Form(fields, filename=r"C:\docs\a.txt").sign(conditions=conditions)
    answer = world.ask(form.request(), part=part)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["etag"] == '"e"'
    assert answer.headers["location"] == f"https://{HOST}/shelf/user/a.txt"
    assert world.handlers.bodies == [stored(FILE)]
    [call] = world.handlers.calls
    assert (call.operation, call.auth_type) == ("s3.PutObject", "POST")
    assert "x-amz-signature" not in call.headers
    assert world.auditor.kinds() == ["opened", "closed"]


def test_the_bucket_in_the_host(world):
    answer = world.ask(Form().sign().request("/", "shelf.s3.us-gov-west-1.amazonaws.com"))
    assert answer.status == 204
    assert answer.headers["location"].endswith("amazonaws.com/user/report.txt")


def test_a_session_signs_with_its_token(world):
    form = Form().sign(key=SESSION_KEY, secret=SESSION_SECRET, token=TOKEN)
    assert world.ask(form.request()).status == 204


@pytest.mark.parametrize(
    ("asked", "status"), [("200", 200), ("201", 201), ("204", 204), ("500", 204)]
)
def test_the_status_that_is_asked_for(world, asked, status):
    form = Form({"key": "a&b", "success_action_status": asked}).sign()
    answer = world.ask(form.request())
    assert answer.status == status
    if status == 201:
        assert "<Bucket>shelf</Bucket><Key>a&amp;b</Key>" in answer.text
        assert answer.headers["content-type"] == "application/xml"
    else:
        assert answer.body == b""


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://agency.example/done?x=1", "https://agency.example/done?x=1&bucket=shelf&key=k&etag=%22e%22"),
        ("http://agency.example", "http://agency.example?bucket=shelf&key=k&etag=%22e%22"),
        ("javascript:alert(1)", None),
        ("//agency.example/", None),
        ("http://[", None),
        ("https://agency.example/\r\nSet-Cookie: a=b", None),
    ],
)  # fmt: skip
def test_only_a_web_page_is_gone_to(world, url, location):
    answer = world.ask(Form({"key": "k", "success_action_redirect": url}).sign().request())
    assert answer.status == (303 if location else 204)
    assert answer.headers["location"] == (location or f"https://{HOST}/shelf/k")


def test_a_checksum_must_hold(world):
    right = base64.b64encode(hashlib.sha256(FILE).digest()).decode()
    form = Form({"key": "k", "x-amz-checksum-sha256": right}).sign()
    assert world.ask(form.request()).headers["x-amz-checksum-sha256"] == right
    world.handlers.bodies.clear()
    form = Form({"key": "k", "x-amz-checksum-sha256": right}, file=FILE + b"x").sign()
    refused(world, form.request(), 400, "BadDigest")


def altered(**fields):
    form = Form().sign()
    form.fields |= fields
    return form


@pytest.mark.parametrize(
    ("form", "status", "code", "text"),
    [
        (Form(), 403, "AccessDenied", "Missing Authentication Token"),
        (Form().sign(secret="wrong"), 403, "SignatureDoesNotMatch", ""),
        (Form().sign(key="AKIAIOSFODNN7NOBODY0"), 403, "InvalidAccessKeyId", ""),
        (Form().sign(key=SESSION_KEY, secret=SESSION_SECRET), 403, "InvalidAccessKeyId", ""),
        (Form().sign(service="sts"), 400, "AuthorizationHeaderMalformed", "s3"),
        (Form().sign(date="20261123T050000Z"), 403, "RequestTimeTooSkewed", ""),
        (Form().sign(date="20261115T040000Z"), 403, "AccessDenied", "expired"),
        (altered(policy="e30="), 403, "SignatureDoesNotMatch", ""),
        (altered(**{"x-amz-signature": "0" * 64}), 403, "SignatureDoesNotMatch", ""),
        (altered(**{"x-amz-date": ""}), 400, "InvalidArgument", "x-amz-date"),
        (altered(**{"x-amz-credential": "x"}), 400, "AuthorizationHeaderMalformed", ""),
        (Form({"key": "k", "AWSAccessKeyId": KEY, "policy": "e30=", "signature": "x"}), 400,
         "InvalidRequest", "signature_version='s3v4'"),
    ],
)  # fmt: skip
def test_who_is_not_believed(world, form, status, code, text):
    refused(world, form.request(), status, code, text)
    assert world.auditor.kinds() == ["rejected"]
    claimed = form.fields.get("x-amz-credential", "").partition("/")[0]
    assert world.auditor.facts[0]["access_key_id"] == claimed


@pytest.mark.parametrize(
    ("form", "code", "text"),
    [
        (Form().sign(expiration="2026-11-23T04:00:00Z"), "AccessDenied", "Policy expired."),
        (altered(key="other"), "AccessDenied", "Policy Condition failed: ["),
        (altered(acl="private"), "AccessDenied", "Extra input fields: acl"),
        (Form().sign(conditions=[{"key": "user/report.txt"}]), "AccessDenied",
         "Extra input fields: bucket"),
        (Form().sign(bucket="other"), "AccessDenied", "Policy Condition failed"),
        (Form().sign(more=[["starts-with", "$acl", ""]]), "AccessDenied", "$acl"),
        (Form({"key": "k", "Content-Type": "image/png,text/html"}).sign(
            conditions=[{"bucket": "shelf"}, {"key": "k"}, IMAGES]), "AccessDenied", "failed"),
        (Form().sign(more=[[RANGE, 0, len(FILE) - 1]]), "EntityTooLarge", "maximum"),
        (Form().sign(more=[[RANGE, len(FILE) + 1, 1 << 40]]), "EntityTooSmall", ""),
        (Form().sign(policy="{"), "InvalidPolicyDocument", ""),
        (Form().sign(policy="[" * 9000), "InvalidPolicyDocument", ""),
        (Form().sign(policy='{"conditions": []}'), "InvalidPolicyDocument", ""),
        (Form().sign(expiration="2026-11-23T05:00:00"), "InvalidPolicyDocument", ""),
        (Form().sign(more=[["ends-with", "$key", ""]]), "InvalidPolicyDocument", ""),
        (Form().sign(more=[["eq", "key", "user/report.txt"]]), "InvalidPolicyDocument", ""),
        (Form().sign(more=[{"a": "b", "c": "d"}]), "InvalidPolicyDocument", ""),
        (Form().sign(more=[["eq", "$key"]]), "InvalidPolicyDocument", ""),
        (Form().sign(more=[[RANGE, -1, "x"]]), "InvalidPolicyDocument", ""),
        (Form({}).sign(), "InvalidArgument", "key"),
        (Form({"key": "${filename}"}, filename="").sign(conditions=[
            {"bucket": "shelf"}, ["starts-with", "$key", ""]]), "InvalidArgument", ""),
        (Form({"key": "k", "x-amz-meta-a": "1\r\n2"}).sign(), "InvalidArgument", "control"),
        (Form({"key": "k", "x-amz-website-redirect-location": "/x"}).sign(),
         "UnsupportedOperation", "WebsiteRedirectLocation"),
    ],
)  # fmt: skip
def test_what_its_policy_or_we_do_not_take(world, form, code, text):
    status = {"AccessDenied": 403, "UnsupportedOperation": 501}.get(code, 400)
    refused(world, form.request(), status, code, text)
    assert world.auditor.kinds()[0] in ("denied", "opened")


def test_a_size_of_exactly_what_is_allowed(world):
    size = len(FILE)
    assert world.ask(Form().sign(more=[[RANGE, size, size]]).request()).status == 204
    assert world.ask(Form().sign(more=[[RANGE, "0", "20000"]]).request()).status == 204


def test_authorization_is_asked(world):
    world.authorizer.denies = True
    refused(world, Form().sign().request(), 403, "AccessDenied", "No policy allows it.")
    assert world.auditor.events == [("denied", "s3.PutObject", "AccessDenied")]


def test_another_agency_signs_for_itself(world):
    world.ask(Form().sign(key=OTHER_KEY).request())
    assert world.handlers.calls[0].account == "210987654321"


def test_over_plain_http_it_is_refused(world):
    request = Form().sign().request()
    request.scheme = "http"
    refused(world, request, 400, "AuthorizationHeaderMalformed", "TLS")


def test_an_unsigned_header_of_amazons_is_refused(world):
    request = Form().sign().request().set("x-amz-acl", "private")
    refused(world, request, 403, "AccessDenied", "not signed: x-amz-acl")


def test_what_comes_after_the_file_does_not_count(world):
    form = Form().sign()
    form.after = {"key": "other", "file": "again", "x-amz-acl": "public-read"}
    assert world.ask(form.request()).status == 204
    assert world.handlers.bodies == [stored(FILE)]


@pytest.mark.parametrize("file", [
    b"", b"\r\n", b"\r\n--", b"\r\n--" + BOUNDARY[:-1].encode(), b"--" + BOUNDARY.encode(),
    b"\r\r\n\r\n-" * 999, b"x" * (1 << 20), b"\r" * ((1 << 20) + 3), b"y" * ((3 << 20) - 31),
])  # fmt: skip
@pytest.mark.parametrize("part", [13, 1 << 16])
def test_whatever_the_file_holds(world, file, part):
    if len(file) > 1 << 16 and part == 13:
        part = 1009
    assert world.ask(Form(file=file).sign().request(), part=part).status == 204
    assert world.handlers.bodies == [stored(file)]


MARK = b"\r\n--x"


@pytest.mark.parametrize("step", range(1, 9))
@pytest.mark.parametrize("file", [b"", b"\r\n-", b"a\r\r\n--\r\n--y", b"abcdefgh"])
def test_the_end_of_a_file_is_found_wherever_it_is_cut(file, step):
    part = FilePart(Feed(file + MARK + b"--\r\n", step), MARK, (0, 100))
    view = memoryview(bytearray(3))
    found = b""
    while size := part.readinto(view):
        found += view[:size]
    assert found == file


SIGNED = Form().sign().body()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        SIGNED[:40],
        SIGNED.replace(Form().end, b""),
        SIGNED.replace(Form().end, b"\r\n--" + BOUNDARY.encode()),
        SIGNED.replace(Form().end, b"\r\n--" + BOUNDARY.encode() + b"X--\r\n"),
        SIGNED.replace(Form().end, b"\r\n--" + BOUNDARY.encode() + b"X" + Form().end),
        SIGNED + b"x" * 21_000,
        b"preamble" + SIGNED,
        SIGNED.replace(BOUNDARY.encode(), BOUNDARY.encode() + b"x", 1),
        SIGNED.replace(b'name="policy"', b'name="key"'),
        SIGNED.replace(b'name="policy"', b'name="KEY"'),
        SIGNED.replace(b'name="policy"', b'name="key'),
        SIGNED.replace(b'name="policy"', b'name=""'),
        SIGNED.replace(b'name="policy"', b'name="a"; name="b"'),
        SIGNED.replace(b'name="policy"', b"name=\"a\"; filename*=UTF-8''b"),
        SIGNED.replace(b"form-data;", b"attachment;", 1),
        SIGNED.replace(b"Content-Disposition", b"X", 1),
        SIGNED.replace(b"Content-Disposition", b"X: y\x00\r\nContent-Disposition", 1),
        SIGNED.replace(b"Content-", b"Content-Transfer-Encoding: base64\r\nContent-", 1),
        SIGNED.replace(b"Content-", b"Content-Disposition: form-data\r\nContent-", 1),
        SIGNED.replace(b"user/report.txt", b"user/\x00"),
        SIGNED.replace(b"user/report.txt", b"user/\xff"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("part", [11, 1 << 16])
def test_a_malformed_form(world, body, part):
    refused(world, Form().request(body=body), 400, "MalformedPOSTRequest", part=part)


@pytest.mark.parametrize("seed", range(4))
def test_a_form_altered_anywhere_is_refused_or_changes_the_file_alone(world, seed):
    chance = Random(seed)
    begin, end = SIGNED.index(FILE), SIGNED.index(FILE) + len(FILE)
    for _ in range(60):
        at = chance.choice([chance.randrange(begin), chance.randrange(len(SIGNED)), end])
        new = chance.choice([b"", b"\r\n", b"\0", b'"', b"--", SIGNED[: chance.randrange(200)]])
        body = SIGNED[:at] + new + SIGNED[at + chance.randrange(3) :]
        world.handlers.bodies.clear()
        answer = world.ask(Form().request(body=body), part=chance.choice([50, 4000]))
        assert answer.status in (204, 400, 403), answer.text
        assert bool(world.handlers.bodies) == (answer.status == 204)
    assert all(call.operation == "s3.PutObject" for call in world.handlers.calls)


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 71}",
        f"multipart/form-data; boundary={BOUNDARY}; boundary=x",
        'multipart/form-data; boundary="a\tb"',
        'multipart/form-data; boundary="x ',
    ],
)
def test_a_boundary_that_is_none(world, kind):
    refused(world, Form().sign().request().set("content-type", kind), 400, "MalformedPOSTRequest")


def test_no_file(world):
    end = f"--{BOUNDARY}--\r\n".encode()
    refused(world, Form().request(body=end), 400, "InvalidArgument", "exactly one file")


@pytest.mark.parametrize("fields", [
    {"key": "k" * 21_000},
    {f"x-ignore-{n}": "" for n in range(1000)},
    {"k" * 21_000: ""},
])  # fmt: skip
@pytest.mark.parametrize("part", [100, 1 << 16])
def test_too_much_before_the_file(world, fields, part):
    request = Form({**fields, "key2": "k"}).sign(conditions=[]).request()
    refused(world, request, 400, "MaxPostPreDataLengthExceeded", part=part)
    assert world.gateway._room.left == 256 * 1024 * 1024


def test_names_as_clients_write_them(world):
    body = Form().sign().body().replace(b'name="key"', b"name=key")
    body = body.replace(b'filename="report.txt"', rb'filename="a \"b\" \c.txt"')
    request = Form().request(body=b"\r\n" + body)
    request.set("Content-Type", f'Multipart/Form-Data; charset=utf-8; boundary="{BOUNDARY}"')
    assert world.ask(request).status == 204


@pytest.mark.parametrize("target", ["/", "/shelf/key", "/shelf?delete"])
def test_a_form_is_for_a_bucket(world, target):
    refused(
        world, Form().sign().request(target), 403, "AccessDenied", "Missing Authentication Token"
    )


def test_it_holds_for_as_long_as_its_policy(world):
    request = Form().sign(expiration="2026-11-29T00:00:00Z").request()
    world.clock.advance(timedelta(days=5).total_seconds())
    assert world.ask(request).status == 204
