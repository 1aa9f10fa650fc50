"""What somebody without clearance asks of what lies above them: the ways, as rows.

Each way is asked twice by the outsider, of something that lies at S//SI and of something that never
was: the answers must be the same but for the names in them. Its control is the same call by a
session at S//SI, which is answered: the way leads somewhere.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.walls_live import People

WHERE = {"LocationConstraint": "us-gov-west-1"}
LABEL = "S//SI"
SECRET = "the-canary-sings-at-noon"
PASSED = "sagemaker-scikit-learn:1.2-1-cpu-py3"
IMAGE = f"1.dkr.ecr.us-gov-west-1.amazonaws.com/{PASSED}"
NAMESPACE = "Canary"


@dataclass(frozen=True, kw_only=True)
class Prey:
    """One of everything. `common` is a bucket at U, where `key` is at S//SI; all else is there."""

    common: str = "common"
    bucket: str
    key: str
    version: str
    done: str  # an upload that became `key`
    etag: str  # of its one part
    open: str  # an upload that goes on
    key_id: str
    key_arn: str
    sealed: bytes
    alias: str
    group: str
    metric: str
    trail: str
    model: str
    grant: str

    def told(self, text: str) -> str:
        """`text` with each name replaced by what it is the name of."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        names = {n: v for n, v in named.items() if isinstance(v, str) and n != "common"}
        for name, value in sorted(names.items(), key=lambda pair: -len(pair[1])):
            text = text.replace(value, f"<{name}>")
        return text


def hidden(people: People, *, trail: bool = False) -> Prey:
    """All of it made by a session at S//SI. Of trails an agency has five: one only if asked."""
    keys = people.assume(LABEL)

    def high(service: str) -> Any:
        return people.with_keys(keys, service)

    s3, kms, logs, name = high("s3"), high("kms"), high("logs"), f"x{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=WHERE)
    s3.put_bucket_policy(Bucket=name, Policy=for_trails(name))
    s3.put_object(Bucket=name, Key="inside", Body=SECRET)
    done = s3.create_multipart_upload(Bucket="common", Key=name)["UploadId"]
    part = {"Bucket": "common", "Key": name, "UploadId": done, "PartNumber": 1}
    etag = s3.upload_part(**part, Body=SECRET)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    made = s3.complete_multipart_upload(
        Bucket="common", Key=name, UploadId=done, MultipartUpload=parts
    )
    going = s3.create_multipart_upload(Bucket="common", Key=f"{name}-going")["UploadId"]
    key = kms.create_key(Description=SECRET)["KeyMetadata"]
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=SECRET)["CiphertextBlob"]
    granted = {"GranteePrincipal": people.role_arn, "Operations": ["Decrypt"]}
    grant = kms.create_grant(KeyId=key["KeyId"], **granted)["GrantId"]
    logs.create_log_group(logGroupName=f"/{name}")
    logs.create_log_stream(logGroupName=f"/{name}", logStreamName="s")
    event = {"timestamp": int(datetime.now(UTC).timestamp() * 1000), "message": SECRET}
    logs.put_log_events(logGroupName=f"/{name}", logStreamName="s", logEvents=[event])
    high("cloudwatch").put_metric_data(
        Namespace=NAMESPACE, MetricData=[{"MetricName": name, "Value": 1.0}]
    )
    if trail:
        high("cloudtrail").create_trail(Name=name, S3BucketName=name)
    high("sagemaker").create_model(ModelName=name, **a_model(people))
    return Prey(
        bucket=name, key=name, version=made["VersionId"], done=done, etag=etag, open=going,
        key_id=key["KeyId"], key_arn=key["Arn"], sealed=sealed, alias=f"alias/{name}",
        group=f"/{name}", metric=name, trail=name, model=name, grant=grant,
    )  # fmt: skip


def nothing(like: Prey) -> Prey:
    """Names of the same form that nothing ever had."""
    name, key_id = f"x{uuid.uuid4().hex[:12]}", str(uuid.uuid4())
    return Prey(
        bucket=name, key=name, version=like.version[::-1], done=str(uuid.uuid4()),
        etag=like.etag, open=str(uuid.uuid4()), key_id=key_id,
        key_arn=like.key_arn.replace(like.key_id, key_id), sealed=bytes(len(like.sealed)),
        alias=f"alias/{name}", group=f"/{name}", metric=name, trail=name, model=name,
        grant=like.grant[::-1],
    )  # fmt: skip


def a_model(people: People) -> dict[str, Any]:
    role = people.region.account(people.agency)["role_arn"]
    return {"ExecutionRoleArn": role, "PrimaryContainer": {"Image": IMAGE}}


def for_trails(bucket: str) -> str:
    """A bucket's policy that lets CloudTrail write."""
    arn = f"arn:aws-us-gov:s3:::{bucket}"
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudtrail.amazonaws.com"},
        "Action": ["s3:GetBucketAcl", "s3:PutObject"],
        "Resource": [arn, f"{arn}/*"],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


@dataclass(frozen=True)
class Way:
    """A call, its parameters of a prey, and the code that says that nothing is there. `spoils`: it
    changes something, so it has a prey of its own."""

    name: str
    call: str  # service.operation
    params: Callable[[Prey], dict[str, Any]] = field(repr=False)
    code: str = ""
    spoils: bool = False

    @property
    def of_trail(self) -> bool:
        return self.call.startswith("cloudtrail.")


def of(*members: str, **more: Any) -> Callable[[Prey], dict[str, Any]]:
    """`Bucket=common` names a field of the prey."""
    pairs = [member.partition("=") for member in members]
    return lambda prey: {name: getattr(prey, of) for name, _, of in pairs} | more


_KEY = ("Bucket=common", "Key=key")
_INSIDE = {"Key": "inside"}
_TAGS = {"Tagging": {"TagSet": [{"Key": "mine", "Value": "now"}]}}
_SPAN = {"StartTime": datetime.now(UTC) - timedelta(days=1),
         "EndTime": datetime.now(UTC) + timedelta(days=1)}  # fmt: skip


def _copied(prey: Prey) -> dict[str, Any]:
    source = {"Bucket": prey.common, "Key": prey.key}
    return {"Bucket": prey.common, "Key": f"{prey.key}-copy", "CopySource": source}


def _copied_version(prey: Prey) -> dict[str, Any]:
    found = _copied(prey)
    return found | {"CopySource": found["CopySource"] | {"VersionId": prey.version}}


def _completed(prey: Prey) -> dict[str, Any]:
    parts = {"Parts": [{"PartNumber": 1, "ETag": prey.etag}]}
    return of(*_KEY, "UploadId=done")(prey) | {"MultipartUpload": parts}


def _going(*more: str, **rest: Any) -> Callable[[Prey], dict[str, Any]]:
    return lambda prey: (
        of("Bucket=common", "UploadId=open", *more, **rest)(prey) | {"Key": f"{prey.key}-going"}
    )


def _sealed_under(prey: Prey) -> dict[str, Any]:
    sealing = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": prey.key_arn}
    return {"Bucket": prey.common, "Key": f"{prey.key}-sealed", "Body": b"", **sealing}


def _statistics(prey: Prey) -> dict[str, Any]:
    wanted = {"Namespace": NAMESPACE, "MetricName": prey.metric, "Statistics": ["Sum"]}
    return {**wanted, **_SPAN, "Period": 86_400}


def _tags_of_model(prey: Prey) -> dict[str, Any]:
    head = prey.key_arn.replace(":kms:", ":sagemaker:").partition(":key/")[0]
    return {"ResourceArn": f"{head}:model/{prey.model}"}


GONE = (
    # S3: an object that lies above, in a bucket that the outsider sees
    Way("read_an_object", "s3.get_object", of(*_KEY), "NoSuchKey"),
    Way("read_a_range_of_it", "s3.get_object", of(*_KEY, Range="bytes=0-0"), "NoSuchKey"),
    Way("read_a_part_of_it", "s3.get_object", of(*_KEY, PartNumber=1), "NoSuchKey"),
    Way("read_it_if_it_matches", "s3.get_object", of(*_KEY, IfNoneMatch="x"), "NoSuchKey"),
    Way("read_it_by_its_version", "s3.get_object", of(*_KEY, "VersionId=version"), "NoSuchVersion"),
    Way("ask_for_its_head", "s3.head_object", of(*_KEY), "404"),
    Way("ask_for_its_attributes", "s3.get_object_attributes",
        of(*_KEY, ObjectAttributes=["ETag", "ObjectSize"]), "NoSuchKey"),
    Way("read_its_tags", "s3.get_object_tagging", of(*_KEY), "NoSuchKey"),
    Way("read_its_acl", "s3.get_object_acl", of(*_KEY), "NoSuchKey"),
    Way("copy_it_down", "s3.copy_object", _copied, "NoSuchKey"),
    Way("copy_its_version_down", "s3.copy_object", _copied_version, "NoSuchVersion"),
    Way("tag_it", "s3.put_object_tagging", of(*_KEY, **_TAGS), "NoSuchKey", spoils=True),
    Way("list_the_parts_of_its_upload", "s3.list_parts", _going(), "NoSuchUpload"),
    Way("add_a_part_to_its_upload", "s3.upload_part", _going(PartNumber=2, Body=b"x"),
        "NoSuchUpload"),
    Way("abort_its_upload", "s3.abort_multipart_upload", _going(), "NoSuchUpload", spoils=True),
    Way("complete_its_upload_again", "s3.complete_multipart_upload", _completed, "NoSuchUpload"),
    # S3: a bucket that lies above
    Way("ask_for_the_head_of_a_bucket", "s3.head_bucket", of("Bucket=bucket"), "404"),
    Way("list_a_bucket", "s3.list_objects_v2", of("Bucket=bucket"), "NoSuchBucket"),
    Way("read_from_a_bucket", "s3.get_object", of("Bucket=bucket", **_INSIDE), "NoSuchBucket"),
    Way("write_to_a_bucket", "s3.put_object", of("Bucket=bucket", Key="k", Body=b"x"),
        "NoSuchBucket"),
    Way("read_the_policy_of_a_bucket", "s3.get_bucket_policy", of("Bucket=bucket"), "NoSuchBucket"),
    Way("open_a_bucket_by_policy", "s3.put_bucket_policy",
        lambda prey: {"Bucket": prey.bucket, "Policy": for_trails(prey.bucket)}, "NoSuchBucket",
        spoils=True),
    Way("lower_a_bucket_by_a_tag", "s3.delete_bucket_tagging", of("Bucket=bucket"), "NoSuchBucket",
        spoils=True),
    # KMS
    Way("describe_a_key", "kms.describe_key", of("KeyId=key_arn"), "NotFoundException"),
    Way("seal_with_a_key", "kms.encrypt", of("KeyId=key_id", Plaintext=b"x"), "NotFoundException"),
    Way("have_a_data_key", "kms.generate_data_key", of("KeyId=key_id", KeySpec="AES_256"),
        "NotFoundException"),
    Way("use_a_key_by_its_alias", "kms.encrypt", of("KeyId=alias", Plaintext=b"x"),
        "NotFoundException"),
    Way("seal_an_object_with_a_key", "s3.put_object", _sealed_under, "KMS.NotFoundException"),
    Way("see_who_may_use_a_key", "kms.list_grants", of("KeyId=key_id"), "NotFoundException"),
    Way("let_oneself_use_a_key", "kms.put_key_policy",
        lambda prey: {"KeyId": prey.key_id, "Policy": key_policy(prey)}, "NotFoundException",
        spoils=True),
    Way("switch_a_key_off", "kms.disable_key", of("KeyId=key_id"), "NotFoundException",
        spoils=True),
    Way("revoke_a_grant", "kms.revoke_grant", of("KeyId=key_id", "GrantId=grant"),
        "NotFoundException", spoils=True),
    # logs, trails and models
    Way("read_a_log", "logs.get_log_events", of("logGroupName=group", logStreamName="s"),
        "ResourceNotFoundException"),
    Way("search_a_log", "logs.filter_log_events", of("logGroupName=group"),
        "ResourceNotFoundException"),
    Way("list_the_streams_of_a_log", "logs.describe_log_streams", of("logGroupName=group"),
        "ResourceNotFoundException"),
    Way("delete_a_log", "logs.delete_log_group", of("logGroupName=group"),
        "ResourceNotFoundException", spoils=True),
    Way("look_at_a_trail", "cloudtrail.get_trail", of("Name=trail"), "TrailNotFoundException"),
    Way("end_a_trail", "cloudtrail.delete_trail", of("Name=trail"), "TrailNotFoundException",
        spoils=True),
    Way("describe_a_model", "sagemaker.describe_model", of("ModelName=model"),
        "ValidationException"),
    Way("read_the_tags_of_a_model", "sagemaker.list_tags", _tags_of_model, "ValidationException"),
    Way("delete_a_model", "sagemaker.delete_model", of("ModelName=model"), "ValidationException",
        spoils=True),
)  # fmt: skip

# They succeed for whoever asks. The outsider's answer holds nothing of what lies above.
LISTS = (
    Way("list_the_objects", "s3.list_objects_v2", of("Bucket=common", "Prefix=key")),
    Way("list_the_versions", "s3.list_object_versions", of("Bucket=common", "Prefix=key")),
    Way("list_the_uploads", "s3.list_multipart_uploads", of("Bucket=common", "Prefix=key")),
    Way("list_the_buckets", "s3.list_buckets", of("Prefix=bucket")),
    Way("list_the_keys", "kms.list_keys", of()),
    Way("list_the_aliases", "kms.list_aliases", of()),
    Way("list_the_logs", "logs.describe_log_groups", of("logGroupNamePrefix=group")),
    Way("list_the_metrics", "cloudwatch.list_metrics", of("MetricName=metric")),
    Way("count_with_a_metric", "cloudwatch.get_metric_statistics", _statistics),
    Way("list_the_trails", "cloudtrail.describe_trails", of()),
    Way("list_the_models", "sagemaker.list_models", of("NameContains=model")),
)

# What is hidden takes no name, and stands in nobody's way.
FREE = (
    Way("put_where_nothing_seems_to_be", "s3.put_object", of(*_KEY, Body=b"mine", IfNoneMatch="*")),
    Way("delete_what_seems_to_be_none", "s3.delete_object", of(*_KEY)),
    Way("delete_a_version_that_seems_none", "s3.delete_object", of(*_KEY, "VersionId=version")),
    Way("make_a_bucket_of_the_name", "s3.create_bucket",
        of("Bucket=bucket", CreateBucketConfiguration=WHERE)),
    Way("make_a_log_of_the_name", "logs.create_log_group", of("logGroupName=group")),
    Way("make_a_trail_of_the_name", "cloudtrail.create_trail",
        of("Name=trail", S3BucketName="common")),
)  # fmt: skip


def key_policy(prey: Prey) -> str:
    account = prey.key_arn.split(":")[4]
    allowed = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws-us-gov:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
