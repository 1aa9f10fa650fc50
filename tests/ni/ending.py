"""How each pair of histories ends: something lies below, as much as can be is put above and beside
it in one of the two, and then everything is looked at, taken away, and made again."""

from collections.abc import Iterator

from tests.ni import models
from tests.ni.doings import (
    ALIASES,
    BUCKETS,
    CONVERSE,
    GROUPS,
    JOBS,
    KEYS,
    NO_KEY,
    PLACE,
    STREAMS,
    WRITES,
    Doings,
    training,
)
from tests.ni.memory import Memory, Step

# Of names that nothing drawn has: so what lies there is the same whatever was drawn.
BELOW, ABOVE = "gamma-box", "delta-box"
GROUP_BELOW, GROUP_ABOVE = "/three", "/four"
ALIAS_ABOVE, JOB_ABOVE, KEY_ABOVE = "alias/above", "job-above", "whole"
SERVED_BELOW, SERVED_ABOVE, ANSWERS = "served-below", "served-above", "answers"
RUNS = "echo loss=0.5; cp -r /opt/ml/input/data/train/. $SM_MODEL_DIR"
SECOND_BELOW = "second-below"  # so that a page of one is followed by another
SERVED = (SERVED_BELOW, SERVED_ABOVE, ANSWERS)
ARTIFACT, JOB_RUN, JOB_GROUP, JOB_METRIC = (
    "model.tar.gz", "job-that-runs", "/aws/sagemaker/TrainingJobs", "loss",
)  # fmt: skip
# What a flood that counts has done, at one label at least: a refusal leaves nothing to be seen.
FLOODED = frozenset({
    "create_bucket", "put_object", "create_log_group", "put_log_events", "create_key",
    "create_alias", "complete_multipart_upload", "create_training_job", "create_model",
    "create_endpoint_config", "create_endpoint", "converse",
})  # fmt: skip
ALL_BUCKETS, ALL_GROUPS = (*BUCKETS, BELOW, ABOVE), (*GROUPS, GROUP_BELOW, GROUP_ABOVE)


def beginning(bucket: str, group: str) -> tuple[Step, ...]:
    """What there is to look at."""
    return (
        _bucket(bucket),
        ("s3", "put_object", {"Bucket": bucket, "Key": KEYS[0], "Body": b"low"}),
        ("logs", "create_log_group", {"logGroupName": group}),
        ("logs", "create_log_stream", {"logGroupName": group, "logStreamName": STREAMS[0]}),
    )


def served_below(memory: Memory) -> tuple[Step, ...]:
    """Endpoints that fail: when they have, they do not change any more."""
    return (
        models.asked(models.PROMPTS[0]),
        *models.whole(SERVED_BELOW, memory.role_arn),
        models.endpoint(SECOND_BELOW, SERVED_BELOW),
    )


def flood(label: str, high: Doings) -> Iterator[Step]:
    """Over and beside all that is there. Streams are named by their label: into one that is found
    below it, a session cannot write."""
    for bucket in ALL_BUCKETS:
        yield _bucket(bucket)
        for key in KEYS:
            yield "s3", "put_object", {"Bucket": bucket, "Key": key, "Body": b"high"}
    for group in ALL_GROUPS:
        stream = {"logGroupName": group, "logStreamName": label.replace("/", "-")}
        yield "logs", "create_log_group", {"logGroupName": group}
        yield "logs", "create_log_stream", stream
        yield "logs", "put_log_events", {**stream, **high.line()}
    yield from _sealed(high)
    whole = {"Bucket": BELOW, "Key": KEY_ABOVE}
    yield "s3", "create_multipart_upload", whole
    whole = {**whole, "UploadId": high.memory.uploads[-1][2]}
    yield "s3", "upload_part", {**whole, "PartNumber": 1, "Body": b"high"}
    part = {"PartNumber": 1, "ETag": high.memory.parts[whole["UploadId"]]}
    yield "s3", "complete_multipart_upload", {**whole, "MultipartUpload": {"Parts": [part]}}
    yield CONVERSE
    yield training(JOB_ABOVE, high.memory.role_arn)
    for name in (SERVED_BELOW, SERVED_ABOVE):
        yield from models.whole(name, high.memory.role_arn)
    yield models.asked(models.SECRET)


def answering(high: Doings) -> Iterator[Step]:
    """An endpoint that is going to answer."""
    artifact = {"Bucket": ABOVE, "Key": ARTIFACT, "Body": models.artifact()}
    yield "s3", "put_object", artifact
    yield from models.whole(ANSWERS, high.memory.role_arn, f"s3://{ABOVE}/{ARTIFACT}")


def learning(high: Doings) -> Iterator[Step]:
    """A job that is going to run to its end: it prints, gives a metric, and leaves an artifact."""
    yield "s3", "put_object", {"Bucket": ABOVE, "Key": "data", "Body": b"high"}
    yield training(
        JOB_RUN,
        high.memory.role_arn,
        ABOVE,
        ContainerEntrypoint=["/bin/sh", "-c", RUNS],
        MetricDefinitions=[{"Name": JOB_METRIC, "Regex": "loss=([0-9.]+)"}],
    )


def _learned(low: Doings) -> Iterator[Step]:
    """What a job that ran above could be seen by."""
    yield "sagemaker", "describe_training_job", {"TrainingJobName": JOB_RUN}
    yield models.tags(low.memory.role_arn, "training-job", JOB_RUN)
    yield "logs", "describe_log_streams", {"logGroupName": JOB_GROUP}
    yield "logs", "filter_log_events", {"logGroupName": JOB_GROUP}
    yield "cloudwatch", "get_metric_statistics", {
        **low.span(), "Namespace": JOB_GROUP, "MetricName": JOB_METRIC, "Period": 3600,
        "Dimensions": [{"Name": "TrainingJobName", "Value": JOB_RUN}], "Statistics": ["Sum"],
    }  # fmt: skip


def _sealed(high: Doings) -> Iterator[Step]:
    yield "kms", "create_key", {}
    yield "kms", "create_alias", {"AliasName": ALIAS_ABOVE, "TargetKeyId": high.memory.keys[-1]}
    sealed = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ALIAS_ABOVE}
    yield "s3", "put_object", {"Bucket": BELOW, "Key": KEY_ABOVE, "Body": b"high", **sealed}


def looks(low: Doings) -> Iterator[Step]:
    for group in ALL_GROUPS:
        stream = {"logGroupName": group, "logStreamName": STREAMS[0]}
        yield "logs", "put_log_events", {**stream, **low.line()}
        yield "logs", "get_log_events", stream
        yield "logs", "filter_log_events", {"logGroupName": group}
    yield from _lists()
    yield from _served(low)
    yield from _learned(low)
    for name in ("get_object", "delete_object"):
        for bucket in ALL_BUCKETS:
            for key in KEYS:
                yield "s3", name, {"Bucket": bucket, "Key": key}
    for bucket in ALL_BUCKETS:
        yield "s3", "delete_bucket", {"Bucket": bucket}
        yield _bucket(bucket)
    for group in ALL_GROUPS:
        for name in ("delete_log_group", "create_log_group"):
            yield "logs", name, {"logGroupName": group}
    yield "kms", "create_key", {}
    made = low.memory.keys[-1] if low.memory.keys else NO_KEY
    yield "kms", "create_alias", {"AliasName": ALIAS_ABOVE, "TargetKeyId": made}
    for name in (JOB_ABOVE, JOB_RUN):
        yield "sagemaker", "stop_training_job", {"TrainingJobName": name}
        yield training(name, low.memory.role_arn)
    for name in SERVED:
        yield from models.whole(name, low.memory.role_arn)


def _served(low: Doings) -> Iterator[Step]:
    yield from models.lists(low.memory)
    for name in SERVED:
        yield "sagemaker", "describe_model", {"ModelName": name}
        yield "sagemaker", "describe_endpoint_config", {"EndpointConfigName": name}
        yield models.described(name)
        yield models.invoked(name)
        for noun in ("model", "endpoint-config", "endpoint"):
            yield models.tags(low.memory.role_arn, noun, name)
        yield from models.changed(low.memory.role_arn, name)
    yield models.asked(models.ASKED_BELOW)
    yield models.counted(models.ASKED_BELOW)


def _bucket(name: str) -> Step:
    return "s3", "create_bucket", {"Bucket": name, "CreateBucketConfiguration": PLACE}


def _lists() -> Iterator[Step]:
    for bucket in ALL_BUCKETS:
        for name in ("list_objects_v2", "list_object_versions", "list_multipart_uploads"):
            yield "s3", name, {"Bucket": bucket}
    yield "s3", "list_buckets", {}
    yield "logs", "describe_log_groups", {}
    yield "cloudwatch", "list_metrics", {}
    yield "cloudtrail", "lookup_events", WRITES
    yield "kms", "list_aliases", {}
    yield "kms", "list_keys", {}
    yield from (("kms", "describe_key", {"KeyId": alias}) for alias in (*ALIASES, ALIAS_ABOVE))
    yield "sagemaker", "list_training_jobs", {}
    yield from (("sagemaker", "describe_training_job", {"TrainingJobName": name}) for name in JOBS)
    yield CONVERSE
