"""Input channels: from S3 to /opt/ml/input/data/<channel>.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bastide.jobs.ports import JobFailed
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.labels.label import Label, joined
from bastide.training.transfer import Transfer, local_name, split_uri

Params = Mapping[str, Any]
MANIFEST_SIZE_MAX = 16 * 1024 * 1024
MODES = ("File", "FastFile")


def check(operation: str, channels: Sequence[Params], mode: str) -> None:
    """Refuse by name what cannot be done, before anything is made."""
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) != len(names):
        raise ServiceError("ValidationException", "Channel names must be unique.")
    if mode not in MODES:
        raise unsupported(operation, f"TrainingInputMode={mode}")
    for channel in channels:
        if channel.get("InputMode", mode) not in MODES:
            raise unsupported(operation, f"InputMode={channel['InputMode']}")
        if channel.get("CompressionType", "None") != "None":
            raise ServiceError(
                "ValidationException", "CompressionType is taken in Pipe input mode only."
            )
        if channel.get("RecordWrapperType", "None") != "None":
            raise unsupported(operation, f"RecordWrapperType={channel['RecordWrapperType']}")
        source = channel["DataSource"].get("S3DataSource")
        if not source:
            raise ServiceError("ValidationException", "A channel needs an S3DataSource.")
        if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            raise unsupported(operation, f"S3DataType={source['S3DataType']}")


def config_of(channels: Sequence[Params], mode: str) -> dict[str, Any]:
    """What inputdataconfig.json says."""
    return {channel["ChannelName"]: _config(channel, mode) for channel in channels}


def _config(channel: Params, mode: str) -> dict[str, Any]:
    source = channel["DataSource"]["S3DataSource"]
    config = {
        "TrainingInputMode": channel.get("InputMode", mode),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": "None",
    }
    if channel.get("ContentType"):
        config["ContentType"] = channel["ContentType"]
    return config


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """Fills the channels of one replica. With one replica, a shard is the whole."""

    transfer: Transfer
    data: Path
    room: int
    read: dict[str, Label] = field(default_factory=dict)  # by URI: the join of what was read there

    def stage(self, channels: Sequence[Params]) -> int:
        """Answers the bytes staged."""
        used = 0
        for channel in channels:
            folder = self.data / channel["ChannelName"]
            folder.mkdir(parents=True, exist_ok=True)
            count, uri = 0, channel["DataSource"]["S3DataSource"]["S3Uri"]
            self.transfer.read_at.clear()
            for bucket, key, name in self._files(channel["DataSource"]["S3DataSource"]):
                used += self._fetch(folder, bucket, key, name, self.room - used)
                count += 1
            if not count:
                raise JobFailed(
                    "ClientError: Data download failed: No S3 objects found under S3 URL "
                    f"{uri[:500]!r} given in input data source. Please ensure that the bucket "
                    "exists in the selected region, that objects exist under that S3 prefix, and "
                    "that the role has s3:ListBucket permission on the bucket."
                )
            if label := joined(self.transfer.read_at):
                self.read[uri] = label
        return used

    def _files(self, source: Params) -> Iterator[tuple[str, str, str]]:
        """(bucket, key, relative name)."""
        if source["S3DataType"] == "ManifestFile":
            yield from self._manifest(source["S3Uri"])
            return
        bucket, prefix = split_uri(source["S3Uri"])
        for key in self.transfer.listing(bucket, prefix):
            name = relative(key, prefix)
            if name:
                yield bucket, key, name

    def _manifest(self, uri: str) -> Iterator[tuple[str, str, str]]:
        """`[{"prefix": "s3://b/p/"}, "a.csv", "b/c.csv"]`."""
        wrong = JobFailed(f"ClientError: {uri[:300]} is not a manifest: a list that starts with "
                          'an object {"prefix": "s3://…"} and goes on with names.')  # fmt: skip
        try:
            entries = json.loads(self.transfer.read(*split_uri(uri), MANIFEST_SIZE_MAX))
        except (ValueError, RecursionError) as error:
            raise wrong from error
        if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
            raise wrong
        prefix = entries[0].get("prefix")
        if not isinstance(prefix, str) or not all(isinstance(each, str) for each in entries[1:]):
            raise wrong
        bucket, start = split_uri(prefix)
        for name in entries[1:]:
            yield bucket, start + name, name

    def _fetch(self, folder: Path, bucket: str, key: str, name: str, room: int) -> int:
        path = folder / local_name(name, f"s3://{bucket}/{key}")
        try:
            if name.endswith("/"):  # a console's "folder"
                path.mkdir(parents=True, exist_ok=True)
                return 0
            return self.transfer.download(bucket, key, path, room)
        except OSError as error:
            raise JobFailed(
                f"ClientError: Data download failed: s3://{bucket}/{key[:300]} cannot become a "
                f"file: {error.strerror}."
            ) from error


def relative(key: str, prefix: str) -> str:
    """Where a key goes below its channel: `train` and `train/` both stand for a folder; a prefix
    that is a whole key stands for that file; a bare prefix keeps the name from its last slash."""
    if key == prefix:
        return "" if key.endswith("/") else key.rsplit("/", 1)[-1]
    if not prefix or prefix.endswith("/"):
        return key[len(prefix) :]
    if key.startswith(prefix + "/"):
        return key[len(prefix) + 1 :]
    return key[prefix.rfind("/") + 1 :]
