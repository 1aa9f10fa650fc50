"""One of our audit records as CloudTrail writes it.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bastide.audit.model import Record
from bastide.audit.resources import type_of
from bastide.kernel import arns
from bastide.kernel.clock import moment
from bastide.kernel.regions import Region

EVENT_VERSION = "1.11"
_SOURCES = {
    "cloudwatch": "monitoring",
    "sagemaker-runtime": "sagemaker",
    "sagemaker-metrics": "sagemaker",
    "bedrock-runtime": "bedrock",
    "bedrock-agent": "bedrock",
    "bedrock-agent-runtime": "bedrock",
    "bedrock-agentcore-control": "bedrock-agentcore",
}
_READS = (
    "Get", "List", "Describe", "Head", "Lookup", "Converse", "InvokeModel", "Count",
    "Simulate", "Assume", "Filter", "Search", "Query", "Retrieve", "BatchGet", "Test", "Apply",
    "CreateChatCompletion", "CreateResponse", "CreateMessage", "CreateEmbedding",
)  # fmt: skip
_DATA = frozenset(
    "s3." + name
    for name in (
        "GetObject", "PutObject", "HeadObject", "CopyObject", "DeleteObject", "DeleteObjects",
        "ListParts", "CreateMultipartUpload", "UploadPart", "UploadPartCopy", "RestoreObject",
        "CompleteMultipartUpload", "AbortMultipartUpload", "GetObjectTagging", "GetObjectAcl",
        "PutObjectTagging", "DeleteObjectTagging", "PutObjectAcl", "GetObjectAttributes",
        "ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads",
        "HeadBucket", "SelectObjectContent",
    )
) | {
    "sagemaker-runtime.InvokeEndpoint", "sagemaker-runtime.InvokeEndpointWithResponseStream",
    "sagemaker-runtime.InvokeEndpointAsync", "sagemaker-metrics.BatchPutMetrics",
    "sagemaker-metrics.BatchGetMetrics", "cloudwatch.PutMetricData", "cloudwatch.GetMetricData",
    "logs.PutLogEvents", "logs.GetLogEvents", "logs.FilterLogEvents",
    "bedrock-runtime.InvokeModelWithBidirectionalStream",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """A call and, when it has ended, how."""

    call: Record
    end: Record | None = None
    index: int = -1
    receipt: str = ""

    @property
    def name(self) -> str:
        return self.call.operation.partition(".")[2]

    @property
    def source(self) -> str:
        service = self.call.operation.partition(".")[0]
        return f"{_SOURCES.get(service, service)}.amazonaws.com"

    @property
    def username(self) -> str:
        """The user's name, or the session's."""
        return self.call.principal.rpartition("/")[2]

    @property
    def read_only(self) -> str:
        return "true" if self.name.startswith(_READS) else "false"

    @property
    def time(self) -> datetime:
        return moment(self.call.time)

    @property
    def resources(self) -> list[dict[str, str]]:
        """`ResourceType` is left out where CloudTrail has no name for it."""
        named = []
        for member, name in self.call.resources.items():
            kind = type_of(self.call.operation, member)
            named.append({"ResourceType": kind, "ResourceName": name} if kind else
                         {"ResourceName": name})  # fmt: skip
        return named

    def answer(self, region: Region) -> dict[str, Any]:
        """A member of LookupEvents' `Events`."""
        return {
            "EventId": self.call.id,
            "EventName": self.name,
            "ReadOnly": self.read_only,
            "AccessKeyId": self.call.access_key,
            "EventTime": self.time,
            "EventSource": self.source,
            "Username": self.username,
            "Resources": self.resources,
            "CloudTrailEvent": json.dumps(self.document(region), separators=(",", ":")),
        }

    def document(self, region: Region) -> dict[str, Any]:
        """The record as it stands in a CloudTrail log file. Requests' and answers' contents are
        never in it: `requestParameters` names resources only."""
        call = self.call
        document: dict[str, Any] = {
            "eventVersion": EVENT_VERSION,
            "userIdentity": _identity(call),
            "eventTime": self.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": self.source,
            "eventName": self.name,
            "awsRegion": region.name,
            "sourceIPAddress": call.source_ip,
            "userAgent": call.user_agent,
            "requestParameters": dict(call.resources) or None,
            "responseElements": None,
            "requestID": call.request_id,
            "eventID": call.id,
            "readOnly": self.read_only == "true",
            "resources": [_resource(each, call.account) for each in self.resources],
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": call.account,
            "eventCategory": "Management",
        }
        code = call.code or (self.end.code if self.end is not None else "")
        if code:
            document["errorCode"] = code
        more: dict[str, Any] = dict(self.end.facts) if self.end is not None else {}
        if self.receipt:
            more["receipt"] = self.receipt
        if more:
            document["additionalEventData"] = more
        return document


def is_management(operation: str) -> bool:
    """LookupEvents gives management events; data events go to trails only.
    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html"""
    return operation not in _DATA


def has_receipt(operation: str) -> bool:
    """Whether it is an inference's operation."""
    return operation.startswith(("bedrock-mantle.", "bedrock-runtime.", "sagemaker-runtime."))


def _resource(named: dict[str, str], account: str) -> dict[str, str]:
    name = named["ResourceName"]
    resource = {"accountId": account, "ARN" if name.startswith("arn:") else "resourceName": name}
    if "ResourceType" in named:
        resource["type"] = named["ResourceType"]
    return resource


def _identity(call: Record) -> dict[str, Any]:
    """`userIdentity`, by the form of the caller's ARN."""
    kind, _, name = call.principal.rpartition(":")[2].partition("/")
    who = arns.parse(call.principal)
    account = who.account if who else call.account  # a reader's, where it is shared with them
    identity: dict[str, Any] = {
        "type": {"user": "IAMUser", "assumed-role": "AssumedRole", "root": "Root",
                 "federated-user": "FederatedUser"}.get(kind, "AWSService"),
        "principalId": call.user_id,
        "arn": call.principal,
        "accountId": account,
        "accessKeyId": call.access_key,
    }  # fmt: skip
    if kind == "user":
        identity["userName"] = name.rpartition("/")[2]
    if kind == "assumed-role":
        partition = call.principal.split(":")[1]
        role = name.partition("/")[0]
        identity["sessionContext"] = {
            "sessionIssuer": {
                "type": "Role",
                "principalId": call.user_id.partition(":")[0],
                "arn": f"arn:{partition}:iam::{account}:role/{role}",
                "accountId": account,
                "userName": role,
            }
        }
    return identity
