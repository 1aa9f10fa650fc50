"""SSE-KMS by boto3: an object lives and dies with the key that it was put under."""

import json

import pytest
from tests.gate_live import create
from tests.service.test_service_kms import client_of, policy_of, refused

BUCKET = "sealed-by-kms"
BODY = b"the agency's own" * 10_000


@pytest.fixture(scope="module")
def s3(region):
    return region.s3(BUCKET, "alpha")


@pytest.fixture(scope="module")
def kms(region):
    return region.client("kms", "alpha")


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


def under(key):
    return {"Bucket": BUCKET, "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}


def read(s3, name):
    return s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()


def test_an_object_is_read_while_its_key_is(s3, kms, key, desk):
    put = s3.put_object(Key="a", Body=BODY, **under(key))
    assert put["SSEKMSKeyId"] == key
    got = s3.get_object(Bucket=BUCKET, Key="a")
    assert (got["Body"].read(), got["ServerSideEncryption"]) == (BODY, "aws:kms")
    assert s3.head_object(Bucket=BUCKET, Key="a")["SSEKMSKeyId"] == key
    kms.disable_key(KeyId=key)
    refused("KMS.DisabledException", s3.get_object, Bucket=BUCKET, Key="a")
    refused("KMS.DisabledException", s3.put_object, Key="b", Body=b"x", **under(key))
    kms.enable_key(KeyId=key)
    assert read(s3, "a") == BODY
    desk.agreed(kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=7)
    refused("KMS.KMSInvalidStateException", s3.get_object, Bucket=BUCKET, Key="a")


def test_keys_may_be_named_by_alias_and_are_rotated(s3, kms, key):
    kms.create_alias(AliasName="alias/of-objects", TargetKeyId=key)
    put = s3.put_object(Key="by-alias", Body=BODY, **under("alias/of-objects"))
    assert put["SSEKMSKeyId"] == key
    kms.rotate_key_on_demand(KeyId=key)
    assert read(s3, "by-alias") == BODY
    refused("KMS.NotFoundException", s3.put_object, Key="x", Body=b"x", **under("alias/none"))
    refused("AccessDenied", s3.put_object, Key="x", Body=b"x", **under(
        key.replace(key.split(":")[4], "999999999999")
    ))  # fmt: skip


def test_a_buckets_default_key(s3, kms, key):
    rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key.rpartition("/")[2]}
    s3.put_bucket_encryption(
        Bucket=BUCKET,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": rule, "BucketKeyEnabled": True}]
        },
    )
    (shown,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert shown["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == key
    assert s3.put_object(Bucket=BUCKET, Key="default", Body=BODY)["SSEKMSKeyId"] == key
    s3.delete_bucket_encryption(Bucket=BUCKET)
    put = s3.put_object(Bucket=BUCKET, Key="plain", Body=BODY)
    assert put["ServerSideEncryption"] == "AES256"
    assert read(s3, "default") == BODY


@pytest.mark.parametrize(
    "named",
    [
        "nonsense",
        "arn:aws-us-gov:kms:us-gov-west-1:{account}:key/nonsense",
        "arn:aws-us-gov:kms:us-gov-west-1:999999999999:key/{id}",
        "arn:aws-us-gov:kms:us-gov-east-1:{account}:key/{id}",
        "arn:aws:kms:us-gov-west-1:{account}:key/{id}",
        "arn:aws-us-gov:s3:::{id}",
        "alias/absent",
        "{id}/{id}",
    ],
)
def test_what_can_be_no_key_here_is_no_buckets_default(s3, key, named):
    _, _, _, _, account, name = key.split(":")
    default = {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": named.format(account=account, id=name.removeprefix("key/")),
    }
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    error = refused(
        "InvalidArgument", s3.put_bucket_encryption,
        Bucket=BUCKET, ServerSideEncryptionConfiguration=rules,
    )  # fmt: skip
    assert error.response["Error"]["ArgumentName"] == "KMSMasterKeyID"
    assert s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")["ServerSideEncryption"] == "AES256"


def test_who_may_read_the_object_needs_the_key_too(region, s3, kms, key):
    iam = region.client("iam", "alpha")
    arn = iam.create_user(UserName="reader")["User"]["Arn"]
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    iam.put_user_policy(
        UserName="reader", PolicyName="p", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [everything]}
        ),
    )  # fmt: skip
    made = iam.create_access_key(UserName="reader")["AccessKey"]
    reader = client_of(region, "alpha", made, "s3")
    s3.put_object(Key="a", Body=BODY, **under(key))
    refused("AccessDenied", reader.get_object, Bucket=BUCKET, Key="a")
    refused("AccessDenied", reader.put_object, Key="b", Body=b"x", **under(key))
    refused("AccessDenied", reader.copy_object, Bucket=BUCKET, Key="c", CopySource=f"{BUCKET}/a")
    grant = kms.create_grant(
        KeyId=key, GranteePrincipal=arn, Operations=["Decrypt"],
        Constraints={"EncryptionContextEquals": {
            "aws:s3:arn": f"arn:aws-us-gov:s3:::{BUCKET}/a"
        }},
    )  # fmt: skip
    assert reader.get_object(Bucket=BUCKET, Key="a")["Body"].read() == BODY
    s3.put_object(Key="d", Body=BODY, **under(key))
    refused("AccessDenied", reader.get_object, Bucket=BUCKET, Key="d")
    kms.revoke_grant(KeyId=key, GrantId=grant["GrantId"])
    admin = region.client("sts", "alpha").get_caller_identity()["Arn"]
    by_s3 = {"StringEquals": {"kms:ViaService": "s3.us-gov-west-1.amazonaws.com"}}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy_of(
        {"Effect": "Allow", "Principal": {"AWS": admin}, "Action": "kms:*", "Resource": "*"},
        {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "kms:*", "Resource": "*",
         "Condition": by_s3},
    ))  # fmt: skip
    assert reader.get_object(Bucket=BUCKET, Key="a")["Body"].read() == BODY
    refused(
        "AccessDeniedException", client_of(region, "alpha", made).encrypt, KeyId=key, Plaintext=b"x"
    )


def test_the_gate_carries_what_the_policy_of_the_key_lets_it(region, s3, kms, key):
    """Its principal is a service, `transfer.bastide`, which reads through S3."""
    s3.put_object(Key="carried/a", Body=BODY, **under(key))
    admin = region.client("sts", "alpha").get_caller_identity()["Arn"]

    def carried(via, effect="Allow", principal=None):
        condition = {"StringEquals": {"kms:ViaService": f"{via}.us-gov-west-1.amazonaws.com"}}
        own = {"Effect": "Allow", "Principal": {"AWS": admin}, "Action": "kms:*", "Resource": "*"}
        one = {**own, "Principal": principal or {"Service": "transfer.bastide"}, "Effect": effect}
        one |= {"Action": "kms:Decrypt", "Condition": condition}
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy_of(own, one))
        return create(region, "us-iso-east-1", "alpha", BUCKET, "carried/")

    no = f"carried/a: transfer.bastide is not authorized to perform: kms:Decrypt on resource: {key}"
    assert no in create(region, "us-iso-east-1", "alpha", BUCKET, "carried/")
    assert no in carried("sqs")
    assert no in carried("s3", "Deny")
    assert no in carried("s3", principal={"Service": "cloudtrail.amazonaws.com"})
    assert carried("s3")["items"] == 1
    kms.disable_key(KeyId=key)
    assert "disabled" in create(region, "us-iso-east-1", "alpha", BUCKET, "carried/")
