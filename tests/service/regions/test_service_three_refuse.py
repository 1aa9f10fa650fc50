"""What one region gave out, another refuses, for every ordered pair; and each takes its own, else
the refusals would prove nothing. The agency has the same name, account id and bucket in all three.
"""

import itertools
import json
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlsplit, urlunsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, SSLError
from tests.three import NAMES

TWIN, ACCOUNT, BUCKET = "twin", "210987654321", "the-same"
PAIRS = list(itertools.permutations(NAMES, 2))
UNKNOWN = {"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"}
both = pytest.mark.parametrize(("one", "other"), PAIRS)
alone = pytest.mark.parametrize("one", NAMES)


@pytest.fixture(scope="module")
def site(three):
    for region in three.regions.values():
        region.control.post("/agencies", {"name": TWIN, "account_id": ACCOUNT})
        s3 = region.s3(BUCKET, TWIN)
        for number in range(3):
            s3.put_object(Bucket=BUCKET, Key=f"key-{number}", Body=b"content")
    return three.regions


def keys(region):
    env = region.agency(TWIN)
    return env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], None


def client(service, at, credentials, *, signs_for=None, ca=None):
    """A client at region `at` with anybody's credentials."""
    key, secret, token = credentials
    special = {"signature_version": "s3v4", "s3": {"addressing_style": "path"}}
    return boto3.client(
        service, endpoint_url=at.status["endpoint"], verify=ca or at.status["ca_bundle"],
        region_name=signs_for or at.name, aws_access_key_id=key, aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"max_attempts": 1}, **(special if service == "s3" else {})),
    )  # fmt: skip


def refused(call, **request):
    with pytest.raises(ClientError) as found:
        call(**request)
    answer = found.value.response
    assert 400 <= answer["ResponseMetadata"]["HTTPStatusCode"] < 404
    return answer["Error"]["Code"]


SERVICES = [
    ("sts", "get_caller_identity"),
    ("s3", "list_buckets"),
    ("iam", "list_users"),
    ("sagemaker", "list_training_jobs"),
    ("bedrock", "list_foundation_models"),
    ("logs", "describe_log_groups"),
    ("cloudtrail", "lookup_events"),
]


@both
def test_an_access_key(site, one, other):
    for service, call in SERVICES:
        code = refused(getattr(client(service, site[other], keys(site[one])), call))
        assert code in UNKNOWN, (service, code)


@both
def test_a_signature_for_one_region_by_the_other_s_own_key(site, one, other):
    """IAM and STS are signed for the partition's own region, and it differs in each."""
    for service, call in SERVICES:
        if service != "s3":  # its clients are told where to go, and go there: the next test
            made = client(service, site[other], keys(site[other]), signs_for=one)
            assert refused(getattr(made, call)) in (
                "SignatureDoesNotMatch", "InvalidSignatureException", "UnrecognizedClientException"
            ), service  # fmt: skip


@both
def test_a_session_s_credentials(site, one, other):
    found = client("sts", site[one], keys(site[one])).get_session_token()["Credentials"]
    session = (found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    assert client("s3", site[one], session).list_buckets()["Buckets"]
    for service in ("s3", "sagemaker", "bedrock"):
        call = dict(SERVICES)[service]
        code = refused(getattr(client(service, site[other], session), call))
        assert code in UNKNOWN | {"InvalidToken", "ExpiredToken"}, (service, code)
    mixed = (*keys(site[other])[:2], found["SessionToken"])
    assert refused(client("s3", site[other], mixed).list_buckets)


@pytest.fixture(scope="module")
def roles(site):
    """A role in each region that its agency's users may take."""
    made = {}
    for name, region in site.items():
        who = client("sts", region, keys(region)).get_caller_identity()["Arn"]
        trust = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": trust})
        iam = client("iam", region, keys(region))
        role = iam.create_role(RoleName="taken", AssumeRolePolicyDocument=document)
        made[name] = role["Role"]["Arn"]
    return made


@both
def test_a_role_and_its_session(site, roles, one, other):
    wanted = {"RoleArn": roles[one], "RoleSessionName": "session"}
    found = client("sts", site[one], keys(site[one])).assume_role(**wanted)["Credentials"]
    session = (found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    who = client("sts", site[one], session).get_caller_identity()["Arn"]
    assert who.endswith(":assumed-role/taken/session")
    assert refused(client("sts", site[other], session).get_caller_identity) in UNKNOWN
    assert refused(client("sts", site[other], keys(site[other])).assume_role, **wanted) == (
        "AccessDenied"
    )


def bearer(at, key):
    request = urllib.request.Request(
        f"{at.status['endpoint']}/foundation-models",
        headers={"Authorization": f"Bearer {key}", "Host": f"bedrock.{at.name}.amazonaws.com"},
    )
    return answered(at, request)


def answered(at, request):
    context = ssl.create_default_context(cafile=at.status["ca_bundle"])
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@both
def test_a_bearer_key(site, one, other):
    key = site[one].agency(TWIN)["AWS_BEARER_TOKEN_BEDROCK"]
    assert bearer(site[one], key) == 200
    assert bearer(site[other], key) == 403


@both
def test_a_presigned_url(site, one, other):
    request = {"Bucket": BUCKET, "Key": "key-0"}
    url = client("s3", site[one], keys(site[one])).generate_presigned_url("get_object", request)
    assert answered(site[one], url) == 200
    netloc = urlsplit(site[other].status["endpoint"]).netloc
    moved = urlunsplit(urlsplit(url)._replace(netloc=netloc))
    assert answered(site[other], moved) == 400  # it says of which region it is
    made = client("s3", site[other], keys(site[one]))
    assert answered(site[other], made.generate_presigned_url("get_object", request)) == 403


@both
def test_a_page_token_of_s3(site, one, other):
    page = client("s3", site[one], keys(site[one])).list_objects_v2(Bucket=BUCKET, MaxKeys=1)
    token = {"Bucket": BUCKET, "ContinuationToken": page["NextContinuationToken"]}
    s3 = client("s3", site[one], keys(site[one]))
    assert s3.list_objects_v2(**token)["Contents"][0]["Key"] == "key-1"
    assert refused(client("s3", site[other], keys(site[other])).list_objects_v2, **token) == (
        "InvalidArgument"
    )


@both
def test_a_page_token_of_cloudtrail(site, one, other):
    own = client("cloudtrail", site[one], keys(site[one]))
    token = own.lookup_events(MaxResults=1)["NextToken"]
    assert own.lookup_events(MaxResults=1, NextToken=token)["Events"]
    foreign = client("cloudtrail", site[other], keys(site[other]))
    code = refused(foreign.lookup_events, MaxResults=1, NextToken=token)
    assert code == "InvalidNextTokenException"


@both
def test_a_certificate(site, one, other):
    """Who trusts one region's authority does not trust another's server."""
    trusting = client("s3", site[other], keys(site[other]), ca=site[one].status["ca_bundle"])
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        trusting.list_buckets()


@both
def test_a_log_s_key(site, one, other):
    """The evidence of one region does not pass for another's."""
    words = ("audit", "verify", "--region", one, "--key")
    keys_of = {name: str(site[name].folder / "audit" / "audit.pub") for name in (one, other)}
    assert site[one].cli(*words, keys_of[one]).returncode == 0
    assert site[one].cli(*words, keys_of[other], check=False).returncode == 1


@alone
def test_each_takes_its_own(site, one):
    for service, call in SERVICES:
        getattr(client(service, site[one], keys(site[one])), call)()
