"""Every operation's answer and modelled errors: what we write, botocore parses as the same."""

from io import BytesIO
from types import SimpleNamespace

import pytest
from botocore.compat import HTTPHeaders
from botocore.eventstream import EventStreamBuffer
from botocore.handlers import parse_get_bucket_location
from botocore.parsers import create_parser
from hypothesis import strategies as st

from bastide.kernel.errors import ServiceError
from bastide.wire.errors import serialize_error
from bastide.wire.model import SERVICES, Catalogue
from bastide.wire.serialize import Serializers
from tests.wire.proto.shapes import same, structures, with_examples

CATALOGUE = Catalogue()
SERIALIZERS = Serializers()
OPERATIONS = [
    f"{name}.{operation}" for name in SERVICES for operation in CATALOGUE.service(name).names
]
# The router never answers these: a newer operation has their path.
REPLACED = {
    n for n in OPERATIONS if n.startswith("s3.") and CATALOGUE.operation(n).model.deprecated
}
PROTOCOLS = {"cloudwatch": ("smithy-rpc-v2-cbor", "json", "query")}


def protocols_of(operation) -> tuple[str, ...]:
    return PROTOCOLS.get(operation.service.name, (operation.service.protocol,))


def parsed(operation, protocol, response, shape):
    headers = HTTPHeaders()  # botocore looks names up whatever their case
    for key, value in response.headers:
        headers[key] = value
    body = response.body
    if not isinstance(body, bytes):
        body = b"".join(body)
    streamed = operation.model.has_streaming_output and response.status < 300
    given = BytesIO(body) if streamed else body  # as botocore.endpoint gives it to the parser
    found = create_parser(protocol).parse(
        {"status_code": response.status, "headers": headers, "body": given}, shape
    )
    if operation.full_name == "s3.GetBucketLocation" and response.status < 300:
        parse_get_bucket_location(found, SimpleNamespace(raw=body, content=body))
    return {key: item.read() if item is given else item for key, item in found.items()}


def _set_by_us(shape) -> set[str]:
    """Output members that go as a header which every answer with a body has."""
    members = shape.members if shape else {}
    return {
        name
        for name, member in members.items()
        if str(member.serialization.get("name")).lower() == "content-type"
    }


EVENTS = [name for name in OPERATIONS if CATALOGUE.operation(name).events_out is not None]


@pytest.mark.parametrize("name", sorted({*OPERATIONS} - REPLACED - {*EVENTS}))
def test_what_we_answer_is_understood(name):
    operation = CATALOGUE.operation(name)
    shape = operation.output
    outputs = structures(shape) if shape is not None else st.just({})

    def check(output) -> None:
        status = [k for k, m in (shape.members if shape else {}).items()
                  if m.serialization.get("location") == "statusCode"]  # fmt: skip
        output = {k: v for k, v in output.items() if k not in status}
        for protocol in protocols_of(operation):
            response = SERIALIZERS.serialize(operation, protocol, output, "the-request-id")
            found = parsed(operation, protocol, response, shape)
            metadata = found.pop("ResponseMetadata")
            assert metadata["HTTPStatusCode"] in (operation.status, 200)
            ignored = {*status, *(_set_by_us(shape) - output.keys())}
            found = {k: v for k, v in found.items() if k not in ignored}
            assert same(found, output), f"{found} is not {output}"

    with_examples(outputs, check)


@pytest.mark.parametrize("name", OPERATIONS)
def test_modelled_errors_are_understood(name):
    operation = CATALOGUE.operation(name)
    for code in [*operation.errors, "UnsupportedOperation"]:
        for protocol in protocols_of(operation):
            error = ServiceError(code, "because <&> é")
            response = serialize_error(operation, protocol, error, "the-request-id")
            found = parsed(operation, protocol, response, operation.output)
            shape = operation.errors.get(code)
            assert found["Error"]["Code"] in {code, shape.error_code if shape else code}
            assert found["Error"]["Message"] == "because <&> é"
            assert found["ResponseMetadata"]["HTTPStatusCode"] == response.status >= 400
            if code == "UnsupportedOperation":
                assert response.status == 501


@pytest.mark.parametrize("name", EVENTS)
def test_event_streams_are_understood(name):
    operation = CATALOGUE.operation(name)
    member = operation.events_out
    union = operation.output.members[member]

    def check(event) -> None:
        output = {member: iter([event])}
        response = SERIALIZERS.serialize(operation, operation.service.protocol, output, "id")
        buffer = EventStreamBuffer()
        buffer.add_data(b"".join(response.body))
        messages = list(buffer)
        if operation.service.protocol == "json":
            assert messages.pop(0).headers[":event-type"] == "initial-response"
        (message,) = messages
        parser = create_parser(operation.service.protocol)
        found = parser._event_stream_parser.parse(message.to_response_dict(), union)
        assert same(found, event), f"{found} is not {event}"

    events = {
        key: shape for key, shape in union.members.items() if not shape.metadata.get("exception")
    }
    for key, shape in events.items():
        with_examples(structures(shape).map(lambda value, key=key: {key: value}), check)


@pytest.mark.parametrize("name", EVENTS)
def test_a_stream_that_fails_says_so(name):
    operation = CATALOGUE.operation(name)

    def failing():
        raise ServiceError("ThrottlingException", "slow down")
        yield

    output = {operation.events_out: failing()}
    response = SERIALIZERS.serialize(operation, operation.service.protocol, output, "id")
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(response.body))
    message = list(buffer)[-1]
    assert message.headers[":message-type"] == "exception"
    assert message.headers[":exception-type"].lower() == "throttlingexception"
