"""Refusals, byte for byte, in each protocol."""

import json
from xml.etree import ElementTree

import pytest

from bastide.kernel.errors import ServiceError, unsupported
from bastide.wire import cbor
from bastide.wire.errors import serialize_error
from bastide.wire.serialize import Serializers
from tests.wire.proto.asking import CATALOGUE


def answered(name: str, protocol: str, error: ServiceError, *, is_head: bool = False):
    operation = CATALOGUE.operation(name) if name else None
    answer = serialize_error(operation, protocol, error, "the-id", is_head=is_head)
    return answer.status, dict(answer.headers), answer.body


def test_rest_json():
    error = ServiceError("ResourceNotFoundException", "No such model.")
    status, headers, body = answered("bedrock-runtime.Converse", "rest-json", error)
    assert status == 404
    assert headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"__type": "ResourceNotFoundException", "message": "No such model."}


def test_json_with_the_message_where_the_shape_has_it():
    error = ServiceError("ModelError", "It failed.", members={"OriginalStatusCode": 500})
    status, _, body = answered("sagemaker-runtime.InvokeEndpoint", "rest-json", error)
    assert status == 424
    assert json.loads(body) == {
        "__type": "ModelError",
        "Message": "It failed.",
        "OriginalStatusCode": 500,
    }


@pytest.mark.parametrize("given", ["NoSuchEntityException", "NoSuchEntity"])
def test_query_by_the_code_that_clients_look_for(given):
    status, _, body = answered("iam.GetRole", "query", ServiceError(given, "No <role>."))
    root = ElementTree.fromstring(body)
    space = "{https://iam.amazonaws.com/doc/2010-05-08/}"
    found = {element.tag.removeprefix(space): element.text for element in root.iter()}
    assert status == 404
    assert found["Code"] == "NoSuchEntity"
    assert found["Type"] == "Sender"
    assert found["Message"] == "No <role>."
    assert found["RequestId"] == "the-id"


def test_query_holds_nothing_that_its_clients_cannot_parse():
    odd = ServiceError("NoSuchEntity", "No a\x01b.", members={"Name": "c\x02"})
    root = ElementTree.fromstring(answered("iam.GetRole", "query", odd)[2])
    assert [element.text for element in root.iter() if element.tag.endswith(("Message", "Name"))]
    operation = CATALOGUE.operation("iam.ListAccountAliases")
    output = {"AccountAliases": ["d\x03é"], "IsTruncated": False}
    answer = Serializers().serialize(operation, "query", output, "the-id")
    texts = [element.text for element in ElementTree.fromstring(answer.body).iter()]
    assert "d\ufffdé" in texts


@pytest.mark.parametrize("given", ["MissingRequiredParameterException", "MissingParameter"])
def test_cloudwatch_says_it_in_both_tongues(given):
    error = ServiceError(given, "The parameter Namespace is required.")
    for protocol in ("json", "smithy-rpc-v2-cbor"):
        _, headers, body = answered("cloudwatch.PutMetricData", protocol, error)
        found = json.loads(body) if protocol == "json" else cbor.loads(body)
        assert found["__type"].endswith("MissingRequiredParameterException")
        assert headers["x-amzn-query-error"] == "MissingParameter;Sender"


def test_s3_has_no_wrapper():
    error = ServiceError("NoSuchKey", "No.", status=404, members={"Key": "a\x01<", "Nothing": None})
    status, headers, body = answered("s3.GetObject", "rest-xml", error)
    assert (status, headers["content-type"]) == (404, "application/xml")
    assert headers["x-amz-request-id"] == "the-id"
    assert body.endswith(
        b"<Error><Code>NoSuchKey</Code><Message>No.</Message><Key>a&#x1;&lt;</Key>"
        b"<RequestId>the-id</RequestId><HostId>the-id</HostId></Error>"
    )


@pytest.mark.parametrize(("status", "is_head"), [(404, True), (304, False)])
def test_s3_says_nothing_where_no_body_may_be(status, is_head):
    error = ServiceError("NotModified", "x", status=status)
    assert answered("s3.HeadObject", "rest-xml", error, is_head=is_head)[2] == b""


@pytest.mark.parametrize(
    ("name", "protocol"),
    [("bedrock.CreateModelCopyJob", "rest-json"), ("sagemaker.CreateCluster", "json"),
     ("iam.CreateGroup", "query"), ("s3.PutBucketCors", "rest-xml"),
     ("cloudwatch.PutDashboard", "smithy-rpc-v2-cbor")],
)  # fmt: skip
def test_what_is_not_there_is_501_and_named(name, protocol):
    status, _, body = answered(name, protocol, unsupported(name))
    assert status == 501
    assert name.encode() in body
    assert b"UnsupportedOperation" in body


@pytest.mark.parametrize(
    ("code", "status"),
    [("ThrottlingException", 429), ("AccessDenied", 403), ("InternalFailure", 500),
     ("ServiceUnavailableException", 503), ("UnknownOperationException", 404), ("Whatever", 400)],
)  # fmt: skip
@pytest.mark.parametrize("protocol", ["json", "rest-json", "query", "rest-xml"])
def test_codes_have_a_status_without_any_model(code, status, protocol):
    assert answered("", protocol, ServiceError(code, "x"))[0] == status
