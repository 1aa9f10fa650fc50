"""Forms that boto3's generate_presigned_post signs, sent as a browser would."""

import json
import ssl
import urllib.error
import urllib.request

import pytest

BUCKET = "counter"
BOUNDARY = "AaB03x"
MIB = 1024 * 1024
TAGS = "<Tagging><TagSet><Tag><Key>a</Key><Value>b &amp; c</Value></Tag></TagSet></Tagging>"


@pytest.fixture(scope="module")
def s3(region):
    return region.s3(BUCKET, "poster", signature_version="s3v4")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Answers are looked at, redirects too."""

    def redirect_request(self, *_):
        return None


@pytest.fixture(scope="module")
def send(region):
    trust = ssl.create_default_context(cafile=region.agency("poster").get("AWS_CA_BUNDLE"))
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust), _Stay)

    def post(form, body, filename="plan.pdf", **altered):
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in {**form["fields"], **altered}.items()
        ]
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"'
            "\r\nContent-Type: application/pdf\r\n\r\n"
        )
        data = "".join([*parts, head]).encode() + body + f"\r\n--{BOUNDARY}--\r\n".encode()
        request = urllib.request.Request(form["url"], data, method="POST")
        request.add_header("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        try:
            with opener.open(request) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read().decode()

    return post


def signed(client, key="in/${filename}", bucket=BUCKET, conditions=(), expires=600, **fields):
    said = [{name: value} for name, value in fields.items()]
    return client.generate_presigned_post(
        bucket, key, Fields=fields or None, Conditions=[*said, *conditions], ExpiresIn=expires
    )


@pytest.mark.parametrize("size", [0, 11, 65536, 3 * MIB + 1])
def test_a_file_comes_as_it_was(s3, send, size):
    body = (b"\r\n--AaB\x00" * (size // 8 + 1))[:size]
    form = signed(s3, conditions=[["content-length-range", size, size]])
    status, headers, text = send(form, body)
    assert (status, text) == (204, "")
    assert headers["location"].endswith(f"/{BUCKET}/in/plan.pdf")
    got = s3.get_object(Bucket=BUCKET, Key="in/plan.pdf")
    assert got["Body"].read() == body
    assert got["ETag"] == headers["etag"]


def test_all_that_a_form_says_is_done(s3, send):
    fields = {
        "acl": "private", "tagging": TAGS, "Content-Type": "text/plain", "x-amz-meta-who": "née",
        "Cache-Control": "no-store", "x-amz-server-side-encryption": "AES256",
        "success_action_status": "201",
    }  # fmt: skip
    status, _, text = send(signed(s3, "told", **fields), b"content")
    assert status == 201
    assert f"<Bucket>{BUCKET}</Bucket><Key>told</Key>" in text
    got = s3.get_object(Bucket=BUCKET, Key="told")
    said = (got["ContentType"], got["CacheControl"], got["ServerSideEncryption"])
    assert said == ("text/plain", "no-store", "AES256")
    assert got["Metadata"]["who"].encode("latin-1").decode() == "née"  # botocore reads latin-1
    tags = s3.get_object_tagging(Bucket=BUCKET, Key="told")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b & c"}]


def test_the_browser_goes_on(s3, send):
    form = signed(s3, "gone", success_action_redirect="https://agency.example/done")
    status, headers, _ = send(form, b"content")
    assert status == 303
    assert headers["location"].startswith(
        f"https://agency.example/done?bucket={BUCKET}&key=gone&etag=%22"
    )


def test_what_is_refused_leaves_nothing(region, s3, send):
    limit = [["content-length-range", 1, 10]]
    cases = [
        ({"key": "no"}, {"key": "other"}, b"x", 403, "AccessDenied", "Policy Condition failed"),
        ({"key": "no"}, {"x-amz-meta-a": "b"}, b"x", 403, "AccessDenied", "Extra input fields"),
        ({"key": "no", "expires": -60}, {}, b"x", 403, "AccessDenied", "Policy expired"),
        ({"key": "no", "conditions": limit}, {}, b"x" * MIB, 400, "EntityTooLarge", ""),
        ({"key": "no", "conditions": limit}, {}, b"", 400, "EntityTooSmall", ""),
        ({"key": "no", "bucket": "absent"}, {}, b"x", 404, "NoSuchBucket", ""),
        ({"key": "no"}, {"x-amz-signature": "0" * 64}, b"x", 403, "SignatureDoesNotMatch", ""),
        ({"key": "no", "acl": "public-read"}, {}, b"x", 400, "AccessControlListNotSupported", ""),
        ({"key": "no", "tagging": "<Other/>"}, {}, b"x", 400, "MalformedXML", ""),
    ]  # fmt: skip
    for asked, altered, body, status, code, text in cases:
        answer = send(signed(s3, **asked), body, **altered)
        assert (answer[0], f"<Code>{code}</Code>" in answer[2]) == (status, True), answer
        assert text in answer[2]
    stranger = region.client("s3", "stranger", signature_version="s3v4")
    status, _, text = send(signed(stranger, "no"), b"x")
    assert (status, "<Code>NoSuchBucket</Code>" in text) == (404, True)
    listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    assert {"no", "other"} & {each["Key"] for each in listed} == set()


def test_version_2_is_told_what_to_set(region, send):
    client = region.client("s3", "poster", signature_version="s3")
    status, _, text = send(signed(client, "no"), b"x")
    assert status == 400
    assert "signature_version='s3v4'" in text


def test_a_bucket_policy_can_tell_a_form(s3, send):
    statement = {
        "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
        "Resource": f"arn:aws-us-gov:s3:::{BUCKET}/*",
        "Condition": {
            "StringEquals": {"s3:authType": "POST", "s3:signatureversion": "AWS4-HMAC-SHA256"}
        },
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy)
    try:
        status, _, text = send(signed(s3, "denied"), b"x")
        assert (status, "<Code>AccessDenied</Code>" in text) == (403, True)
        s3.put_object(Bucket=BUCKET, Key="header", Body=b"x")
    finally:
        s3.delete_bucket_policy(Bucket=BUCKET)
