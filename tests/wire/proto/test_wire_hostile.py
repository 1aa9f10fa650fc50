"""Whatever arrives, the protocol layer answers parameters or a ServiceError: nothing else."""

import json
import os
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bastide.kernel.errors import ServiceError
from bastide.wire import cbor
from bastide.wire.model import SERVICES
from tests.wire.proto.asking import CATALOGUE, PARSERS, VALIDATORS, asked, raw, routed, told

EXAMPLES = int(os.environ.get("BASTIDE_WIRE_FUZZ", "150"))
WRONG = "SerializationException"
TARGET = {"x_amz_target": "SageMaker.CreateTrainingJob"}
GRANITE = "/service/GraniteServiceVersion20100801/operation/PutMetricData"
COMPLETE = (
    b'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
)
FORM = b"Action=TagRole&Version=2010-05-08&RoleName=r&Tags.member.1.Key=k&Tags.member.1.Value=v"
JOB = json.dumps(
    {"TrainingJobName": "a", "HyperParameters": {"a": "b"}, "Tags": [{"Key": "k", "Value": "v"}],
     "StoppingCondition": {"MaxRuntimeInSeconds": 3}, "EnableNetworkIsolation": True}
).encode()  # fmt: skip
METRICS = cbor.dumps(
    {"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1.5, "Values": [1.0]}]}
)
CONVERSE = json.dumps(
    {
        "messages": [
            {"role": "user", "content": [{"text": "hi"}, {"toolUse": {"input": {"a": [1]}}}]}
        ]
    }
).encode()
GOOD = [
    (raw("POST", "/", **TARGET), "sagemaker", JOB),
    (raw("POST", "/model/m/converse"), "bedrock", CONVERSE),
    (raw("POST", "/"), "iam", FORM),
    (raw("POST", GRANITE), "monitoring", METRICS),
    (raw("POST", "/b/k?uploadId=u"), "s3", COMPLETE),
]
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def taken(request, signing_name, body) -> None:
    """All that happens to a request before it is let near a handler."""
    try:
        route = routed(request, signing_name, body)
        params = PARSERS.parse(route, request, body)
        VALIDATORS.validate(route.operation, params)
    except ServiceError as error:
        refused = error
    else:
        return
    assert refused.status is not None
    assert refused.status < 500


def test_the_good_ones_are_good():
    for request, signing_name, body in GOOD:
        assert asked(request, signing_name, body)


@st.composite
def mutated(draw, body: bytes) -> bytes:
    """`body` with some bytes replaced, left out, doubled or put in, or cut short."""
    out = bytearray(body)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(out) - 1)))
        to = at + draw(st.integers(0, 12))
        match draw(st.integers(0, 3)):
            case 0:
                out[at:to] = draw(st.binary(max_size=12))
            case 1:
                out[at:at] = out[at:to] * draw(st.integers(1, 5))
            case 2:
                del out[at:to]
            case 3:
                del out[at:]
    return bytes(out)


@pytest.mark.parametrize("case", range(len(GOOD)))
def test_bodies_that_are_nearly_right(case):
    request, signing_name, body = GOOD[case]

    @fuzzed
    @given(mutated(body))
    def run(bad):
        taken(request, signing_name, bad)

    run()


@pytest.mark.parametrize("case", range(len(GOOD)))
def test_bodies_that_are_noise(case):
    request, signing_name, _ = GOOD[case]

    @fuzzed
    @given(st.binary(max_size=64))
    def run(bad):
        taken(request, signing_name, bad)

    run()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "content", "role", "Tags", "Key", "HyperParameters", "x"]),
            inner,
            max_size=3,
        )
    ),
)


@fuzzed
@given(JSON)
@example({"messages": [{"content": [{"text": "\ud800"}]}]})
@example({"messages": [{"content": [{"toolUse": {"input": {"a": "\udfff"}}}]}]})
def test_json_of_any_shape(value):
    body = json.dumps(value).encode()
    taken(raw("POST", "/model/m/converse"), "bedrock", body)
    taken(raw("POST", "/", **TARGET), "sagemaker", body)


@fuzzed
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "", "get"]),
    st.text("/%aF0:?&=+.;#{}\u00ff", max_size=20),
    st.sampled_from(sorted({CATALOGUE.service(name).signing_name for name in SERVICES})),
    st.text("[]:.s3-alocht\u00e9 ", max_size=24),
    st.sampled_from(["", "SageMaker.X", "GraniteServiceVersion20100801.PutMetricData", "."]),
)
def test_request_lines_of_any_shape(method, target, signing_name, host, x_amz_target):
    headers = {"x_amz_target": x_amz_target} if x_amz_target else {}
    taken(raw(method, "/" + target, host, **headers), signing_name, b"")


HEADERS = [
    ("PUT", "/b/k", "s3", {"x_amz_object_lock_retain_until_date": "tomorrow"}),
    ("PUT", "/b/k", "s3", {"content_length": "many"}),
    ("PUT", "/b/k", "s3", {"x_amz_server_side_encryption_bucket_key_enabled": "perhaps"}),
    ("GET", "/b?max-keys=ten", "s3", {}),
    ("GET", "/b?max-keys=" + "9" * 40, "s3", {}),
    ("GET", "/b/k?response-expires=0000-99-99T00:00:00Z", "s3", {}),
]


@pytest.mark.parametrize(("method", "target", "signing_name", "headers"), HEADERS)
def test_wrong_types_outside_of_the_body(method, target, signing_name, headers):
    error = told(asked, raw(method, target, **headers), signing_name)
    assert (error.code, error.status) == ("InvalidArgument", 400)


LAUGHS = (
    b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    b"<CompleteMultipartUpload>&b;</CompleteMultipartUpload>"
)
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><CompleteMultipartUpload/>'


@pytest.mark.parametrize(
    ("case", "body", "code"),
    [
        (0, b"{", WRONG),
        (0, b"[]", WRONG),
        (0, b"null", WRONG),
        (0, b'{"TrainingJobName": 1}', WRONG),
        (0, b'{"TrainingJobName": "\\ud800"}', WRONG),
        (0, b'{"TrainingJobName": "\xed\xa0\x80"}', WRONG),
        (0, '{"TrainingJobName": "a"}'.encode("utf-16"), WRONG),
        (0, b'{"x": NaN}', WRONG),
        (0, b'{"x": 1e999}', WRONG),
        (0, b'{"StoppingCondition": {"MaxRuntimeInSeconds": 2147483648}}', WRONG),
        (0, b'{"StoppingCondition": {"MaxRuntimeInSeconds": true}}', WRONG),
        (0, b'{"x": ' + b"[" * 100_000, WRONG),
        (0, b'{"x": ' + b"9" * 5000 + b"}", WRONG),
        (2, FORM + b"&Tags.member.x.Key=k", "MalformedInput"),
        (2, FORM + b"&Tags=k", "MalformedInput"),
        (2, FORM + b"&Tags.member.1=k", "MalformedInput"),
        (2, FORM + b"&RoleName.x=k", "MalformedInput"),
        (2, FORM + b"&" + b"a." * 100 + b"=1", "MalformedInput"),
        (2, FORM + b"&x=%ff", "MalformedInput"),
        (3, b"\xff", WRONG),
        (3, b"\x81" * 10_000, WRONG),
        (3, b"\x9f" * 10_000, WRONG),
        (3, b"\x5b" + b"\xff" * 8, WRONG),
        (3, b"\x9b" + b"\xff" * 8, WRONG),
        (3, b"\xbb" + b"\x7f" * 8, WRONG),
        (3, METRICS + b"\x00", WRONG),
        (3, METRICS[:-1], WRONG),
        (3, b"\xa1\x62\xff\xff\x01", WRONG),
        (3, b"\xa1\x01\x01", WRONG),
        (3, b"\xc1\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00", WRONG),
        (4, b"<x", "MalformedXML"),
        (4, b"<x/>", "MalformedXML"),
        (4, b'<?xml version="1.0" encoding="nonsense"?><CompleteMultipartUpload/>', "MalformedXML"),
        (4, COMPLETE.replace(b">1<", b">one<"), "MalformedXML"),
        (4, b"<CompleteMultipartUpload>" + b"<a>" * 100 + b"</a>" * 100
            + b"</CompleteMultipartUpload>", "MalformedXML"),
        (4, LAUGHS, "MalformedXML"),
        (4, OUTSIDE, "MalformedXML"),
    ],
)  # fmt: skip
def test_malformed_bodies_have_their_codes(case, body, code):
    request, signing_name, _ = GOOD[case]
    error = told(asked, request, signing_name, body)
    assert (error.code, error.status) == (code, 400)


def nested_filter(depth: int) -> bytes:
    leaf = '{"equals": {"key": "k", "value": 1}}'
    inner = '{"andAll": [' * depth + leaf + f", {leaf}]}}" * depth
    vector = f'{{"vectorSearchConfiguration": {{"filter": {inner}}}}}'
    return f'{{"retrievalQuery": {{"text": "x"}}, "retrievalConfiguration": {vector}}}'.encode()


def test_shapes_inside_themselves_may_be_deep_but_not_for_ever():
    request = raw("POST", "/knowledgebases/ABCDEFGHIJ/retrieve")
    route = routed(request, "bedrock")
    VALIDATORS.validate(route.operation, PARSERS.parse(route, request, nested_filter(45)))
    for depth in (50, 200, 400, 4000):
        body = nested_filter(depth)
        assert told(asked, request, "bedrock", body).code == WRONG


def test_documents_are_bounded_in_depth():
    def deep(depth: int) -> bytes:
        document = '{"a":' * depth + "1" + "}" * depth
        return b'{"additionalModelRequestFields": ' + document.encode() + b"}"

    request = raw("POST", "/model/m/converse")
    assert asked(request, "bedrock", deep(50))["additionalModelRequestFields"]["a"]
    assert told(asked, request, "bedrock", deep(200)).code == WRONG


def test_values_of_wrong_types_in_every_operation():
    for operation in CATALOGUE.service("sagemaker").operations.values():
        request = raw("POST", "/", x_amz_target=f"SageMaker.{operation.name}")
        for name in operation.input.members if operation.input else ():
            for value in ([], {}, 1, "x", True, 1.5, [[]], {"a": []}):
                taken(request, "sagemaker", json.dumps({name: value}).encode())


def test_a_large_body_takes_no_longer_than_it_must():
    rows = [{"Key": "k" * 20, "Value": "v" * 20}] * 50_000
    body = json.dumps({"TrainingJobName": "a", "Tags": rows}).encode()
    started = time.process_time()
    taken(raw("POST", "/", **TARGET), "sagemaker", body)
    assert time.process_time() - started < 5
