"""Facts of the wire that a round trip with botocore's client does not show."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bastide.wire import cbor, scalars
from bastide.wire.serialize import Serializers
from bastide.wire.serialize_values import xml_text
from tests.wire.proto.asking import CATALOGUE, asked, raw, told

SERIALIZERS = Serializers()
MOMENT = datetime(2026, 11, 23, 4, 5, 6, 789000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T04:05:06.789Z", MOMENT),
        ("2026-11-23T04:05:06.789000123Z", MOMENT),
        ("2026-11-23T06:05:06.789+02:00", MOMENT),
        ("2026-11-23T04:05:06Z", MOMENT.replace(microsecond=0)),
        ("Mon, 23 Nov 2026 04:05:06 GMT", MOMENT.replace(microsecond=0)),
        ("1795406706.789", MOMENT),
        ("1795406706", MOMENT.replace(microsecond=0)),
        ("-1", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_timestamps_come_in_three_forms(text, moment):
    assert scalars.read_time(text, "x") == moment


@pytest.mark.parametrize(
    "text", ["", "now", "2026-13-01T00:00:00Z", "2026-11-23", "9" * 30, "Mon, 99 Nov 2026", "1e5",
             "0001-01-01T00:00:00+23:59", "٢٠٢٦-11-23T04:05:06Z"],
)  # fmt: skip
def test_what_is_no_timestamp_is_refused(text):
    assert told(scalars.read_time, text, "x").code == "SerializationException"


def test_timestamps_go_in_the_form_of_each_place():
    paris = MOMENT.astimezone(timezone(timedelta(hours=1)))
    assert scalars.iso8601(paris) == "2026-11-23T04:05:06.789Z"
    assert scalars.iso8601(datetime(5, 1, 1, tzinfo=UTC)) == "0005-01-01T00:00:00Z"
    assert scalars.epoch(paris) == 1795406706.789
    assert scalars.http_date(paris) == "Mon, 23 Nov 2026 04:05:06 GMT"
    output = {"LastModified": paris, "ContentLength": 0}
    answer = SERIALIZERS.serialize(CATALOGUE.operation("s3.HeadObject"), "rest-xml", output, "id")
    assert ("last-modified", "Mon, 23 Nov 2026 04:05:06 GMT") in answer.headers


@pytest.mark.parametrize("text", ["1.0", "1e3", "", " ", "+1", "٣", "0x1", "1_0", "9" * 30])
def test_what_is_no_whole_number_is_refused(text):
    told(scalars.read_int, text, "integer", "x")


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "", "1_0", "0x1p3"])
def test_what_is_no_number_is_refused(text):
    told(scalars.read_float, text, "x")


def test_null_is_absent_and_strangers_are_ignored():
    body = b'{"TrainingJobName": null, "Newer": {"a": 1}, "Tags": [null, {"Key": "k", "N": 1}]}'
    request = raw("POST", "/", x_amz_target="SageMaker.CreateTrainingJob")
    assert asked(request, "sagemaker", body) == {"Tags": [{"Key": "k"}]}


def test_documents_are_untouched():
    document = {"a": [None, 1, 2.5, "x", {"b": None}], "c": {}}
    body = json.dumps({"additionalModelRequestFields": document}).encode()
    found = asked(raw("POST", "/model/m/converse"), "bedrock", body)
    assert found == {"modelId": "m", "additionalModelRequestFields": document}


@pytest.mark.parametrize("request_body", [b"", b"\x00\xff not json"])
def test_a_blob_that_is_the_body_is_raw(request_body):
    request = raw("POST", "/model/m/invoke", content_type="text/x", accept="*/*")
    assert asked(request, "bedrock", request_body) == {
        "modelId": "m",
        "body": request_body,
        "contentType": "text/x",
        "accept": "*/*",
    }


def test_metadata_headers_are_collected():
    headers = {"x_amz_meta_one": "1", "x_amz_meta_": "none", "x_amz_meta_two": "\u00c3\u00bc"}
    found = asked(raw("PUT", "/b/k", **headers), "s3")
    assert found["Metadata"] == {"one": "1", "": "none", "two": "ü"}


def test_repeated_headers_and_lists_are_joined():
    request = raw("GET", "/b/k?attributes", x_amz_object_attributes="ETag, ObjectSize")
    assert asked(request, "s3")["ObjectAttributes"] == ["ETag", "ObjectSize"]


def test_query_string_lists_and_maps():
    arn = "arn%3Aaws%3Abedrock%3Aus-gov-west-1%3A1%3Aagent%2FA"
    found = asked(raw("DELETE", f"/tags/{arn}?tagKeys=a&tagKeys=b%20c"), "bedrock")
    assert found == {
        "resourceArn": "arn:aws:bedrock:us-gov-west-1:1:agent/A",
        "tagKeys": ["a", "b c"],
    }


def test_forms_are_ordered_by_number():
    body = (
        "Action=SimulatePrincipalPolicy&Version=2010-05-08&PolicySourceArn=x"
        "&ActionNames.member.10=j&ActionNames.member.2=b&ActionNames.member.1=a&Stranger.x=1"
    )
    found = asked(raw("POST", "/"), "iam", body.encode())
    assert found == {"PolicySourceArn": "x", "ActionNames": ["a", "b", "j"]}


def test_xml_attributes_and_namespaces_are_read():
    body = b"""<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
      <AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
      xsi:type="CanonicalUser"><ID>me</ID></Grantee><Permission>READ</Permission></Grant>
      </AccessControlList><Stranger/></AccessControlPolicy>"""
    grantee = {"Type": "CanonicalUser", "ID": "me"}
    assert asked(raw("PUT", "/b?acl", content_md5="x"), "s3", body)["AccessControlPolicy"] == {
        "Grants": [{"Grantee": grantee, "Permission": "READ"}]
    }


def test_control_characters_in_keys_are_written_as_s3_writes_them():
    assert xml_text("a<b>&\r\n\x01") == "a&lt;b&gt;&amp;&#xd;&#xa;&#x1;"
    output = {"Contents": [{"Key": "a\rb&", "Size": 1}], "IsTruncated": False}
    operation = CATALOGUE.operation("s3.ListObjectsV2")
    answer = SERIALIZERS.serialize(operation, "rest-xml", output, "id")
    assert b"<Key>a&#xd;b&amp;</Key>" in answer.body


@pytest.mark.parametrize("place", ["", "us-gov-west-1"])
def test_bucket_location_is_the_whole_document(place):
    operation = CATALOGUE.operation("s3.GetBucketLocation")
    answer = SERIALIZERS.serialize(operation, "rest-xml", {"LocationConstraint": place}, "id")
    assert answer.body.count(b"LocationConstraint") == (2 if place else 1)
    assert place.encode() in answer.body


def test_answers_of_s3_say_which_request_they_answer():
    answer = SERIALIZERS.serialize(CATALOGUE.operation("s3.DeleteObject"), "rest-xml", {}, "the-id")
    assert answer.status == 204
    assert answer.body == b""
    assert {name for name, _ in answer.headers} >= {"x-amz-request-id", "x-amz-id-2"}


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("a16161f6", {"a": None}),
        ("bf6161 9f01ff ff", {"a": [1]}),
        ("a161615f 4101 4102 ff", {"a": b"\x01\x02"}),
        ("a161617f 6178 6179 ff", {"a": "xy"}),
        ("a16161 f93e00", {"a": 1.5}),
        ("a16161 fa3fc00000", {"a": 1.5}),
        ("a16161 3903e7", {"a": -1000}),
        ("a16161 c11a00000001", {"a": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)}),
        ("", {}),
    ],
)
def test_cbor_as_other_encoders_write_it(encoded, value):
    assert cbor.loads(bytes.fromhex(encoded)) == value


def test_a_json_answer_has_its_content_type_and_id():
    operation = CATALOGUE.operation("sagemaker.ListModels")
    answer = SERIALIZERS.serialize(operation, "json", {"Models": []}, "the-id")
    assert dict(answer.headers) == {
        "content-type": "application/x-amz-json-1.1",
        "x-amzn-requestid": "the-id",
    }
    assert answer.body == b'{"Models":[]}'
