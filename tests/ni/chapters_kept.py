"""What is done with keys, buckets, trails and logs beyond what tests/ni/doings.py draws: one
chapter each, every operation on what is below and on what is above."""

import json
from datetime import timedelta
from typing import Any

from tests.ni.thinking import Answer, Cast, Chapter, Steps

WHERE = {"LocationConstraint": "us-gov-west-1"}

# Keys.

NO_KEY = "0000000{}-0000-4000-8000-000000000000"
DATA = b"the convoy leaves at dawn"
ONES = {
    "one": {}, "mac": {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
    "pen": {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"},
}  # fmt: skip


def _kms(operation: str, key: str = "", **asked: Any) -> tuple[str, str, dict[str, Any]]:
    return "kms", operation, {**({"KeyId": key} if key else {}), **asked}


def _keys_made(kept: dict[str, Any]) -> Steps:
    for name, how in ONES.items():
        answer = yield _kms("create_key", **how)
        kept[name] = answer.get("KeyMetadata", {}).get("KeyId", "none")
    yield _kms("create_alias", AliasName="alias/ours", TargetKeyId=kept["one"])


def _keys_begin(it: Cast) -> Steps:
    yield from _keys_made(it.known)


def _keys_above(it: Cast, label: str) -> Steps:
    yield from _keys_made(it.above)
    own, grant = it.above["one"], {"GranteePrincipal": it.worker, "Operations": ["Encrypt"]}
    for key in (own, it.known["one"]):
        yield _kms("create_grant", key, **grant, RetiringPrincipal=it.worker)
        yield _kms("tag_resource", key, Tags=[{"TagKey": "above", "TagValue": label}])
        yield _kms("rotate_key_on_demand", key)
        yield _kms("encrypt", key, Plaintext=DATA)
    for name in ("disable_key", "schedule_key_deletion"):
        yield _kms(name, it.known["one"])


def _keys_below(it: Cast) -> Steps:
    hidden, mac, pen = (it.hidden(one, NO_KEY.format(n)) for n, one in enumerate(ONES))
    grant = {"GranteePrincipal": it.worker, "Operations": ["Encrypt", "RetireGrant"]}
    for key in (it.known["one"], hidden):
        yield from _looked_at(key)
        yield from _sealed(key, it.known["one"])
        answer = yield _kms("create_grant", key, **grant, RetiringPrincipal=it.worker)
        found = answer.get("GrantId", "0" * 64)
        yield _kms("list_retirable_grants", RetiringPrincipal=it.worker)
        yield _kms("retire_grant", key, GrantId=found)
        answer = yield _kms("create_grant", key, **grant)
        yield _kms("revoke_grant", key, GrantId=answer.get("GrantId", "0" * 64))
    yield from _signed(it.known["mac"], it.known["pen"])
    yield from _signed(mac, pen)
    yield _kms("generate_random", NumberOfBytes=32)
    for key in (hidden, it.known["one"]):
        yield from _changed(key)


def _looked_at(key: str) -> Steps:
    for name in (
        "describe_key", "list_key_policies", "list_grants", "list_resource_tags",
        "get_key_rotation_status", "list_key_rotations",
    ):  # fmt: skip
        yield _kms(name, key)
    yield _kms("get_key_policy", key, PolicyName="default")


def _sealed(key: str, own: str) -> Steps:
    answer = yield _kms("encrypt", key, Plaintext=DATA)
    sealed = answer.get("CiphertextBlob", b"nothing")
    yield _kms("decrypt", CiphertextBlob=sealed)
    yield _kms("re_encrypt", CiphertextBlob=sealed, DestinationKeyId=own)
    for name in ("generate_data_key", "generate_data_key_without_plaintext"):
        yield _kms(name, key, KeySpec="AES_256")


def _signed(mac: str, pen: str) -> Steps:
    how = {"Message": DATA, "MacAlgorithm": "HMAC_SHA_256"}
    answer = yield _kms("generate_mac", mac, **how)
    yield _kms("verify_mac", mac, **how, Mac=answer.get("Mac", b"0" * 32))
    how = {"Message": DATA, "SigningAlgorithm": "RSASSA_PSS_SHA_256"}
    yield _kms("get_public_key", pen)
    answer = yield _kms("sign", pen, **how)
    yield _kms("verify", pen, **how, Signature=answer.get("Signature", b"0" * 256))


def _changed(key: str) -> Steps:
    yield _kms("update_key_description", key, Description="ours")
    yield _kms("tag_resource", key, Tags=[{"TagKey": "a", "TagValue": "b"}])
    yield _kms("untag_resource", key, TagKeys=["a"])
    for name in (
        "enable_key_rotation", "disable_key_rotation", "rotate_key_on_demand", "disable_key",
        "enable_key", "schedule_key_deletion", "cancel_key_deletion", "describe_key",
    ):  # fmt: skip
        yield _kms(name, key)
    answer: Answer = yield _kms("get_key_policy", key, PolicyName="default")
    yield _kms("put_key_policy", key, Policy=answer.get("Policy", "{}"))
    yield _kms("update_alias", AliasName="alias/ours", TargetKeyId=key)


# Buckets.

BOX, BOX_ABOVE = "kept-box", "above-box"
SETTINGS = (
    "accelerate_configuration", "acl", "cors", "encryption", "lifecycle_configuration", "location",
    "logging", "notification_configuration", "ownership_controls", "policy", "policy_status",
    "replication", "request_payment", "website",
)  # fmt: skip


def _s3(operation: str, bucket: str, key: str = "", **asked: Any) -> Any:
    return "s3", operation, {"Bucket": bucket, **({"Key": key} if key else {}), **asked}


def _policy(bucket: str) -> str:
    statement = {
        "Effect": "Allow", "Principal": {"Service": "bedrock.amazonaws.com"},
        "Action": "s3:GetObject", "Resource": f"arn:aws-us-gov:s3:::{bucket}/*",
    }  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _boxes_begin(it: Cast) -> Steps:
    yield _s3("create_bucket", BOX, CreateBucketConfiguration=WHERE)
    for key in ("a", "b"):
        yield _s3("put_object", BOX, key, Body=b"low")


def _boxes_above(it: Cast, label: str) -> Steps:
    tags = {"TagSet": [{"Key": "above", "Value": label}]}
    for bucket in (BOX, BOX_ABOVE):
        yield _s3("create_bucket", bucket, CreateBucketConfiguration=WHERE)
        yield _s3("put_bucket_policy", bucket, Policy=_policy(bucket))
        for key in ("a", "above"):
            yield _s3("put_object", bucket, key, Body=b"high" * 9)
            yield _s3("put_object_tagging", bucket, key, Tagging=tags)


def _boxes_below(it: Cast) -> Steps:
    for bucket in (BOX, BOX_ABOVE):
        for name in SETTINGS:
            yield _s3(f"get_bucket_{name}", bucket)
        for name in ("get_object_lock_configuration", "get_public_access_block", "list_objects"):
            yield _s3(name, bucket)
        yield from _set(bucket)
        for key in ("a", "above"):
            yield from _handled(bucket, key)
        keys = {"Objects": [{"Key": key} for key in ("a", "b", "above")]}
        yield _s3("delete_objects", bucket, Delete=keys)
        yield _s3("list_objects", bucket)


def _set(bucket: str) -> Steps:
    sealing = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    owned = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    yield _s3("put_bucket_encryption", bucket,
              ServerSideEncryptionConfiguration={"Rules": [sealing]})  # fmt: skip
    yield _s3("delete_bucket_encryption", bucket)
    yield _s3("put_bucket_ownership_controls", bucket, OwnershipControls=owned)
    yield _s3("put_bucket_acl", bucket, ACL="private")
    yield _s3("put_bucket_policy", bucket, Policy=_policy(bucket))
    for name in ("get_bucket_policy", "get_bucket_policy_status", "delete_bucket_policy"):
        yield _s3(name, bucket)
    yield _s3("delete_bucket_tagging", bucket)


def _handled(bucket: str, key: str) -> Steps:
    source, parts = {"Bucket": bucket, "Key": key}, ["ETag", "ObjectSize"]
    yield _s3("get_object_attributes", bucket, key, ObjectAttributes=parts)
    yield _s3("get_object_acl", bucket, key)
    yield _s3("put_object_acl", bucket, key, ACL="private")
    yield _s3("delete_object_tagging", bucket, key)
    answer = yield _s3("create_multipart_upload", BOX, f"copy-{key}")
    upload = {"UploadId": answer["UploadId"]}
    yield _s3("upload_part_copy", BOX, f"copy-{key}", CopySource=source, PartNumber=1, **upload)
    yield _s3("abort_multipart_upload", BOX, f"copy-{key}", **upload)


# Trails, logs and metrics.

TRAILED = "trailed-box"


def _trail(operation: str, name: str = "ours", **asked: Any) -> tuple[str, str, dict[str, Any]]:
    return "cloudtrail", operation, {"Name": name, **asked}


def _datum(it: Cast, value: float) -> tuple[str, str, dict[str, Any]]:
    datum = {"MetricName": "m", "Value": value, "Timestamp": it.began}
    return "cloudwatch", "put_metric_data", {"Namespace": "Kept", "MetricData": [datum]}


def _trails_begin(it: Cast) -> Steps:
    yield _s3("create_bucket", TRAILED, CreateBucketConfiguration=WHERE)
    lets: list[dict[str, Any]] = [
        {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"},
         "Action": action, "Resource": f"arn:aws-us-gov:s3:::{TRAILED}{rest}"}
        for action, rest in (("s3:GetBucketAcl", ""), ("s3:PutObject", "/*"))
    ]  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": lets})
    yield _s3("put_bucket_policy", TRAILED, Policy=policy)
    yield _trail("create_trail", S3BucketName=TRAILED)
    yield "logs", "create_log_group", {"logGroupName": "/kept"}
    yield _datum(it, 1.0)


def _trails_above(it: Cast, label: str) -> Steps:
    for name in ("ours", "above"):
        yield _trail("create_trail", name, S3BucketName=TRAILED)
        yield _trail("start_logging", name)
    yield _trail("stop_logging", "above")
    yield "logs", "create_log_group", {"logGroupName": "/above"}
    yield "logs", "put_retention_policy", {"logGroupName": "/kept", "retentionInDays": 1}
    yield _datum(it, 2.0)


def _trails_below(it: Cast) -> Steps:
    yield "cloudtrail", "describe_trails", {}
    for name in ("ours", "above"):
        for look in ("get_trail", "get_trail_status"):
            yield _trail(look, name)
    for name in ("above", "ours"):
        for change in ("start_logging", "stop_logging", "delete_trail"):
            yield _trail(change, name)
    yield _trail("create_trail", "above", S3BucketName=TRAILED)
    yield "cloudtrail", "list_public_keys", {}
    span = {"StartTime": it.began - timedelta(hours=1), "EndTime": it.began + timedelta(hours=1)}
    stat = {"Metric": {"Namespace": "Kept", "MetricName": "m"}, "Period": 60, "Stat": "Sum"}
    yield "cloudwatch", "get_metric_data", {
        **span, "MetricDataQueries": [{"Id": "m", "MetricStat": stat}],
    }  # fmt: skip
    for group in ("/kept", "/above"):
        named = {"logGroupName": group}
        arn = {"resourceArn": it.arn("logs", f"log-group:{group}")}
        yield "logs", "tag_resource", {**arn, "tags": {"colour": "red"}}
        yield "logs", "list_tags_for_resource", arn
        yield "logs", "untag_resource", {**arn, "tagKeys": ["colour"]}
        yield "logs", "untag_log_group", {**named, "tags": ["colour"]}
        yield "logs", "delete_retention_policy", named


CHAPTERS: dict[str, Chapter] = {
    "keys": Chapter(_keys_begin, _keys_above, _keys_below),
    "boxes": Chapter(_boxes_begin, _boxes_above, _boxes_below),
    "trails": Chapter(_trails_begin, _trails_above, _trails_below),
}
