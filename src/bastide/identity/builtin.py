"""The AWS-managed policies that users' code names, in words of our own."""

import json

from bastide.kernel.regions import Region


def _allow(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


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
DOCUMENTS = {
    "AdministratorAccess": EVERYTHING,
    "AmazonSageMakerFullAccess": _allow(
        "sagemaker:*", "s3:*", "logs:*", "cloudwatch:*", "iam:GetRole", "iam:PassRole"
    ),
    "AmazonS3FullAccess": _allow("s3:*"),
    "AmazonS3ReadOnlyAccess": _allow("s3:Get*", "s3:List*", "s3:Describe*"),
    "AmazonBedrockFullAccess": _allow("bedrock:*"),
    "ReadOnlyAccess": _allow(
        "bedrock:Get*", "bedrock:List*", "cloudtrail:LookupEvents", "cloudwatch:Get*",
        "cloudwatch:List*", "iam:Get*", "iam:List*", "logs:Describe*", "logs:Get*",
        "logs:FilterLogEvents", "s3:Get*", "s3:List*", "sagemaker:Describe*", "sagemaker:List*",
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
