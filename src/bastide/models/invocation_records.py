"""One invocation of a model as Bedrock's invocation logs tell it, and where it goes in S3.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bastide.kernel.call import Call
from bastide.kernel.regions import Region

Params = dict[str, Any]
JSON = "application/json"
INLINE_BYTES_MAX = 100 << 10  # of a body; a larger one is an object of its own
FOLDER = "BedrockModelInvocationLogs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What was asked and answered. `label`: of who asked. `size`: in letters, about."""

    account: str
    label: str
    identity: str
    request_id: str
    time: datetime
    operation: str
    model_id: str
    asked: Any
    answered: Any
    tokens: tuple[int, int]
    size: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_embedding: bool = False


def of_call(call: Call, **said: Any) -> Invocation:
    """At the session's label, also where the answer's is lower: the question is in it, too."""
    return Invocation(
        account=call.account,
        label=call.principal.session.text,
        identity=call.principal.arn,
        request_id=call.request_id,
        time=call.time,
        operation=call.operation.partition(".")[2],
        **said,
    )


def record(region: Region, one: Invocation) -> Params:
    """Bodies without the bytes of documents, which are no text."""
    told: Params = {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": f"{one.time:%Y-%m-%dT%H:%M:%SZ}",
        "accountId": one.account,
        "identity": {"arn": one.identity},
        "region": region.name,
        "requestId": one.request_id,
        "operation": one.operation,
        "modelId": one.model_id,
        "input": {
            "inputContentType": JSON,
            "inputBodyJson": without_bytes(one.asked),
            "inputTokenCount": one.tokens[0],
        },
        "output": {
            "outputContentType": JSON,
            "outputBodyJson": without_bytes(one.answered),
            "outputTokenCount": one.tokens[1],
        },
    }
    return told | ({"requestMetadata": dict(one.metadata)} if one.metadata else {})


def without_bytes(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: without_bytes(one)
            for name, one in value.items()
            if not isinstance(one, bytes | bytearray)
        }
    return [without_bytes(one) for one in value] if isinstance(value, list | tuple) else value


def large_bodies(told: Params) -> dict[str, bytes]:
    """Bodies too large for a record, by the name of their object; the record keeps none of them."""
    found = {}
    for side in ("input", "output"):
        name = f"{side}BodyJson"
        body = json.dumps(told[side][name], ensure_ascii=False).encode("utf-8", "replace")
        if len(body) > INLINE_BYTES_MAX:
            del told[side][name]
            found[f"{told['requestId']}_{side}.json.gz"] = gzip.compress(body, mtime=0)
    return found


def folder(region: Region, prefix: str, account: str, time: datetime) -> str:
    start = f"{prefix}/" if prefix else ""
    return f"{start}AWSLogs/{account}/{FOLDER}/{region.name}/{time:%Y/%m/%d/%H}"


def packed(records: Sequence[Params]) -> bytes:
    """A line each."""
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)
    return gzip.compress(lines.encode("utf-8", "replace"), mtime=0)
