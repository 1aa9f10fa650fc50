"""Which operation a request means: the raw path, the host, the query, the headers, the ARN."""

import pytest

from tests.wire.proto.asking import raw, routed, told

AGENT = "arn%3Aaws-us-gov%3Abedrock%3Aus-gov-west-1%3A123456789012%3Aagent%2FABCDEFGHIJ"
UNKNOWN = "UnknownOperationException"
SESSION = "arn%3Aaws-us-gov%3Abedrock%3Aus-gov-west-1%3A123456789012%3Asession%2F8d0f"


def name_of(request, signing_name: str, body: bytes = b"") -> str:
    return routed(request, signing_name, body).operation.full_name


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/agents/ABCDEFGHIJ/", "bedrock-agent.PrepareAgent"),
        ("/agents/ABCDEFGHIJ", "bedrock-agent-runtime.InvokeInlineAgent"),
    ],
)
def test_collision_of_agents_is_told_by_the_trailing_slash(target, name):
    assert name_of(raw("POST", target), "bedrock") == name


@pytest.mark.parametrize("method_and_name", ["GET ListTagsFor", "POST Tag", "DELETE Untag"])
@pytest.mark.parametrize(
    ("arn", "service"), [(AGENT, "bedrock-agent"), (SESSION, "bedrock-agent-runtime")]
)
def test_collision_of_tags_is_told_by_the_arn(method_and_name, arn, service):
    method, name = method_and_name.split()
    request = raw(method, f"/tags/{arn}?tagKeys=a")
    assert name_of(request, "bedrock") == f"{service}.{name}Resource"


@pytest.mark.parametrize("name", ["ListTagsForResource", "TagResource", "UntagResource"])
def test_collision_with_data_automation_is_told_by_the_host(name):
    path = f"/{name[0].lower()}{name[1:]}"
    ours = raw("POST", path, "bedrock.us-gov-west-1.amazonaws.com")
    assert name_of(ours, "bedrock") == f"bedrock.{name}"
    assert name_of(raw("POST", path), "bedrock") == f"bedrock.{name}"
    theirs = raw("POST", path, "bedrock-data-automation.us-gov-west-1.amazonaws.com")
    assert told(routed, theirs, "bedrock").code == UNKNOWN


@pytest.mark.parametrize("service", ["bedrock-agent", "bedrock-agent-runtime"])
def test_host_and_path_prefix_tell_services_apart(service):
    by_host = raw("GET", f"/tags/{AGENT}", f"{service}.us-gov-west-1.amazonaws.com")
    by_fips = raw("GET", f"/tags/{AGENT}", f"{service}-fips.us-gov-west-1.amazonaws.com:443")
    by_prefix = raw("GET", f"/{service}/tags/{AGENT}")
    for request in (by_host, by_fips, by_prefix):
        assert name_of(request, "bedrock") == f"{service}.ListTagsForResource"


def test_a_host_offers_its_own_operations_only():
    request = raw("GET", "/foundation-models", "bedrock-runtime.us-gov-west-1.amazonaws.com")
    assert told(routed, request, "bedrock").status == 404


@pytest.mark.parametrize(
    ("target", "model_id"),
    [
        ("/model/a.b-v1%3A0/converse", "a.b-v1:0"),
        ("/model/a.b-v1:0/converse", "a.b-v1:0"),
        (
            "/model/arn%3Aaws%3Abedrock%3A%3A%3Afoundation-model%2Fa.b/converse",
            "arn:aws:bedrock:::foundation-model/a.b",
        ),
        ("/model/a+b%2B%20c/converse", "a+b+ c"),
    ],
)
def test_model_ids_are_one_segment(target, model_id):
    route = routed(raw("POST", target), "bedrock")
    assert route.operation.full_name == "bedrock-runtime.Converse"
    assert route.uri == {"modelId": model_id}


@pytest.mark.parametrize(
    "target",
    ["/model//converse", "/model/a/b/converse", "/model/a/converse/", "//model/a/converse"],
)
def test_paths_are_not_normalised(target):
    assert told(routed, raw("POST", target), "bedrock").code == UNKNOWN


def test_sagemaker_by_target_runtime_and_metrics_by_path():
    target = {"x_amz_target": "SageMaker.ListModels"}
    assert name_of(raw("POST", "/", **target), "sagemaker") == "sagemaker.ListModels"
    invoke = raw("POST", "/endpoints/e/invocations")
    assert name_of(invoke, "sagemaker") == "sagemaker-runtime.InvokeEndpoint"
    put = raw("PUT", "/BatchPutMetrics", "metrics.sagemaker.us-gov-west-1.amazonaws.com")
    assert name_of(put, "sagemaker") == "sagemaker-metrics.BatchPutMetrics"


@pytest.mark.parametrize(
    "request_and_body",
    [
        (raw("POST", "/", x_amz_target="GraniteServiceVersion20100801.ListMetrics"), b""),
        (raw("POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics"), b""),
        (raw("POST", "/"), b"Action=ListMetrics&Version=2010-08-01"),
        (raw("GET", "/?Action=ListMetrics&Version=2010-08-01"), b""),
    ],
)
def test_cloudwatch_speaks_three_protocols(request_and_body):
    request, body = request_and_body
    assert name_of(request, "monitoring", body) == "cloudwatch.ListMetrics"


@pytest.mark.parametrize(
    ("request_", "signing_name", "code", "status"),
    [
        (raw("POST", "/"), "nothing", UNKNOWN, 404),
        (raw("GET", "/"), "kms", UNKNOWN, 404),
        (raw("POST", "/", x_amz_target="TrentService.No"), "kms", UNKNOWN, 404),
        (raw("POST", "/", x_amz_target="SageMaker.ListModels"), "kms", UNKNOWN, 404),
        (raw("GET", "/nothing", "api.sagemaker.r.x"), "sagemaker", UNKNOWN, 404),
        (raw("GET", "/nothing"), "bedrock-agentcore", UNKNOWN, 404),
        (raw("POST", "/service/X/operation/Y"), "monitoring", UNKNOWN, 404),
        (raw("POST", "/"), "sts", "InvalidAction", 400),
        (raw("POST", "/?Action=GetCallerIdentity&Version=1999-01-01"), "sts", "InvalidAction", 400),
        (raw("PATCH", "/bucket/key"), "s3", "MethodNotAllowed", 405),
        (raw("POST", "/bucket/key"), "s3", "MethodNotAllowed", 405),
        (raw("PUT", "/"), "s3", "MethodNotAllowed", 405),
        (raw("GET", "/bucket/%ff"), "s3", "InvalidURI", 400),
        (raw("GET", "/bucket?prefix=%ff"), "s3", "InvalidArgument", 400),
        (raw("GET", "/bucket?" + "a&" * 2000), "s3", "InvalidArgument", 400),
        (raw("POST", "/?" + "a&" * 20_000), "iam", "MalformedInput", 400),
    ],
)  # fmt: skip
def test_what_is_unknown_is_refused(request_, signing_name, code, status):
    error = told(routed, request_, signing_name)
    assert (error.code, error.status) == (code, status)


S3 = [
    ("GET", "/", "ListBuckets"),
    ("GET", "/b", "ListObjects"),
    ("GET", "/b/", "ListObjects"),
    ("GET", "/b?list-type=2&prefix=x", "ListObjectsV2"),
    ("GET", "/b?list-type=1", "ListObjects"),
    ("GET", "/b?versions", "ListObjectVersions"),
    ("GET", "/b?uploads", "ListMultipartUploads"),
    ("GET", "/b?location=", "GetBucketLocation"),
    ("GET", "/b?analytics", "ListBucketAnalyticsConfigurations"),
    ("GET", "/b?analytics&id=x", "GetBucketAnalyticsConfiguration"),
    ("GET", "/b?lifecycle", "GetBucketLifecycleConfiguration"),
    ("HEAD", "/b", "HeadBucket"),
    ("PUT", "/b", "CreateBucket"),
    ("PUT", "/b?tagging", "PutBucketTagging"),
    ("DELETE", "/b", "DeleteBucket"),
    ("POST", "/b?delete", "DeleteObjects"),
    ("GET", "/b/k", "GetObject"),
    ("GET", "/b/k?x-id=GetObject&partNumber=1", "GetObject"),
    ("GET", "/b/k?uploadId=u", "ListParts"),
    ("GET", "/b/k?tagging&versionId=v", "GetObjectTagging"),
    ("GET", "/b/k?attributes", "GetObjectAttributes"),
    ("HEAD", "/b/k", "HeadObject"),
    ("PUT", "/b/k", "PutObject"),
    ("PUT", "/b/k?partNumber=1&uploadId=u", "UploadPart"),
    ("PUT", "/b/k?uploadId=u", "UploadPart"),  # never PutObject: that would replace the object
    ("PUT", "/b/k?acl", "PutObjectAcl"),
    ("POST", "/b/k?uploads", "CreateMultipartUpload"),
    ("POST", "/b/k?uploadId=u", "CompleteMultipartUpload"),
    ("DELETE", "/b/k", "DeleteObject"),
    ("DELETE", "/b/k?uploadId=u", "AbortMultipartUpload"),
]


@pytest.mark.parametrize(("method", "target", "name"), S3)
def test_s3_by_query(method, target, name):
    assert name_of(raw(method, target), "s3") == f"s3.{name}"


@pytest.mark.parametrize(
    ("target", "name"), [("/b/k", "CopyObject"), ("/b/k?partNumber=1&uploadId=u", "UploadPartCopy")]
)
def test_s3_copies_by_header(target, name):
    assert name_of(raw("PUT", target, x_amz_copy_source="/a/b"), "s3") == f"s3.{name}"


@pytest.mark.parametrize(
    "host",
    [
        "my.bucket.s3.us-gov-west-1.amazonaws.com",
        "my.bucket.s3-fips.us-gov-west-1.amazonaws.com",
        "my.bucket.s3.dualstack.us-gov-west-1.amazonaws.com",
        "my.bucket.s3-us-gov-west-1.amazonaws.com",
        "my.bucket.s3.amazonaws.com:443",
        "MY.bucket.S3.localhost:8443",
        "my.bucket.localhost:8443",
    ],
)
def test_virtual_host_names_the_bucket(host):
    assert routed(raw("GET", "/", host), "s3").uri == {"Bucket": "my.bucket"}
    route = routed(raw("GET", "/a//b%2Fc/", host), "s3")
    assert route.uri == {"Bucket": "my.bucket", "Key": "a//b/c/"}
    assert routed(raw("GET", "/?uploads", host), "s3").operation.name == "ListMultipartUploads"


def test_virtual_host_of_a_bucket_whose_name_looks_like_one():
    host = "a.s3.b.s3.us-gov-west-1.amazonaws.com"
    assert routed(raw("HEAD", "/", host), "s3").uri == {"Bucket": "a.s3.b"}


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1:8443", "[::1]:8443", "s3.localhost", "s3.us-gov-west-1.amazonaws.com",
     "s3-fips.us-gov-west-1.amazonaws.com", "s3.dualstack.us-gov-west-1.amazonaws.com", "any.gov"],
)  # fmt: skip
def test_path_style_names_the_bucket(host):
    assert routed(raw("HEAD", "/my.bucket", host), "s3").uri == {"Bucket": "my.bucket"}
    assert routed(raw("HEAD", "/service/operation", host), "s3").uri["Bucket"] == "service"


@pytest.mark.parametrize(
    ("path", "key"),
    [("//", "/"), ("//k", "/k"), ("/k/", "k/"), ("/../../x", "../../x"), ("/a%00b", "a\0b"),
     ("/%C3%BC%2Bc.txt", "ü+c.txt"), ("/a+b", "a+b"), ("/\u00c3\u00bc", "ü"), ("/.", ".")],
)  # fmt: skip
def test_any_key_is_a_key(path, key):
    assert routed(raw("GET", f"/b{path}"), "s3").uri == {"Bucket": "b", "Key": key}


def test_object_lambda_hosts_name_no_bucket():
    host = "a-route.s3-object-lambda.us-gov-west-1.amazonaws.com"
    request = raw("POST", "/WriteGetObjectResponse", host, x_amz_request_route="a-route")
    assert name_of(request, "s3") == "s3.WriteGetObjectResponse"


def test_directory_buckets_have_a_host_of_their_own():
    request = raw("GET", "/", "s3express-control.us-gov-west-1.amazonaws.com")
    assert name_of(request, "s3") == "s3.ListDirectoryBuckets"
