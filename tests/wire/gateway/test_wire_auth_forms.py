"""Every form of authentication with operations of every protocol: denied unless it is right."""

import hmac
import json
import re
from datetime import timedelta

import pytest

from bastide.wire import cbor
from tests.wire.gateway.kit import (
    BEARER,
    KEY,
    NOW,
    SECRET,
    SESSION_KEY,
    SESSION_SECRET,
    TOKEN,
    Request,
)

FORM = ("content-type", "application/x-www-form-urlencoded; charset=utf-8")
MESSAGES = json.dumps({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}).encode()


def requests():
    """An operation of each protocol and shape, by name; new each time."""
    json11 = ("content-type", "application/x-amz-json-1.1")
    target = ("x-amz-target", "SageMaker.ListTrainingJobs")
    metrics = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
    cbor = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")]
    return {
        "s3.ListBuckets": Request("GET", "/"),
        "s3.GetObject": Request("GET", "/bucket/a%20b/c"),
        "s3.PutObject": Request("PUT", "/bucket/key", body=b"hello"),
        "sagemaker.ListTrainingJobs": Request(
            "POST", "/", [json11, target], b"{}", service="sagemaker"
        ),
        "sts.GetCallerIdentity": Request(
            "POST", "/", [FORM], b"Action=GetCallerIdentity&Version=2011-06-15", service="sts"
        ),
        "cloudwatch.ListMetrics": Request("POST", metrics, cbor, b"\xa0", service="monitoring"),
        "bedrock.ListFoundationModels": Request("GET", "/foundation-models", service="bedrock"),
        "bedrock-runtime.ConverseStream": Request(
            "POST",
            "/model/a.b%3A0/converse-stream",
            [("content-type", "application/json")],
            MESSAGES,
            service="bedrock",
        ),
        "bedrock-mantle.CreateChatCompletion": Request(
            "POST",
            "/openai/v1/chat/completions",
            [("content-type", "application/json")],
            b'{"model":"m","messages":[{}]}',
            service="bedrock-mantle",
        ),
        "bedrock-agent.ListAgents": Request(
            "POST", "/agents/", [("content-type", "application/json")], b"{}", service="bedrock"
        ),
    }


OPERATIONS = sorted(requests())


def fresh(name):
    return requests()[name]


def code_of(answer) -> str:
    text = answer.text
    if kind := answer.headers.get("x-amzn-errortype"):
        return kind
    if found := re.search(r"<Code>([^<]*)</Code>", text):
        return found.group(1)
    if answer.headers.get("content-type") == "application/cbor":
        return cbor.loads(answer.body)["__type"].partition("#")[2]
    return ""


@pytest.mark.parametrize("name", OPERATIONS)
def test_good_signature_reaches_the_handler(world, name):
    answer = world.ask(fresh(name).sign())
    assert answer.status == 200, answer.text
    assert world.handlers.reached == [name]
    assert world.auditor.kinds() == ["opened", "closed"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_good_session_reaches_the_handler(world, name):
    answer = world.ask(fresh(name).sign(key=SESSION_KEY, secret=SESSION_SECRET, token=TOKEN))
    assert answer.status == 200, answer.text
    assert world.handlers.reached == [name]
    held = world.handlers.calls[0].headers
    assert not {"authorization", "x-amz-security-token"} & held.keys()


def _altered(request, name, value):
    return request.sign().set(name, value)


def _altered_body(request):
    request.sign()
    request.body = request.body[:-1] + b"~" if request.body else b"x"
    return request


def _altered_target(request, old, new):
    request.sign()
    request.target = request.target.replace(old, new, 1)
    return request


def _signature(request):
    request.sign()
    value = request.get("authorization")
    last = "0" if value[-1] != "0" else "1"
    return request.set("Authorization", value[:-1] + last)


def _twice(request):
    request.sign()
    request.headers.append(("Authorization", request.get("authorization")))
    return request


def _without_signed_host(request):
    request.sign()
    value = request.get("authorization")
    return request.set(
        "Authorization", re.sub(r"SignedHeaders=[^,]*", "SignedHeaders=x-amz-date", value)
    )


def _bearer(request, token=BEARER, scheme="https"):
    request.set("host", "localhost").set("authorization", f"Bearer {token}")
    request.scheme = scheme
    return request


def _plain_unsigned(request):
    request.scheme = "http"
    return request.sign(form="UNSIGNED-PAYLOAD")


def _version_2_query(request):
    request.target += "?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=abc&Expires=99"
    return request.set("host", "localhost")


def _both(request):
    request.sign()
    request.target += ("&" if "?" in request.target else "?") + "X-Amz-Algorithm=AWS4-HMAC-SHA256"
    return request


SKEW = timedelta(minutes=15, seconds=1)
# name → what is done to a request; codes for S3, query, and the others
BAD = {
    "none": (lambda r: r.set("host", "localhost"),
             "AccessDenied MissingAuthenticationToken MissingAuthenticationTokenException"),
    "wrong key": (lambda r: r.sign(key="AKIAIOSFODNN7UNKNOWN"),
                  "InvalidAccessKeyId InvalidClientTokenId UnrecognizedClientException"),
    "wrong secret": (lambda r: r.sign(secret=SECRET + "x"), "SIG"),
    "other region": (lambda r: r.sign(region="us-east-1"), "SCOPE"),
    "other service": (lambda r: r.sign(service="dynamodb"), None),
    "slow clock": (lambda r: r.sign(at=NOW - SKEW), "SKEW"),
    "fast clock": (lambda r: r.sign(at=NOW + SKEW), "SKEW"),
    "far future": (lambda r: r.sign(at=NOW.replace(year=9999)), "SKEW"),
    "header altered": (lambda r: _altered(r, "X-Amz-Date", "20261123T040001Z"), "SIG"),
    "host altered": (lambda r: _altered(r, "host", "evil:4566"), "SIG"),
    "host not signed": (_without_signed_host, "MAL"),
    "signature altered": (_signature, "SIG"),
    "body altered": (_altered_body, None),
    "query added": (lambda r: _altered_target(r, "", "/?a=b"), None),
    "path altered": (lambda r: _altered_target(r, "/", "/x"), None),
    "dots added": (lambda r: _altered_target(r, "/", "/x/../"), None),
    "x-amz header added": (lambda r: _altered(r, "x-amz-acl", "public-read"),
                           "AccessDenied SignatureDoesNotMatch InvalidSignatureException"),
    "unsigned over http": (_plain_unsigned, "MAL"),
    "presigned expired": (lambda r: r.presign(at=NOW - timedelta(hours=1)), None),
    "presigned future": (lambda r: r.presign(at=NOW + SKEW), "SKEW"),
    "presigned in 9999": (lambda r: r.presign(at=NOW.replace(year=9999), expires=604800), "SKEW"),
    "presigned too long": (lambda r: r.presign(expires=604801), None),
    "presigned absurdly long": (lambda r: r.presign(expires=int("1" + "0" * 40)), None),
    "presigned wrong secret": (lambda r: r.presign(secret="x"), "SIG"),
    "bearer wrong": (lambda r: _bearer(r, "bedrock-api-key-x"), None),
    "bearer empty": (lambda r: _bearer(r, ""), None),
    "bearer over http": (lambda r: _bearer(r, scheme="http"), None),
    "version 2 header": (lambda r: r.set("host", "h").set("authorization", f"AWS {KEY}:abc"), None),
    "version 2 query": (_version_2_query, None),
    "basic": (lambda r: r.set("host", "h").set("authorization", "Basic abc"), None),
    "two authorizations": (_twice, None),
    "header and query": (_both, None),
    "session without token": (lambda r: r.sign(key=SESSION_KEY, secret=SESSION_SECRET), None),
    "session with other token": (
        lambda r: r.sign(key=SESSION_KEY, secret=SESSION_SECRET, token=TOKEN + "x"), None),
    "key with token": (lambda r: r.sign(token=TOKEN), None),
    "token altered": (lambda r: r.sign(key=SESSION_KEY, secret=SESSION_SECRET, token=TOKEN)
                      .set("X-Amz-Security-Token", TOKEN[:-1]), None),
}  # fmt: skip
SAME = {
    "SIG": "SignatureDoesNotMatch SignatureDoesNotMatch InvalidSignatureException",
    "SCOPE": "AuthorizationHeaderMalformed SignatureDoesNotMatch InvalidSignatureException",
    "SKEW": "RequestTimeTooSkewed SignatureDoesNotMatch InvalidSignatureException",
    "MAL": "AuthorizationHeaderMalformed IncompleteSignature IncompleteSignature",
}


def test_s3_says_which_region_it_is(world):
    """Its clients read it from there, and sign anew."""
    name = next(one for one in OPERATIONS if one.startswith("s3"))
    answer = world.ask(fresh(name).sign(region="us-east-1"))
    assert "<Region>us-gov-west-1</Region>" in answer.text
    assert "the region 'us-east-1' is wrong; expecting 'us-gov-west-1'" in answer.text


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("form", sorted(BAD))
def test_everything_else_is_refused(world, name, form):
    spoil, codes = BAD[form]
    answer = world.ask(spoil(fresh(name)))
    assert 400 <= answer.status < 500, (answer.status, answer.text)
    if codes is not None:
        wanted = SAME.get(codes, codes).split()
        kind = 0 if name.startswith("s3") else 1 if name.startswith("sts") else 2
        assert code_of(answer) == wanted[kind]
    assert world.handlers.bodies == []
    assert SECRET not in answer.text
    if (name, form) == ("s3.PutObject", "body altered"):
        return  # its body is checked while the handler reads it
    assert world.handlers.reached == []
    assert len(world.auditor.kinds()) == 1
    assert world.auditor.kinds()[0] in ("rejected", "denied")


@pytest.mark.parametrize("name", OPERATIONS)
def test_policies_deny(world, name):
    world.authorizer.denies = True
    answer = world.ask(fresh(name).sign())
    assert answer.status == 403
    assert world.handlers.reached == []
    assert world.auditor.events == [("denied", name, "AccessDenied")]


@pytest.mark.parametrize("name", OPERATIONS)
def test_bearer_is_for_bedrock_and_its_runtime(world, name):
    answer = world.ask(_bearer(fresh(name)))
    allowed = name.startswith(("bedrock.", "bedrock-mantle.", "bedrock-runtime."))
    assert (answer.status == 200) == allowed, answer.text
    assert world.handlers.reached == ([name] if allowed else [])
    assert len(world.auditor.kinds()) == (2 if allowed else 1)


def test_presigned_get(world):
    assert world.ask(fresh("s3.GetObject").presign()).status == 200
    long = fresh("s3.GetObject").presign(at=NOW - timedelta(days=6), expires=604800)
    assert world.ask(long).status == 200
    session = fresh("s3.GetObject").presign(key=SESSION_KEY, secret=SESSION_SECRET, token=TOKEN)
    assert world.ask(session).status == 200


def test_presigned_put_takes_any_body_over_tls_only(world):
    put = fresh("s3.PutObject")
    put.body = b""
    put.presign()
    put.body = b"anything"
    assert world.ask(put).status == 200
    put.scheme = "http"
    assert world.ask(put).status == 400


def test_presigned_with_a_hash_that_was_not_signed(world):
    request = fresh("s3.GetObject").presign()
    assert world.ask(request.set("x-amz-content-sha256", "0" * 64)).status == 403


def test_presigned_twice_the_same_field(world):
    request = fresh("s3.GetObject").presign()
    request.target += "&X-Amz-Expires=604800"
    assert world.ask(request).status == 400


def test_plus_is_a_space_before_and_after_the_signature(world):
    """`%2B` that a man in the middle makes `+` would be read as a space."""
    request = Request("GET", "/bucket/key?response-content-type=a%2Bb").sign()
    request.target = request.target.replace("%2B", "+")
    assert world.ask(request).status == 403


def test_bytes_that_are_no_text_are_told_apart(world):
    request = Request("GET", "/bucket/key?response-content-type=a%FF").sign()
    request.target = request.target.replace("%FF", "%FE")
    assert world.ask(request).status == 403


def test_an_unknown_key_costs_the_work_of_a_known_one(world, monkeypatch):
    """Counted, not timed: the look-ups and the HMACs of a wrong signature, whoever's it is."""
    made = []
    digest = hmac.digest
    monkeypatch.setattr(hmac, "digest", lambda *given: made.append(1) or digest(*given))
    for seed in (requests()["sagemaker.ListTrainingJobs"], Request("PUT", "/b/k", [], b"x")):
        work = {}
        for key in (KEY, "AKIAIOSFODNN7UNKNOWN", KEY, "AKIAIOSFODNN7UNKNOWN"):
            request = Request(seed.method, seed.target, list(seed.headers), seed.body, seed.service)
            request.sign(key=key, secret="w" * 40)
            before, finds = len(made), world.credentials.finds
            assert world.ask(request).status in (400, 403)
            work[key] = (len(made) - before, world.credentials.finds - finds)
        assert work[KEY] == work["AKIAIOSFODNN7UNKNOWN"]
        assert work[KEY] > (0, 0)
