"""The AWS-managed policies that users' code names, in words of our own: for the services that are
here they allow what AWS's do, and never more."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bastide.kernel.regions import Region

Statement = Mapping[str, Any]


def _document(*statements: Statement) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _statement(
    *actions: str, resource: Sequence[str] = ("*",), condition: Statement | None = None
) -> Statement:
    body = {"Effect": "Allow", "Action": list(actions), "Resource": list(resource)}
    return body | ({"Condition": condition} if condition else {})


def _allow(*actions: str) -> str:
    return _document(_statement(*actions))


EVERYTHING = _allow("*")
EXECUTION = _allow(
    "s3:*", "logs:*", "cloudwatch:*", "sagemaker:*", "bedrock:InvokeModel*", "bedrock:CountTokens"
)
EXECUTION_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": ["sagemaker.amazonaws.com", "bedrock.amazonaws.com"]},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
_S3_READ = ("s3:Get*", "s3:List*", "s3:Describe*")
_LOGS_READ = ("logs:Describe*", "logs:Get*", "logs:List*", "logs:FilterLogEvents")
_CLOUDWATCH_READ = ("cloudwatch:Describe*", "cloudwatch:Get*", "cloudwatch:List*")
_IAM_READ = ("iam:Get*", "iam:List*", "iam:Simulate*")
_SAGEMAKER_READ = ("sagemaker:Describe*", "sagemaker:List*")
_BEDROCK_READ = ("bedrock:Get*", "bedrock:List*")
# Buckets and roles are let at by the word in their names, as AWS's own does.
_SAGEMAKER = [
    _statement(
        "sagemaker:*", "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData",
        "cloudwatch:GetMetricStatistics", "cloudwatch:ListMetrics", "cloudwatch:PutMetricData",
        "logs:CreateLogGroup", "logs:CreateLogStream", "logs:Describe*", "logs:GetLogEvents",
        "logs:PutLogEvents", "logs:FilterLogEvents", "s3:CreateBucket", "s3:GetBucketLocation",
        "s3:ListBucket", "s3:ListAllMyBuckets", "iam:GetRole", "iam:ListRoles",
    ),
    _statement(
        "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
        resource=[f"arn:aws*:s3:::*{word}*" for word in ("SageMaker", "Sagemaker", "sagemaker")],
    ),
    _statement(
        "iam:PassRole",
        resource=["arn:aws*:iam::*:role/*AmazonSageMaker*"],
        condition={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    ),
]  # fmt: skip
DOCUMENTS = {
    "AdministratorAccess": EVERYTHING,
    "PowerUserAccess": _document(
        {"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"},
        _statement("iam:ListRoles", "iam:GetAccountSummary"),
    ),
    "ReadOnlyAccess": _allow(
        *_BEDROCK_READ, *_CLOUDWATCH_READ, *_IAM_READ, *_LOGS_READ, *_SAGEMAKER_READ, *_S3_READ,
        "cloudtrail:LookupEvents",
    ),
    "IAMFullAccess": _allow("iam:*"),
    "IAMReadOnlyAccess": _allow(*_IAM_READ),
    "AmazonSageMakerFullAccess": _document(*_SAGEMAKER),
    "AmazonSageMakerReadOnly": _allow(*_SAGEMAKER_READ, *_CLOUDWATCH_READ),
    "AmazonS3FullAccess": _allow("s3:*"),
    "AmazonS3ReadOnlyAccess": _allow(*_S3_READ),
    "AmazonBedrockFullAccess": _allow("bedrock:*", "iam:ListRoles"),
    "AmazonBedrockReadOnly": _allow(*_BEDROCK_READ),
    "CloudWatchFullAccess": _allow("cloudwatch:*", "logs:*"),
    "CloudWatchReadOnlyAccess": _allow(*_CLOUDWATCH_READ, *_LOGS_READ),
    "CloudWatchLogsFullAccess": _allow("logs:*", "cloudwatch:GenerateQuery"),
    "CloudWatchLogsReadOnlyAccess": _allow(*_LOGS_READ, "logs:StartQuery", "logs:StopQuery"),
    "AWSCloudTrail_ReadOnlyAccess": _allow("cloudtrail:Get*", "cloudtrail:LookupEvents"),
}  # fmt: skip


def arn_of(region: Region, name: str) -> str:
    return f"arn:{region.partition}:iam::aws:policy/{name}"


def name_of(region: Region, arn: str) -> str | None:
    """The name, with its path, in an AWS-managed ARN of this partition."""
    head = arn_of(region, "")
    name = arn.removeprefix(head)
    return name if arn.startswith(head) and name in DOCUMENTS else None


def document_of(region: Region, arn: str) -> str | None:
    name = name_of(region, arn)
    return None if name is None else DOCUMENTS[name]
