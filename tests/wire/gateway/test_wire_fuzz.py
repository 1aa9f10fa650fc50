"""Seeded mutations of good requests of every protocol, before and after they are signed: whatever
comes, it is no crash, no answer of ours that says 5xx (but 501 and 503), and never unaudited."""

import asyncio
import random
import resource

import pytest

from tests.wire.gateway.kit import Answer, Request, World, ask
from tests.wire.gateway.test_wire_auth_forms import requests

SEED = 20261123
NASTY = [b"\0", b"\r\n", b"%", b"%00", b"%2f", b"..", b"//", b"{", b"[" * 2000, b"<a>" * 500,
         b"\xff\xfe", b"&lt;", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"1e999", b"-1", b"9" * 400,
         b"null", b'"', b"\xa0\xbf\xff", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", b"\xed\xa0\x80",
         "é𝄞".encode(), b"=", b"&", b";", b":", b"?", b"#"]  # fmt: skip
HEADERS = ["content-type", "x-amz-target", "x-amz-date", "x-amz-content-sha256", "authorization",
           "x-amz-security-token", "x-amz-decoded-content-length", "x-amz-trailer", "content-md5",
           "content-length", "content-encoding", "smithy-protocol", "range", "if-match",
           "x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm", "expect", "accept", "host",
           "transfer-encoding", "x-amz-copy-source", "x-amz-meta-a", "x-amz-acl"]  # fmt: skip
FORMS = [None, None, "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
         "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
         "0" * 64, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"]  # fmt: skip
BODIES = [
    (
        "POST",
        "/",
        [("x-amz-target", "SageMaker.CreateModel"), ("content-type", "application/x-amz-json-1.1")],
        b'{"ModelName":"m","ExecutionRoleArn":"arn:aws-us-gov:iam::123456789012:role/r",'
        b'"PrimaryContainer":{"Image":"i","Environment":{"A":"b"}},"Tags":[{"Key":"a","Value":"b"}]}',
        "sagemaker",
    ),
    (
        "POST",
        "/bucket?delete",
        [],
        b"<Delete><Object><Key>a</Key></Object><Quiet>true</Quiet></Delete>",
        "s3",
    ),
    (
        "POST",
        "/",
        [("content-type", "application/x-www-form-urlencoded")],
        b"Action=PutMetricData&Version=2010-08-01&Namespace=n&MetricData.member.1.MetricName=m"
        b"&MetricData.member.1.Value=1.5&MetricData.member.1.Timestamp=2026-11-23T04:00:00Z",
        "monitoring",
    ),
    (
        "POST",
        "/service/GraniteServiceVersion20100801/operation/PutMetricData",
        [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")],
        bytes.fromhex("a2694e616d657370616365616e6a4d65747269634461746181a26a4d65747269634e616d65"
                      "616d6556616c7565fb3ff8000000000000"),
        "monitoring",
    ),
    (
        "GET",
        "/bucket/key?partNumber=1&response-expires=Thu%2C%2001%20Dec%201994%2016%3A00%3A00%20GMT",
        [("range", "bytes=0-1"), ("if-modified-since", "Thu, 01 Dec 1994 16:00:00 GMT")],
        b"",
        "s3",
    ),
]  # fmt: skip


def seeds() -> list[Request]:
    made = [Request(m, t, list(h), b, s) for m, t, h, b, s in BODIES]
    return [*requests().values(), *made]


def mangled(dice: random.Random, data: bytes) -> bytes:
    if not data or dice.random() < 0.1:
        return data + dice.choice(NASTY)
    at = dice.randrange(len(data))
    match dice.randrange(5):
        case 0:
            return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + data[at + dice.randrange(1, 8) :]
        case 2:
            return data[:at] + dice.choice(NASTY) + data[at:]
        case 3:
            return data[:at] + data[dice.randrange(len(data)) :]
        case _:
            return data[:at]


def mutate(dice: random.Random, request: Request, *, keeps_http: bool) -> None:
    """`keeps_http`: only what llhttp lets through reaches the application."""
    what = dice.randrange(4)
    if what == 0:
        path = mangled(dice, request.target.encode("latin-1")).decode("latin-1")
        printable = "".join(c for c in path if "!" <= c <= "~" and c != "#")
        request.target = "/" + printable.lstrip("/") if keeps_http else path
    elif what == 1:
        request.body = mangled(dice, request.body)
    elif what == 2:
        name = dice.choice(HEADERS)
        old = next((v for k, v in request.headers if k.lower() == name), "")
        value = mangled(dice, old.encode("latin-1")).decode("latin-1")
        clean = "".join(c for c in value if " " <= c <= "~" or "\x80" <= c <= "\xff").strip()
        request.headers = [(k, v) for k, v in request.headers if k.lower() != name]
        if dice.random() < 0.9:
            request.headers.append((name, clean))
    else:
        request.method = dice.choice(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"])


def one(dice: random.Random, pool: list[Request]) -> Request:
    seed = dice.choice(pool)
    request = Request(seed.method, seed.target, list(seed.headers), seed.body, seed.service)
    when = dice.randrange(3)  # what is mutated before the signature is believed
    if when != 1:
        for _ in range(dice.randrange(1, 4)):
            mutate(dice, request, keeps_http=True)
        request.headers = [(k, v) for k, v in request.headers if v.isascii()]
    try:
        if dice.random() < 0.1:
            request.presign()
        else:
            request.sign(form=dice.choice(FORMS) if dice.random() < 0.3 else None)
    except Exception:  # botocore cannot sign it: then it goes unsigned
        request.set("host", "localhost")
    if when != 0:
        mutate(dice, request, keeps_http=True)
    request.scheme = dice.choice(["https", "https", "http"])
    return request


def further(world: World) -> int:
    """Rejections that were counted, not recorded one by one."""
    return sum(bucket.further for bucket in world.gateway.rejections._sources.values())


async def attack(world: World, count: int, seed: int) -> dict[int, int]:
    dice, pool, found = random.Random(seed), seeds(), {}
    for number in range(count):
        request = one(dice, pool)
        before, counted = len(world.auditor.events), further(world)
        world.clock.advance(0)
        answer: Answer = await ask(world.gateway, request)
        bad = answer.status >= 500 and answer.status not in (501, 503)
        assert not bad, (seed, number, str(request)[:2000], answer.text)
        kinds = [kind for kind, _, _ in world.auditor.events[before:]]
        kinds += ["rejected"] * (further(world) - counted)
        assert kinds in (["rejected"], ["denied"], ["opened", "closed"]), (number, request, kinds)
        if answer.status < 300:
            assert kinds == ["opened", "closed"]
        found[answer.status] = found.get(answer.status, 0) + 1
        world.handlers.calls.clear()
    return found


def run(world: World, count: int, seed: int) -> dict[int, int]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = asyncio.run(attack(world, count, seed))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 200_000, "memory in KiB"
    assert found.get(200, 0) > 0, "the mutations leave nothing of the seeds"
    assert found.get(400, 0) > 0
    return found


def test_bad_requests(world):
    run(world, 1_500, SEED)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_bad_requests(world, seed):
    run(world, 6_000, seed)
