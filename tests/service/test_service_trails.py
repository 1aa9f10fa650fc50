"""CloudTrail's files in an agency's bucket, judged by AWS's own `aws cloudtrail validate-logs`."""

import gzip

import pytest
from botocore.exceptions import ClientError
from tests.trails_live import TRAIL, Site


@pytest.fixture(scope="module")
def site(region):
    """A trail with two digests and their log files."""
    made = Site(region, "trail-bucket")
    made.begin()
    return made


def test_the_bucket_must_let_the_service_in(region):
    made = Site(region, "trail-refused")
    with pytest.raises(ClientError, match="InsufficientS3BucketPolicyException"):
        made.create()
    with pytest.raises(ClientError, match="S3BucketDoesNotExistException"):
        made.cloudtrail.create_trail(Name=TRAIL, S3BucketName="no-such-bucket")


def test_what_is_delivered_is_cloudtrails(site):
    users = {
        record["requestParameters"]["UserName"]
        for key in site.keys("CloudTrail")
        for record in site.records(key)
        if record["eventName"] == "CreateUser"
    }
    assert users == {"seen-1", "seen-2"}
    status = site.cloudtrail.get_trail_status(Name=TRAIL)
    assert status["IsLogging"]
    assert status["LatestDigestDeliveryTime"] >= status["StartLoggingTime"]
    assert "LatestDeliveryError" not in status


def test_the_aws_cli_finds_it_valid(site):
    said = site.validate()
    assert "INVALID" not in said, said
    digests, logs = (len(site.keys(kind)) for kind in ("CloudTrail-Digest", "CloudTrail"))
    assert f"{digests}/{digests} digest files valid" in said
    assert f"{logs}/{logs} log files valid" in said
    assert logs >= 2


@pytest.mark.parametrize("kind", ["CloudTrail", "CloudTrail-Digest"])
@pytest.mark.parametrize("harm", ["changed", "deleted", "swapped"])
def test_the_aws_cli_finds_what_was_done_to_it(site, kind, harm):
    first, second = site.keys(kind)[:2]
    held = {key: site.get(key) for key in (first, second)}
    bodies = {key: found["Body"].read() for key, found in held.items()}
    if harm == "changed":
        plain = gzip.decompress(bodies[first]).replace(b"a", b"b", 1)
        site.put(first, held[first], gzip.compress(plain))
    elif harm == "deleted":
        site.s3.delete_object(Bucket=site.bucket, Key=first)
    else:
        site.put(first, held[second], bodies[second])
    try:
        said = site.validate()
    finally:
        site.put(first, held[first], bodies[first])
    assert first in said
    assert "INVALID" in said, said
    assert "INVALID" not in site.validate(), "it is whole again"


def test_a_trail_that_is_stopped_and_deleted(site, region):
    trail = site.cloudtrail.describe_trails(trailNameList=[TRAIL])["trailList"][0]
    assert trail["LogFileValidationEnabled"]
    other = region.client("cloudtrail", "another")
    assert other.describe_trails(trailNameList=[trail["TrailARN"]])["trailList"] == []
    for ask in (other.get_trail, other.delete_trail):
        with pytest.raises(ClientError):
            ask(Name=trail["TrailARN"])
    site.s3.delete_bucket_policy(Bucket=site.bucket)
    site.deliver()
    status = site.cloudtrail.get_trail_status(Name=TRAIL)
    assert status["LatestDeliveryError"] == "AccessDenied"
    site.allow()
    site.cloudtrail.stop_logging(Name=TRAIL)
    status = site.cloudtrail.get_trail_status(Name=TRAIL)
    assert (status["IsLogging"], "LatestDeliveryError" in status) == (False, False)
    assert "INVALID" not in site.validate(), "what waited came after all"
    files = site.keys("CloudTrail")
    assert site.deliver() == []
    assert site.keys("CloudTrail") == files
    assert site.cloudtrail.list_public_keys()["PublicKeyList"][0]["Fingerprint"]
    site.cloudtrail.delete_trail(Name=TRAIL)
    assert site.cloudtrail.describe_trails()["trailList"] == []
