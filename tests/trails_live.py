"""A trail at a live region, and its bucket as AWS's own client sees it."""

import gzip
import json

from tests.clients import aws
from tests.waiting import eventually

AGENCY, TRAIL, PREFIX = "trails", "evidence", "kept"


def policy(region, bucket, agency):
    """What AWS's documentation says of a trail's bucket, word for word."""
    arn = f"arn:aws-us-gov:s3:::{bucket}"
    account = region.account(agency)["account_id"]
    service = {"Service": "cloudtrail.amazonaws.com"}
    source = {"aws:SourceArn": f"arn:aws-us-gov:cloudtrail:{region.name}:{account}:trail/{TRAIL}"}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow", "Principal": service, "Action": "s3:GetBucketAcl",
                "Resource": arn, "Condition": {"StringEquals": source},
            },
            {
                "Effect": "Allow", "Principal": service, "Action": "s3:PutObject",
                "Resource": f"{arn}/{PREFIX}/AWSLogs/{account}/*",
                "Condition": {
                    "StringEquals": {**source, "s3:x-amz-acl": "bucket-owner-full-control"}
                },
            },
        ],
    }  # fmt: skip


class Site:
    def __init__(self, region, bucket, agency=AGENCY):
        self.region, self.bucket, self.agency = region, bucket, agency
        self.s3 = region.s3(bucket, agency)
        self.cloudtrail = region.client("cloudtrail", agency)

    def allow(self):
        document = json.dumps(policy(self.region, self.bucket, self.agency))
        self.s3.put_bucket_policy(Bucket=self.bucket, Policy=document)

    def create(self):
        return self.cloudtrail.create_trail(
            Name=TRAIL, S3BucketName=self.bucket, S3KeyPrefix=PREFIX, EnableLogFileValidation=True
        )

    def keys(self, kind):
        listed = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return [each["Key"] for each in listed if f"/{kind}/" in each["Key"]]

    def deliver(self):
        return json.loads(self.region.cli("audit", "deliver", "--json").stdout)

    def begin(self):
        """A chain of two digests, each with its log files."""
        self.allow()
        self.create()
        self.cloudtrail.start_logging(Name=TRAIL)
        for round_ in (1, 2):
            self.region.client("iam", self.agency).create_user(UserName=f"seen-{round_}")
            eventually(
                lambda n=round_: self.deliver() and len(self.keys("CloudTrail-Digest")) >= n, 120.0
            )

    def validate(self, keys=None):
        """`keys`: of another user than the agency's administrator."""
        arn = self.cloudtrail.get_trail(Name=TRAIL)["Trail"]["TrailARN"]
        return aws(
            self.region, "cloudtrail", "validate-logs", "--trail-arn", arn, "--start-time",
            "2020-01-01T00:00:00Z", "--verbose", agency=self.agency, check=False, keys=keys,
        )  # fmt: skip

    def get(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)

    def records(self, key):
        return json.loads(gzip.decompress(self.get(key)["Body"].read()))["Records"]

    def put(self, key, was, body):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, Metadata=was["Metadata"])
