"""Two agencies of a live region, one of which shares buckets with the other."""

import json
import re

from botocore.exceptions import ClientError

from tests.officers_live import Desk
from tests.walls_live import People

NEVER = "nothing-0123456789abcdef01234567-s3alias"


class Two:
    """Agencies `archive`, which owns, and `bureau`, which reads."""

    def __init__(self, region):
        self.desk = desk = Desk(region, region.home / "officers")
        self.region = region
        self.owner, self.reader = (People(region, desk, name) for name in ("archive", "bureau"))
        self.owner.begin()
        self.reader.join()
        self.a, self.b = (self.accounts(name) for name in ("archive", "bureau"))

    def accounts(self, name):
        return self.region.account(name)["account_id"]

    def bucket(self, name, label="U", *, policy=True):
        """A bucket of the owner's with the object `k`, and its client."""
        s3 = self.owner.at(label)
        where = {"LocationConstraint": self.region.name}
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
        s3.put_object(Bucket=name, Key="k", Body=name.encode())
        if policy:
            self.open(s3, name)
        return s3

    def open(self, s3, name, actions="s3:*", principal=None, **more):
        statement = {
            "Effect": "Allow",
            "Principal": principal or {"AWS": f"arn:aws-us-gov:iam::{self.b}:root"},
            "Action": actions,
            "Resource": [f"arn:aws-us-gov:s3:::{name}", f"arn:aws-us-gov:s3:::{name}/*"],
            **more,
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))

    def share(self, name, label="S", prefix="", to="bureau"):
        words = ("share", "grant", name, "--agency", "archive", "--to", to, "--label", label)
        row = json.loads(self.owner.signed(*words, "--prefix", prefix, "--json"))[0]
        return row["alias"]

    def why(self, alias, action="s3:GetObject", key="/k", who="role/analyst"):
        resource = f"arn:aws-us-gov:s3:::{alias}{key}"
        asked = ("--principal", who, "--action", action, "--resource", resource)
        found = self.region.cli("policy", "why", "--agency", "bureau", *asked, "--json")
        told = json.loads(found.stdout)
        return told["allowed"], told["engine"], told["words"]

    def seen_by(self, account):
        """What the region's log has of reads for an account: operation, who, what."""
        words = ("audit", "show", "--account", account, "--last", "400", "--json")
        return [
            (each["operation"], each["principal"].split(":")[4], each.get("resources"))
            for each in json.loads(self.region.cli(*words).stdout)
            if each["kind"] == "call" and each["operation"].startswith(("s3.", "kms."))
        ]

    def revoke(self, alias):
        self.region.cli("share", "revoke", alias, "--agency", "archive")


def answer(method, **request):
    """Of a refusal: what its caller can see, whatever the alias was called; None of a success."""
    try:
        method(**request)
    except ClientError as caught:
        error = dict(caught.response["Error"])
        status = caught.response["ResponseMetadata"]["HTTPStatusCode"]
        return status, re.sub(r"[a-z0-9-]+-s3alias", "ALIAS", json.dumps(error, sort_keys=True))
    return None


def code(method, **request):
    found = answer(method, **request)
    return found and json.loads(found[1])["Code"]


def same_as_nothing(s3, alias, key="k", **more):
    """A read by an alias is refused, as by one that was never given."""
    for method, asked in (
        (s3.get_object, {"Key": key}),
        (s3.head_object, {"Key": key}),
        (s3.get_object_tagging, {"Key": key}),
        (s3.list_objects_v2, {}),
        (s3.head_bucket, {}),
    ):
        found = answer(method, Bucket=alias, **asked, **more)
        assert found is not None, method
        assert found == answer(method, Bucket=NEVER, **asked, **more)
        assert found[0] == 403


def read(s3, alias, key="k"):
    return s3.get_object(Bucket=alias, Key=key)["Body"].read()
