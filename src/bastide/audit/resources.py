"""Which members of a request name what it is about. Nothing else of a request is recorded.

Only top-level members are looked at. The types are CloudFormation's, as CloudTrail gives them:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/view-cloudtrail-events-supported-resource-types.html
"""

from collections.abc import Mapping
from typing import Any

from bastide.audit.model import RESOURCES_MAX, TEXT_MAX, bounded

_SAGEMAKER = (
    "TrainingJob",
    "HyperParameterTuningJob",
    "ProcessingJob",
    "TransformJob",
    "AutoMLJob",
    "LabelingJob",
    "CompilationJob",
    "Model",
    "Endpoint",
    "EndpointConfig",
    "ModelPackage",
    "ModelPackageGroup",
    "Pipeline",
    "Experiment",
    "Trial",
    "TrialComponent",
    "FeatureGroup",
    "NotebookInstance",
    "Image",
    "Domain",
    "App",
    "Project",
    "InferenceComponent",
    "MonitoringSchedule",
)
_BEDROCK = (
    "model",
    "modelId",
    "modelIdentifier",
    "modelArn",
    "inferenceProfileIdentifier",
    "inferenceProfileArn",
    "agentId",
    "agentAliasId",
    "knowledgeBaseId",
    "dataSourceId",
    "guardrailIdentifier",
    "guardrailId",
    "flowIdentifier",
    "jobName",
    "customModelName",
    "importedModelName",
    "resourceARN",
    "resourceArn",
    "agentRuntimeArn",
    "agentRuntimeId",
    "agentRuntimeName",
    "agentRuntimeVersion",
    "qualifier",
    "runtimeSessionId",
    "roleArn",
)
_S3 = {"Bucket": "AWS::S3::Bucket", "Key": "AWS::S3::Object", "UploadId": "", "VersionId": ""}
_IAM = {
    "UserName": "AWS::IAM::User",
    "RoleName": "AWS::IAM::Role",
    "GroupName": "AWS::IAM::Group",
    "PolicyName": "AWS::IAM::Policy",
    "PolicyArn": "AWS::IAM::Policy",
    "PolicySourceArn": "",
    "AccessKeyId": "AWS::IAM::AccessKey",
    "InstanceProfileName": "AWS::IAM::InstanceProfile",
}
_SAGEMAKER_MEMBERS = {
    **{f"{noun}Name": f"AWS::SageMaker::{noun}" for noun in _SAGEMAKER},
    **{f"{noun}Arn": f"AWS::SageMaker::{noun}" for noun in _SAGEMAKER},
    "RoleArn": "AWS::IAM::Role",
    "ExecutionRoleArn": "AWS::IAM::Role",
    "ResourceArn": "",
    "TargetVariant": "",
    "InferenceId": "",
}
_LOGS = {
    "logGroupName": "AWS::Logs::LogGroup",
    "logGroupIdentifier": "AWS::Logs::LogGroup",
    "logStreamName": "AWS::Logs::LogStream",
    "resourceArn": "",
}
_AGENTIC = {name: "AWS::IAM::Role" if name == "roleArn" else "" for name in _BEDROCK}

MEMBERS: Mapping[str, Mapping[str, str]] = {
    "s3": _S3,
    "iam": _IAM,
    "sts": {"RoleArn": "AWS::IAM::Role", "RoleSessionName": "", "Name": ""},
    "sagemaker": _SAGEMAKER_MEMBERS,
    "sagemaker-runtime": _SAGEMAKER_MEMBERS,
    "sagemaker-metrics": {"TrialComponentName": "AWS::SageMaker::TrialComponent"},
    "logs": _LOGS,
    "cloudwatch": {"Namespace": "", "MetricName": "", "ResourceARN": ""},
    "kms": {"KeyId": "AWS::KMS::Key", "AliasName": "AWS::KMS::Alias"},
    "cloudtrail": {"Name": "AWS::CloudTrail::Trail", "S3BucketName": "AWS::S3::Bucket"},
    "lambda": {
        "FunctionName": "AWS::Lambda::Function",
        "Role": "AWS::IAM::Role",
        "Resource": "",
    },
    "bedrock": _AGENTIC,
    "bedrock-runtime": _AGENTIC,
    "bedrock-mantle": _AGENTIC,
    "bedrock-agent": _AGENTIC,
    "bedrock-agent-runtime": _AGENTIC,
    "bedrock-agentcore": _AGENTIC,
    "bedrock-agentcore-control": _AGENTIC,
}


def named_in(operation: str, params: Mapping[str, Any]) -> dict[str, str]:
    """The resources that a request names, by member; bounded."""
    members = MEMBERS.get(operation.partition(".")[0], {})
    found: dict[str, str] = {}
    for name, given in params.items():
        if name in members and isinstance(given, str) and len(found) < RESOURCES_MAX:
            found[name] = bounded(given, TEXT_MAX)
    return found


def type_of(operation: str, member: str) -> str:
    """The resource type that a member names, or "" when CloudTrail has none."""
    return MEMBERS.get(operation.partition(".")[0], {}).get(member, "")
