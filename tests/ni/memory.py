"""What a session is told, and a call of it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Step = tuple[str, str, dict[str, Any]]  # service, operation, request
_NEXT = ("NextToken", "nextToken")


@dataclass
class Memory:
    """What a session was given and can name again."""

    role_arn: str  # of the agency, for its jobs
    began: datetime
    versions: list[tuple[str, str, str]] = field(default_factory=list)
    uploads: list[tuple[str, str, str]] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)  # the ETag of an upload's only part
    keys: list[str] = field(default_factory=list)
    lines: int = 0
    next: str = ""  # the token of the page after the one that was answered last

    def keep(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        self.next = next((answer[name] for name in _NEXT if name in answer), "")
        where = (request.get("Bucket", ""), request.get("Key", ""))
        if "PartNumber" in request and "ETag" in answer:
            self.parts[request["UploadId"]] = answer["ETag"]
        if "KeyMetadata" in answer and "KeyId" not in request:
            self.keys.append(answer["KeyMetadata"]["KeyId"])
        if answer.get("VersionId") not in (None, "null"):
            self.versions.append((*where, answer["VersionId"]))
        if "UploadId" in answer and "UploadId" not in request:
            self.uploads.append((*where, answer["UploadId"]))
