"""An answer as an observer compares it: random names are numbered as they come, times are left
out, and everything else stays as it is: order, counts, texts, headers, sizes."""

import base64
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

_LEFT_OUT = frozenset(
    {"date",  # the moment of the answer
     # Drawn anew for each request, and never given to another.
     "x-amzn-requestid", "x-amz-request-id", "x-amz-id-2", "RequestId", "HostId", "requestID",
     "x-bastide-receipt", "x-bastide-receipt-salt",
     "latencyMs",  # how long an answer took
     # Whether a body that nobody wants was read in time.
     "connection",
     # How a call ended is written after its answer, so that the event may come without it; the
     # observer was told it by the answer.
     "errorCode", "errorMessage"}
)  # fmt: skip
# Drawn anew, and named again: told by the order in which they were first seen.
_RANDOM = frozenset(
    {"VersionId", "UploadId", "EventId", "eventID", "x-amz-version-id", "VersionIdMarker",
     "NextVersionIdMarker", "NextUploadIdMarker", "UploadIdMarker", "x-amz-meta-id",
     "CopySourceVersionId", "x-amz-copy-source-version-id"}
)  # fmt: skip
# Moments in digits, where a type does not tell them.
_TIMES = frozenset(
    {"creationTime", "ingestionTime", "lastIngestionTime", "nextSequenceToken", "eventTime",
     "last-modified", "creationDate", "CreationDate"}
)  # fmt: skip
_BY_NAME = frozenset({"Uploads", "Keys"})  # told in the order of their names, which are random
_TOKENS = re.compile(r"token|marker", re.IGNORECASE)
_KEYS = re.compile(r"\bA(?:KIA|SIA|IDA|ROA|NPA|GPA|CCA)[A-Z0-9]{12,}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OWNER = re.compile(r"\b[0-9a-f]{64}\b")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?")
_MILLIS_MIN = 10**12


@dataclass
class Seen:
    """What one run's observer saw."""

    account: str
    numbers: dict[str, int] = field(default_factory=dict)

    def of(self, client: Any, operation: str, request: dict[str, Any]) -> Any:
        """One call, made and told. A body is read to its end."""
        try:
            answer = getattr(client, operation)(**request)
        except ClientError as error:
            answer = error.response
        # In JSON a moment is a number of seconds, with as many decimals as it happens to need.
        in_json = client.meta.service_model.metadata["protocol"] == "json"
        if (in_json and _has_moment(answer)) or "metrics" in answer:
            del answer["ResponseMetadata"]["HTTPHeaders"]["content-length"]
        for name, part in answer.items():
            if hasattr(part, "read"):
                answer[name] = part.read().decode(errors="replace")
        return answer, self.told(answer)

    def told(self, value: Any, key: str = "") -> Any:
        match value:
            case dict():
                kept = value.keys() - _LEFT_OUT
                return {name: self.told(value[name], name) for name in value if name in kept}
            case list() if key in _BY_NAME:
                return sorted((self.told(each, key) for each in value), key=str)
            case list():
                return [self.told(each, key) for each in value]
            case bytes():  # what is sealed is sealed under a nonce that is drawn anew
                return f"<{len(value)} bytes>"
            case datetime():
                return "<time>"
            case _ if key in _TIMES:
                return "<time>"
            case str():
                return self._text(value, key)
        return value

    def _text(self, text: str, key: str) -> Any:
        if key == "CloudTrailEvent":
            return self.told(json.loads(text))
        if key == "eventId":  # of a line: its moment and stream, then its place
            return f"<line {int(text[-20:])}, of {len(text)}>"
        if key in _RANDOM:
            return self._number(text)
        if _TOKENS.search(key):
            return _opened(text)
        text = text.replace(self.account, "ACCOUNT")
        for pattern in (_KEYS, _UUID, _OWNER):
            text = pattern.sub(lambda found: self._number(found[0]), text)
        return _STAMP.sub("<time>", text)

    def _number(self, name: str) -> str:
        return f"<{self.numbers.setdefault(name, len(self.numbers))} of {len(name)}>"


def _has_moment(value: Any) -> bool:
    match value:
        case dict():
            return any(_has_moment(each) for each in value.values())
        case list():
            return any(_has_moment(each) for each in value)
    return isinstance(value, datetime)


def _opened(token: str) -> Any:
    """What a plain token says, without its moments; of a sealed one, its size."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(token.partition("/")[2] or token))
    except ValueError:
        return token if len(token) < 16 else f"<token of {len(token)}>"
    if not isinstance(parts, list):
        return f"<token of {len(token)}>"
    return ["<time>" if isinstance(p, int) and p >= _MILLIS_MIN else p for p in parts]
