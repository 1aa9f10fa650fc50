"""The AWS-managed policies that users' code names, in words of our own: of the operations that are
here they allow what AWS's do (tests/golden/authz.txt), and of the others never more.

Source: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""

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
_LOGS_READ = (
    "logs:Describe*", "logs:Get*", "logs:FilterLogEvents", "logs:StartQuery",
    "logs:StopQuery", "logs:TestMetricFilter", "logs:StartLiveTail", "logs:StopLiveTail",
)  # fmt: skip
_CLOUDWATCH_READ = ("cloudwatch:Describe*", "cloudwatch:Get*", "cloudwatch:List*")
_IAM_READ = (
    "iam:Get*", "iam:List*", "iam:Simulate*", "iam:GenerateCredentialReport",
    "iam:GenerateServiceLastAccessedDetails",
)  # fmt: skip
_SAGEMAKER_READ = ("sagemaker:Describe*", "sagemaker:List*")
_BEDROCK_READ = ("bedrock:Get*", "bedrock:List*")
_SAGEMAKER_WORDS = ("SageMaker", "Sagemaker", "sagemaker")
# Of these kinds AWS's own allows some things only; none of them is here.
_NOT_SAGEMAKER = (
    "domain", "user-profile", "app", "space", "partner-app", "flow-definition", "training-plan",
    "reserved-capacity",
)  # fmt: skip
# Buckets are let at by the word in their names and objects by their tag, as AWS's own does.
_SAGEMAKER = [
    {
        "Effect": "Allow",
        "Action": ["sagemaker:*"],
        "NotResource": [f"arn:aws*:sagemaker:*:*:{kind}/*" for kind in _NOT_SAGEMAKER],
    },
    _statement(
        "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData",
        "cloudwatch:GetMetricStatistics", "cloudwatch:ListMetrics", "cloudwatch:PutMetricAlarm",
        "cloudwatch:PutMetricData", "logs:CreateLogGroup", "logs:CreateLogStream",
        "logs:Describe*", "logs:GetLogEvents", "logs:PutLogEvents", "logs:PutResourcePolicy",
        "s3:CreateBucket", "s3:GetBucketLocation", "s3:ListBucket", "s3:ListAllMyBuckets",
        "s3:GetBucketCORS", "s3:PutBucketCORS", "iam:ListRoles", "kms:DescribeKey",
        "kms:ListAliases", "lambda:ListFunctions",
    ),
    _statement(
        "lambda:InvokeFunction",
        resource=[
            f"arn:aws*:lambda:*:*:function:*{word}*"
            for word in (*_SAGEMAKER_WORDS, "LabelingFunction")
        ],
    ),
    _statement(
        "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
        resource=[f"arn:aws*:s3:::*{word}*" for word in (*_SAGEMAKER_WORDS, "aws-glue")],
    ),
    _statement(
        "s3:GetBucketAcl", "s3:PutObjectAcl",
        resource=[f"arn:aws*:s3:::*{word}*" for word in _SAGEMAKER_WORDS],
    ),
    _statement(
        "s3:GetObject",
        condition={"StringEqualsIgnoreCase": {"s3:ExistingObjectTag/SageMaker": "true"}},
    ),
    _statement(
        "iam:PassRole",
        resource=["arn:aws*:iam::*:role/*"],
        condition={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    ),
]  # fmt: skip
_BEDROCK = [
    _statement("bedrock:*", "iam:ListRoles"),
    _statement(
        "iam:PassRole",
        resource=["arn:aws*:iam::*:role/*AmazonBedrock*"],
        condition={"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}},
    ),
]
DOCUMENTS = {
    "AdministratorAccess": EVERYTHING,
    "PowerUserAccess": _document(
        {
            "Effect": "Allow",
            "NotAction": ["iam:*", "organizations:*", "account:*"],
            "Resource": "*",
        },
        _statement(
            "iam:CreateServiceLinkedRole", "iam:DeleteServiceLinkedRole", "iam:ListRoles"
        ),
    ),
    "ReadOnlyAccess": _allow(
        *_CLOUDWATCH_READ, *_IAM_READ, *_LOGS_READ, *_SAGEMAKER_READ, *_S3_READ,
        "bedrock:GetFoundationModel", "bedrock:GetInferenceProfile", "bedrock:ListFoundationModels",
        "bedrock:ListInferenceProfiles", "cloudtrail:LookupEvents", "logs:ListTags*",
        "lambda:Get*", "lambda:List*",
    ),
    "IAMFullAccess": _allow("iam:*"),
    "IAMReadOnlyAccess": _allow(*_IAM_READ),
    "AmazonSageMakerFullAccess": _document(*_SAGEMAKER),
    "AmazonSageMakerReadOnly": _allow(*_SAGEMAKER_READ, "cloudwatch:DescribeAlarms"),
    "AmazonS3FullAccess": _allow("s3:*"),
    "AmazonS3ReadOnlyAccess": _allow(*_S3_READ),
    "AmazonBedrockFullAccess": _document(*_BEDROCK),
    "AmazonBedrockReadOnly": _allow(*_BEDROCK_READ),
    "CloudWatchFullAccess": _allow(
        "cloudwatch:*", "logs:*", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole"
    ),
    "CloudWatchReadOnlyAccess": _allow(*_CLOUDWATCH_READ, *_LOGS_READ, "logs:List*"),
    "CloudWatchLogsFullAccess": _allow("logs:*", "cloudwatch:GenerateQuery"),
    "CloudWatchLogsReadOnlyAccess": _allow(*_LOGS_READ, "logs:List*"),
    "AWSCloudTrail_ReadOnlyAccess": _allow(
        "cloudtrail:Get*", "cloudtrail:Describe*", "cloudtrail:List*", "cloudtrail:LookupEvents"
    ),
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
