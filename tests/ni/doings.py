"""What sessions do: calls drawn from a seed, over few names, so that levels meet in all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from bastide.kernel.clock import SystemClock, epoch_ms
from tests.live import NAME

Step = tuple[str, str, dict[str, Any]]  # service, operation, request
BUCKETS, KEYS = ("alpha-box", "beta-box"), ("a", "b/1", "b/2", "c")
GROUPS, STREAMS, METRICS = ("/one", "/two"), ("s1", "s2"), ("m1", "m2")
# A look-up may be done before its own record is durable: it is a read, so it asks for none.
WRITES = {"LookupAttributes": [{"AttributeKey": "ReadOnly", "AttributeValue": "false"}]}
PLACE = {"LocationConstraint": NAME}


@dataclass
class Memory:
    """What a session was given and can name again."""

    began: datetime = field(default_factory=lambda: SystemClock().now().replace(microsecond=0))
    versions: list[tuple[str, str, str]] = field(default_factory=list)
    uploads: list[tuple[str, str, str]] = field(default_factory=list)
    lines: int = 0

    def keep(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        where = (request.get("Bucket", ""), request.get("Key", ""))
        if answer.get("VersionId") not in (None, "null"):
            self.versions.append((*where, answer["VersionId"]))
        if "UploadId" in answer and "UploadId" not in request:
            self.uploads.append((*where, answer["UploadId"]))


class Doings:
    """One session's calls. Two of the same seed do the same, as long as they are told the same."""

    def __init__(self, seed: str, memory: Memory) -> None:
        self.random = Random(seed)
        self.memory = memory

    def changes(self, count: int) -> Iterator[Step]:
        for _ in range(count):
            yield self.random.choice(CHANGES)(self)

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

    def body(self) -> dict[str, Any]:
        return {"Body": self.random.randbytes(self.random.choice((0, 3, 900)))}

    def group(self) -> dict[str, Any]:
        return {"logGroupName": self.random.choice(GROUPS)}

    def stream(self) -> dict[str, Any]:
        return {**self.group(), "logStreamName": self.random.choice(STREAMS)}

    def lines(self, stream: str) -> list[Step]:
        """One in each group, and then all of them again."""
        where = [{"logGroupName": group, "logStreamName": stream} for group in GROUPS]
        put: list[Step] = [("logs", "put_log_events", {**at, **self.line()}) for at in where]
        return [*put, *[("logs", "get_log_events", at) for at in where]]

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


def _tag(it: Doings) -> dict[str, Any]:
    return {"TagSet": [{"Key": "colour", "Value": it.random.choice(("red", "blue"))}]}


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
    _s3("abort_multipart_upload", lambda it: it.upload()),
    _s3("copy_object", lambda it: {**it.object(), "CopySource": it.object()}),
    _logs("create_log_group", lambda it: it.group()),
    _logs("create_log_stream", lambda it: it.stream()),
    *[_logs("put_log_events", lambda it: {**it.stream(), **it.line()})] * 3,
    _logs("put_retention_policy", lambda it: {**it.group(), "retentionInDays": 7}),
    _logs("tag_log_group", lambda it: {**it.group(), "tags": {"colour": "red"}}),
    _logs("delete_log_stream", lambda it: it.stream()),
    _logs("delete_log_group", lambda it: it.group()),
    *[lambda it: ("cloudwatch", "put_metric_data", it.datum())] * 2,
    lambda it: ("iam", "get_role", {"RoleName": "none"}),
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
    lambda it: ("cloudwatch", "list_metrics", {}),
    lambda it: ("cloudwatch", "get_metric_statistics", {
        **it.span(), "Namespace": "Site", "MetricName": it.random.choice(METRICS), "Period": 60,
        "Statistics": ["Sum", "SampleCount"],
    }),
    lambda it: ("cloudtrail", "lookup_events", {**it.page("MaxResults", 4), **WRITES}),
)  # fmt: skip
EVERYTHING: tuple[Step, ...] = (
    *[
        ("s3", name, {"Bucket": bucket})
        for bucket in BUCKETS
        for name in ("list_objects_v2", "list_object_versions", "list_multipart_uploads")
    ],
    ("s3", "list_buckets", {}),
    ("logs", "describe_log_groups", {}),
    *[("logs", "filter_log_events", {"logGroupName": group}) for group in GROUPS],
    ("cloudwatch", "list_metrics", {}),
    ("cloudtrail", "lookup_events", WRITES),
    *[
        ("s3", name, {"Bucket": bucket, "Key": key})
        for name in ("get_object", "delete_object")
        for bucket in BUCKETS
        for key in KEYS
    ],
    *[("s3", "delete_bucket", {"Bucket": bucket}) for bucket in BUCKETS],
    *[
        ("s3", "create_bucket", {"Bucket": bucket, "CreateBucketConfiguration": PLACE})
        for bucket in BUCKETS
    ],
    *[
        ("logs", name, {"logGroupName": group})
        for name in ("delete_log_group", "create_log_group")
        for group in GROUPS
    ],
)
# Before: what there is to look at. Above: as much as can be put over and beside it.
BEGINNING: tuple[Step, ...] = (
    ("s3", "create_bucket", {"Bucket": BUCKETS[0], "CreateBucketConfiguration": PLACE}),
    ("s3", "put_object", {"Bucket": BUCKETS[0], "Key": KEYS[0], "Body": b"low"}),
    ("logs", "create_log_group", {"logGroupName": GROUPS[0]}),
    ("logs", "create_log_stream", {"logGroupName": GROUPS[0], "logStreamName": STREAMS[0]}),
)
FLOOD: tuple[Step, ...] = (
    *[
        ("s3", "create_bucket", {"Bucket": bucket, "CreateBucketConfiguration": PLACE})
        for bucket in BUCKETS
    ],
    *[
        ("s3", "put_object", {"Bucket": bucket, "Key": key, "Body": b"high"})
        for bucket in BUCKETS
        for key in KEYS
    ],
    *[("logs", "create_log_group", {"logGroupName": group}) for group in GROUPS],
    *[
        ("logs", "create_log_stream", {"logGroupName": group, "logStreamName": "above"})
        for group in GROUPS
    ],
)
