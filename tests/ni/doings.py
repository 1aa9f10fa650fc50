"""What sessions do: calls drawn from a seed, over few names, so that levels meet in all of them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Any

from bastide.kernel.clock import epoch_ms
from tests.live import NAME
from tests.ni import models
from tests.ni.memory import Memory, Step
from tests.ni.models import IMAGE

BUCKETS, KEYS = ("alpha-box", "beta-box"), ("a", "b/1", "b/2", "c")
GROUPS, STREAMS, METRICS = ("/one", "/two"), ("s1", "s2"), ("m1", "m2")
JOBS = ("job-1", "job-2")
ALIASES, NO_KEY = ("alias/one", "alias/two"), "00000000-0000-4000-8000-000000000000"
# A look-up may be done before its own record is durable: it is a read, so it asks for none.
WRITES = {"LookupAttributes": [{"AttributeKey": "ReadOnly", "AttributeValue": "false"}]}
PLACE = {"LocationConstraint": NAME}


class Doings:
    """One session's calls. Two of the same seed do the same, as long as they are told the same."""

    def __init__(self, seed: str, memory: Memory) -> None:
        self.random = Random(seed)
        self.memory = memory

    def changes(self, count: int) -> Iterator[Step]:
        for _ in range(count):
            yield self.random.choice(CHANGES)(self)

    def hidden_changes(self, count: int) -> Iterator[Step]:
        """Those that only ever come from above: how far a job is depends on the moment, so that
        an observer may look for one of others, and not at its own."""
        for _ in range(count):
            yield self.random.choice((*CHANGES, Doings.job, Doings.endpoint, Doings.secret))(self)

    def looks(self, count: int) -> Iterator[Step]:
        for _ in range(count):
            yield self.random.choice(LOOKS)(self)

    def bucket(self) -> dict[str, Any]:
        return {"Bucket": self.random.choice(BUCKETS)}

    def object(self) -> dict[str, Any]:
        return {**self.bucket(), "Key": self.random.choice(KEYS)}

    def version(self) -> dict[str, Any]:
        """An object, now and then by a version that was seen before."""
        if not self.memory.versions or self.random.random() < 0.5:
            return self.object()
        bucket, key, version = self.random.choice(self.memory.versions)
        return {"Bucket": bucket, "Key": key, "VersionId": version}

    def upload(self) -> dict[str, Any]:
        if not self.memory.uploads:
            return {**self.object(), "UploadId": "none"}
        bucket, key, upload = self.random.choice(self.memory.uploads)
        return {"Bucket": bucket, "Key": key, "UploadId": upload}

    def completed(self) -> dict[str, Any]:
        upload = self.upload()
        part = {"PartNumber": 1, "ETag": self.memory.parts.get(upload["UploadId"], "none")}
        return {**upload, "MultipartUpload": {"Parts": [part]}}

    def sealed(self) -> dict[str, Any]:
        """An object under a KMS key."""
        key = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key()}
        return {**self.object(), **self.body(), **key}

    def kms_key(self) -> str:
        """By an alias, or by the id of one that was made before."""
        made = self.random.choice(self.memory.keys) if self.memory.keys else NO_KEY
        return self.random.choice((*ALIASES, made))

    def alias(self) -> dict[str, Any]:
        return {"AliasName": self.random.choice(ALIASES)}

    def job(self) -> Step:
        return training(self.random.choice(JOBS), self.memory.role_arn)

    def endpoint(self) -> Step:
        return models.endpoint(
            self.random.choice(models.ENDPOINTS), self.random.choice(models.KINDS)
        )

    def secret(self) -> Step:
        return models.asked(models.SECRET)

    def body(self) -> dict[str, Any]:
        return {"Body": self.random.randbytes(self.random.choice((0, 3, 900)))}

    def group(self) -> dict[str, Any]:
        return {"logGroupName": self.random.choice(GROUPS)}

    def stream(self) -> dict[str, Any]:
        return {**self.group(), "logStreamName": self.random.choice(STREAMS)}

    def page(self, name: str, most: int = 3) -> dict[str, Any]:
        return {name: self.random.randint(1, most)}

    def line(self) -> dict[str, Any]:
        self.memory.lines += 1
        moment = epoch_ms(self.memory.began) + self.memory.lines
        text = "x" * self.random.randint(1, 40)
        return {"logEvents": [{"timestamp": moment, "message": text}]}

    def datum(self) -> dict[str, Any]:
        value, name = float(self.random.randint(1, 9)), self.random.choice(METRICS)
        datum = {"MetricName": name, "Value": value, "Timestamp": self.memory.began}
        return {"Namespace": "Site", "MetricData": [datum]}

    def span(self) -> dict[str, Any]:
        hour = timedelta(hours=1)
        return {"StartTime": self.memory.began - hour, "EndTime": self.memory.began + hour}


def _s3(name: str, request: Callable[[Doings], dict[str, Any]]) -> Callable[[Doings], Step]:
    return lambda it: ("s3", name, request(it))


def _logs(name: str, request: Callable[[Doings], dict[str, Any]]) -> Callable[[Doings], Step]:
    return lambda it: ("logs", name, request(it))


def _kms(name: str, request: Callable[[Doings], dict[str, Any]]) -> Callable[[Doings], Step]:
    return lambda it: ("kms", name, request(it))


def _tag(it: Doings) -> dict[str, Any]:
    return {"TagSet": [{"Key": "colour", "Value": it.random.choice(("red", "blue"))}]}


# Refused before anything is loaded: the model is absent.
CONVERSE: Step = ("bedrock-runtime", "converse", {
    "modelId": "absent.model", "messages": [{"role": "user", "content": [{"text": "?"}]}],
})  # fmt: skip


def training(name: str, role_arn: str, bucket: str = "no-such-box", **how: Any) -> Step:
    """A job that is made. It fails before it runs where there is nothing where its data should be:
    in no bucket. `how` says what it runs."""
    return "sagemaker", "create_training_job", {
        "TrainingJobName": name,
        "RoleArn": role_arn,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File", **how},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {
            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/"},
        }}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/"},
        "ResourceConfig": {
            "InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }  # fmt: skip


CHANGES = (
    _s3("create_bucket", lambda it: {**it.bucket(), "CreateBucketConfiguration": PLACE}),
    _s3("create_bucket", lambda it: {**it.bucket(), "CreateBucketConfiguration": PLACE}),
    *[_s3("put_object", lambda it: {**it.object(), **it.body()})] * 5,
    _s3("put_object", lambda it: {**it.object(), **it.body(), "IfNoneMatch": "*"}),
    _s3("delete_object", lambda it: it.object()),
    _s3("delete_object", lambda it: it.version()),
    _s3("delete_bucket", lambda it: it.bucket()),
    _s3("put_bucket_versioning", lambda it: {
        **it.bucket(),
        "VersioningConfiguration": {"Status": it.random.choice(("Enabled", "Suspended"))},
    }),
    _s3("put_object_tagging", lambda it: {**it.version(), "Tagging": _tag(it)}),
    _s3("put_bucket_tagging", lambda it: {**it.bucket(), "Tagging": _tag(it)}),
    _s3("create_multipart_upload", lambda it: it.object()),
    _s3("upload_part", lambda it: {**it.upload(), **it.body(), "PartNumber": 1}),
    _s3("complete_multipart_upload", lambda it: it.completed()),
    _s3("abort_multipart_upload", lambda it: it.upload()),
    _s3("put_object", lambda it: it.sealed()),
    _s3("copy_object", lambda it: {**it.object(), "CopySource": it.object()}),
    _logs("create_log_group", lambda it: it.group()),
    _logs("create_log_stream", lambda it: it.stream()),
    *[_logs("put_log_events", lambda it: {**it.stream(), **it.line()})] * 3,
    _logs("put_retention_policy", lambda it: {**it.group(), "retentionInDays": 7}),
    _logs("tag_log_group", lambda it: {**it.group(), "tags": {"colour": "red"}}),
    _logs("delete_log_stream", lambda it: it.stream()),
    _logs("delete_log_group", lambda it: it.group()),
    *[lambda it: ("cloudwatch", "put_metric_data", it.datum())] * 2,
    _kms("create_key", lambda it: {}),
    _kms("create_alias", lambda it: {**it.alias(), "TargetKeyId": it.kms_key()}),
    _kms("delete_alias", lambda it: it.alias()),
    _kms("disable_key", lambda it: {"KeyId": it.kms_key()}),
    lambda it: ("iam", "get_role", {"RoleName": "none"}),
    lambda it: CONVERSE,
    *models.changes(),
)  # fmt: skip
LOOKS = (
    _s3("list_buckets", lambda it: it.page("MaxBuckets")),
    _s3("head_bucket", lambda it: it.bucket()),
    _s3("list_objects_v2", lambda it: {**it.bucket(), **it.page("MaxKeys")}),
    _s3("list_objects_v2", lambda it: {**it.bucket(), "Delimiter": "/"}),
    _s3("list_object_versions", lambda it: {**it.bucket(), **it.page("MaxKeys", 5)}),
    _s3("list_object_versions", lambda it: it.bucket()),
    _s3("list_multipart_uploads", lambda it: it.bucket()),
    _s3("list_parts", lambda it: it.upload()),
    _s3("get_object", lambda it: it.version()),
    _s3("head_object", lambda it: it.version()),
    _s3("get_object_tagging", lambda it: it.version()),
    _s3("get_bucket_tagging", lambda it: it.bucket()),
    _s3("get_bucket_versioning", lambda it: it.bucket()),
    _logs("describe_log_groups", lambda it: it.page("limit", 2)),
    _logs("describe_log_streams", lambda it: {**it.group(), **it.page("limit", 2)}),
    _logs("describe_log_streams", lambda it: {**it.group(), "orderBy": "LastEventTime"}),
    _logs("get_log_events", lambda it: {**it.stream(), **it.page("limit")}),
    _logs("filter_log_events", lambda it: {**it.group(), **it.page("limit")}),
    _logs("list_tags_log_group", lambda it: it.group()),
    lambda it: ("sagemaker", "list_training_jobs", it.page("MaxResults")),
    lambda it: ("sagemaker", "describe_training_job", {"TrainingJobName": it.random.choice(JOBS)}),
    lambda it: CONVERSE,
    _kms("list_aliases", lambda it: it.page("Limit", 2)),
    _kms("list_keys", lambda it: {}),  # whole: a page of random names holds others each time
    _kms("describe_key", lambda it: {"KeyId": it.kms_key()}),
    _kms("encrypt", lambda it: {"KeyId": it.kms_key(), "Plaintext": b"said"}),
    lambda it: ("cloudwatch", "list_metrics", {}),
    lambda it: ("cloudwatch", "get_metric_statistics", {
        **it.span(), "Namespace": "Site", "MetricName": it.random.choice(METRICS), "Period": 60,
        "Statistics": ["Sum", "SampleCount"],
    }),
    lambda it: ("cloudtrail", "lookup_events", {**it.page("MaxResults", 4), **WRITES}),
    *models.looks(),
)  # fmt: skip
