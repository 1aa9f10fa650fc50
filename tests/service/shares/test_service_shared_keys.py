"""What one agency shares under a KMS key of its own: read where the key's policy says so too."""

import json

from tests.policy_kit import REGION
from tests.shares_live import answer, code, read, same_as_nothing
from tests.walls_live import People


class Sealed:
    """The object `s` of a shared bucket, under a KMS key of the owner's."""

    def __init__(self, two, name):
        self.two, self.name = two, name
        self.mine, self.kms = two.bucket(name), two.owner.at("U", "kms")
        self.arn = self.kms.create_key()["KeyMetadata"]["Arn"]
        under = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.arn}
        self.mine.put_object(Bucket=name, Key="s", Body=b"s", **under)
        self.alias, self.there = two.share(name), {"Bucket": name, "Key": "s"}

    def open(self, actions="kms:Decrypt", **more):
        """The key's policy lets the reader in, through S3."""
        own, theirs = (f"arn:aws-us-gov:iam::{each}:root" for each in (self.two.a, self.two.b))
        via = {"StringLike": {"kms:ViaService": "s3.*"}}
        allow = {"Effect": "Allow", "Resource": "*"}
        rules = [
            allow | {"Principal": {"AWS": own}, "Action": "kms:*"},
            allow | {"Principal": {"AWS": theirs}, "Action": actions, "Condition": via} | more,
        ]
        policy = {"Version": "2012-10-17", "Statement": rules}
        self.kms.put_key_policy(KeyId=self.arn, PolicyName="default", Policy=json.dumps(policy))

    def refused(self, s3, alias=None):
        """A read fails for the key, in words that do not say why."""
        status, told = answer(s3.get_object, Bucket=alias or self.alias, Key="s")
        words = "because no resource-based policy allows the kms:Decrypt action"
        assert f"kms:Decrypt on resource: {self.arn} {words}" in told
        assert (status, json.loads(told)["Code"]) == (403, "AccessDenied")
        return True


def test_what_the_owners_kms_key_seals_is_read_once_its_policy_says_so(two):
    sealed, theirs = Sealed(two, "sealed"), two.reader.at("S")
    assert len(theirs.list_objects_v2(Bucket=sealed.alias)["Contents"]) == 2
    assert sealed.refused(theirs)
    sealed.open(Principal={"AWS": "*"})
    assert sealed.refused(theirs)
    sealed.open(Condition={"StringLike": {"kms:ViaService": "ec2.*"}})
    assert sealed.refused(theirs)
    sealed.open()
    assert read(theirs, sealed.alias, "s") == b"s"
    two.reader.at("U").create_bucket(
        Bucket="unsealed", CreateBucketConfiguration={"LocationConstraint": REGION.name}
    )
    source = {"Bucket": sealed.alias, "Key": "s"}
    theirs.copy_object(Bucket="unsealed", Key="c", CopySource=source)
    assert read(theirs, "unsealed", "c") == b"s"
    sealed.open("kms:Encrypt")
    assert sealed.refused(theirs)
    assert code(theirs.copy_object, Bucket="unsealed", Key="d", CopySource=source) == "AccessDenied"


def test_the_key_of_what_is_shared_is_used_for_nothing_else(two):
    """Whatever its policy allows: no call of KMS reaches it, and nothing is sealed under it."""
    sealed, theirs = Sealed(two, "only-through"), two.reader.at("S")
    sealed.open("kms:*", Condition={})
    assert read(theirs, sealed.alias, "s") == b"s"
    blob = sealed.kms.encrypt(KeyId=sealed.arn, Plaintext=b"p")["CiphertextBlob"]
    kms = two.reader.at("S", "kms")
    for method, asked in (
        (kms.decrypt, {"CiphertextBlob": blob}),
        (kms.decrypt, {"CiphertextBlob": blob, "KeyId": sealed.arn}),
        (kms.encrypt, {"Plaintext": b"p", "KeyId": sealed.arn}),
        (kms.generate_data_key, {"KeySpec": "AES_256", "KeyId": sealed.arn}),
        (kms.describe_key, {"KeyId": sealed.arn}),
    ):
        assert code(method, **asked) == "AccessDeniedException", method
    theirs.create_bucket(
        Bucket="writing", CreateBucketConfiguration={"LocationConstraint": REGION.name}
    )
    under = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": sealed.arn}
    assert code(theirs.put_object, Bucket="writing", Key="k", Body=b"x", **under) == "AccessDenied"


def test_what_ends_a_key_for_the_reader_ends_it_with_the_next_call(two):
    sealed, theirs = Sealed(two, "ended"), two.reader.at("S")
    sealed.open()
    disable, enable = sealed.kms.disable_key, sealed.kms.enable_key
    for end, said, undo in (
        (lambda: disable(KeyId=sealed.arn), "KMS.DisabledException",
         lambda: enable(KeyId=sealed.arn)),
        (lambda: sealed.open("kms:DescribeKey"), "AccessDenied", sealed.open),
        (lambda: two.revoke(sealed.alias), "AccessDenied", lambda: two.share("ended")),
    ):  # fmt: skip
        assert read(theirs, sealed.alias, "s") == b"s"
        end()
        assert code(theirs.get_object, Bucket=sealed.alias, Key="s") == said
        undo()
    two.revoke(sealed.alias)
    same_as_nothing(theirs, sealed.alias, "s")


def test_the_readers_own_policies_must_allow_the_key_too(two):
    sealed, iam = Sealed(two, "both-keys"), two.region.client("iam", "bureau")
    sealed.open()
    iam.create_user(UserName="keyless")
    key = iam.create_access_key(UserName="keyless")["AccessKey"]
    theirs = two.reader.with_keys({**key, "SessionToken": None}, "s3")
    for allowed, opened in (("s3:*", False), (["s3:*", "kms:Decrypt"], True)):
        policy = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [policy]})
        iam.put_user_policy(UserName="keyless", PolicyName="p", PolicyDocument=document)
        if opened:
            assert read(theirs, sealed.alias, "s") == b"s"
        else:
            assert sealed.refused(theirs)


def test_the_use_of_the_owners_key_is_in_both_agencies_trails(two):
    sealed, theirs = Sealed(two, "used"), two.reader.at("S")
    sealed.refused(theirs)
    used = ("kms.Decrypt", two.b, {"KeyId": sealed.arn})
    assert used not in two.seen_by(two.a)
    sealed.open()
    read(theirs, sealed.alias, "s")
    for account in (two.a, two.b):
        assert two.seen_by(account).count(used) == 1
    (found,) = uses(two.owner, "S", sealed)
    assert found["userIdentity"]["accountId"] == two.b


def uses(people, label, sealed):
    """The uses of its key that a session looks up in CloudTrail."""
    asked = [{"AttributeKey": "EventName", "AttributeValue": "Decrypt"}]
    pages = people.at(label, "cloudtrail").get_paginator("lookup_events")
    told = [
        json.loads(event["CloudTrailEvent"])
        for page in pages.paginate(LookupAttributes=asked)
        for event in page["Events"]
    ]
    return [each for each in told if sealed.arn in (one["ARN"] for one in each["resources"])]


def test_what_a_session_above_reads_is_told_to_who_may_know_and_to_nobody_below(two):
    """What it does is at its label: told below, it would be a way to send down."""
    sealed = Sealed(two, "quiet")
    sealed.open()
    auditors = People(two.region, two.desk, "archive", "inspector")
    auditors.join()
    two.owner.signed("duty", "grant", "role/inspector", "auditor", "--agency", "archive")
    for label in ("U", "S"):
        read(two.reader.at(label), sealed.alias, "s")
    for label, count in (("U", 1), ("C", 1), ("S", 2), ("TS", 2)):
        for people in (two.owner, auditors):
            assert len(uses(people, label, sealed)) == count
    words = ("audit", "show", "--account", two.a, "--last", "400", "--json")
    shown = json.loads(two.region.cli(*words).stdout)
    opened = ("kms.Decrypt", {"KeyId": sealed.arn})
    for operation, named in (("s3.GetObject", sealed.there), opened):
        told = [each["label"] for each in shown if read_by(two.b, each, operation, named)]
        assert sorted(told) == ["S", "U"]


def read_by(account, record, operation, named):
    who = record.get("principal", "").split(":")[4:5]
    return (record["operation"], record.get("resources"), who) == (operation, named, [account])
