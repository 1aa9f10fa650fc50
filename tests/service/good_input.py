"""Input that is as it should be, for the operations that odd input alone seldom gets far with."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.live import NAME
from tests.service.test_service_slice import IMAGE

KEY, PART = "é/k", b"content"
MODEL = "site.stub-v1:0"
# Done at the start of each round, in this order.
MADE = (
    "s3.CreateBucket", "s3.PutObject", "s3.CreateMultipartUpload",
    "iam.CreateUser", "iam.CreateGroup", "iam.CreateRole", "iam.CreatePolicy",
    "logs.CreateLogGroup", "logs.CreateLogStream",
    "sagemaker.CreateModel", "sagemaker.CreateEndpointConfig",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Place:
    """Whose things they are, and the name that all of them have."""

    name: str
    account_id: str
    role_arn: str
    now: datetime

    def arn(self, service: str, resource: str) -> str:
        region = "" if service == "iam" else NAME
        return f"arn:aws-us-gov:{service}:{region}:{self.account_id}:{resource}"

    def names(self) -> dict[str, str]:
        """What there is, by the member that names it."""
        members = (
            "Bucket", "UserName", "RoleName", "GroupName", "PolicyName", "AccountAlias",
            "logGroupName", "logStreamName", "ModelName", "EndpointConfigName", "EndpointName",
            "TrainingJobName",
        )  # fmt: skip
        return dict.fromkeys(members, self.name) | {
            "Key": KEY, "CopySource": f"{self.name}/{KEY}", "RoleArn": self.role_arn,
            "ExecutionRoleArn": self.role_arn, "Image": IMAGE, "TrainingImage": IMAGE,
            "modelId": MODEL, "modelIdentifier": MODEL, "VersionId": "v1", "PartNumber": "1",
            "PolicySourceArn": self.arn("iam", f"user/{self.name}"),
            "PolicyArn": self.arn("iam", f"policy/{self.name}"),
            "S3Uri": f"s3://{self.name}/", "S3OutputPath": f"s3://{self.name}/out",
            "ModelDataUrl": f"s3://{self.name}/{KEY}",
            "logGroupIdentifier": self.arn("logs", f"log-group:{self.name}"),
            "LocationConstraint": NAME,
        }  # fmt: skip

    def good_input(self) -> dict[str, dict[str, Any]]:
        return self._s3() | self._iam() | self._logs() | self._jobs() | self._models()

    def _s3(self) -> dict[str, dict[str, Any]]:
        bucket = {"Bucket": self.name}
        there = {**bucket, "Key": KEY}
        tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
        return {
            "s3.CreateBucket": {
                **bucket, "CreateBucketConfiguration": {"LocationConstraint": NAME},
            },
            "s3.PutObject": {**there, "Body": b"content"},
            "s3.GetObject": there,
            "s3.CreateMultipartUpload": there,
            "s3.CopyObject": {**bucket, "Key": "copy", "CopySource": {**bucket, "Key": KEY}},
            "s3.PutObjectTagging": {**there, "Tagging": tags},
            "s3.PutBucketTagging": {**bucket, "Tagging": tags},
            "s3.PutBucketVersioning": {
                **bucket, "VersioningConfiguration": {"Status": "Enabled"},
            },
            "s3.DeleteObjects": {**bucket, "Delete": {"Objects": [{"Key": KEY}]}},
            "s3.PutBucketPolicy": {**bucket, "Policy": json.dumps({
                "Version": "2012-10-17", "Statement": {
                    "Effect": "Allow", "Principal": {"AWS": self.account_id},
                    "Action": "s3:GetObject", "Resource": f"arn:aws-us-gov:s3:::{self.name}/*",
                },
            })},
        }  # fmt: skip

    def upload_input(self, upload_id: str) -> dict[str, dict[str, Any]]:
        """For the upload that the round has begun."""
        there = {"Bucket": self.name, "Key": KEY, "UploadId": upload_id}
        etag = hashlib.md5(PART, usedforsecurity=False).hexdigest()
        return {
            "s3.UploadPart": {**there, "Body": PART, "PartNumber": 1},
            "s3.UploadPartCopy": {
                **there, "PartNumber": 2, "CopySource": {"Bucket": self.name, "Key": KEY},
            },
            "s3.ListParts": there,
            "s3.CompleteMultipartUpload": {
                **there, "MultipartUpload": {"Parts": [{"ETag": etag, "PartNumber": 1}]},
            },
        }  # fmt: skip

    def _iam(self) -> dict[str, dict[str, Any]]:
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        trusted, allowed = (
            json.dumps({"Version": "2012-10-17", "Statement": one}) for one in (trust, allow)
        )
        policy = self.arn("iam", f"policy/{self.name}")
        inline = {"PolicyName": self.name, "PolicyDocument": allowed}
        return {
            "iam.CreateUser": {"UserName": self.name},
            "iam.CreateGroup": {"GroupName": self.name},
            "iam.CreateRole": {"RoleName": self.name, "AssumeRolePolicyDocument": trusted},
            "iam.CreatePolicy": inline,
            "iam.PutUserPolicy": {"UserName": self.name, **inline},
            "iam.PutRolePolicy": {"RoleName": self.name, **inline},
            "iam.PutGroupPolicy": {"GroupName": self.name, **inline},
            "iam.UpdateAssumeRolePolicy": {"RoleName": self.name, "PolicyDocument": trusted},
            "iam.PutUserPermissionsBoundary": {
                "UserName": self.name, "PermissionsBoundary": policy,
            },
            "iam.PutRolePermissionsBoundary": {
                "RoleName": self.name, "PermissionsBoundary": policy,
            },
            "iam.AttachRolePolicy": {"RoleName": self.name, "PolicyArn": policy},
            "iam.CreateServiceSpecificCredential": {
                "UserName": self.name, "ServiceName": "bedrock.amazonaws.com",
            },
            "iam.SimulateCustomPolicy": {
                "PolicyInputList": [allowed], "ActionNames": ["s3:GetObject"],
            },
            "sts.AssumeRole": {
                "RoleArn": self.arn("iam", f"role/{self.name}"), "RoleSessionName": self.name,
            },
        }  # fmt: skip

    def _logs(self) -> dict[str, dict[str, Any]]:
        stream = {"logGroupName": self.name, "logStreamName": self.name}
        tagged = {"resourceArn": self.arn("logs", f"log-group:{self.name}")}
        event = {"timestamp": int(self.now.timestamp() * 1000), "message": "é"}
        metric = {"Namespace": "Odd", "MetricName": "m"}
        span = {"StartTime": self.now - timedelta(hours=1), "EndTime": self.now}
        stat = {"Metric": metric, "Period": 60, "Stat": "Sum"}
        return {
            "logs.CreateLogGroup": {"logGroupName": self.name},
            "logs.CreateLogStream": stream,
            "logs.PutLogEvents": {**stream, "logEvents": [event]},
            "logs.GetLogEvents": stream,
            "logs.FilterLogEvents": {"logGroupName": self.name},
            "logs.TagResource": {**tagged, "tags": {"a": "b"}},
            "logs.UntagResource": {**tagged, "tagKeys": ["a"]},
            "logs.ListTagsForResource": tagged,
            "cloudwatch.PutMetricData": {
                "Namespace": "Odd", "MetricData": [{"MetricName": "m", "Value": 1.0}],
            },
            "cloudwatch.GetMetricStatistics": {
                **metric, **span, "Period": 60, "Statistics": ["Sum"],
            },
            "cloudwatch.GetMetricData": {
                **span, "MetricDataQueries": [{"Id": "m", "MetricStat": stat}],
            },
        }  # fmt: skip

    def _jobs(self) -> dict[str, dict[str, Any]]:
        return {
            "sagemaker.CreateTrainingJob": {
                "TrainingJobName": self.name,
                "RoleArn": self.role_arn,
                "AlgorithmSpecification": {
                    "TrainingImage": IMAGE, "TrainingInputMode": "File",
                    "ContainerEntrypoint": ["/bin/true"],
                },
                "OutputDataConfig": {"S3OutputPath": f"s3://{self.name}/out"},
                "ResourceConfig": {
                    "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1,
                },
                "StoppingCondition": {"MaxRuntimeInSeconds": 1},
            },
        }  # fmt: skip

    def _models(self) -> dict[str, dict[str, Any]]:
        variant = {
            "VariantName": "a", "ModelName": self.name, "InitialInstanceCount": 1,
            "InitialVariantWeight": 1.0, "InstanceType": "ml.t2.medium",
        }  # fmt: skip
        talk = {"messages": [{"role": "user", "content": [{"text": "é"}]}]}
        tagged = {"ResourceArn": self.arn("sagemaker", f"model/{self.name}")}
        return {
            "sagemaker.CreateModel": {
                "ModelName": self.name, "ExecutionRoleArn": self.role_arn,
                "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": f"s3://{self.name}/{KEY}"},
            },
            "sagemaker.CreateEndpointConfig": {
                "EndpointConfigName": self.name, "ProductionVariants": [variant],
            },
            "sagemaker.CreateEndpoint": {
                "EndpointName": self.name, "EndpointConfigName": self.name,
            },
            "sagemaker.AddTags": {**tagged, "Tags": [{"Key": "a", "Value": "b"}]},
            "sagemaker.DeleteTags": {**tagged, "TagKeys": ["a"]},
            "sagemaker.ListTags": tagged,
            "bedrock-runtime.Converse": {"modelId": MODEL, **talk},
            "bedrock-runtime.ConverseStream": {"modelId": MODEL, **talk},
            "bedrock-runtime.CountTokens": {"modelId": MODEL, "input": {"converse": talk}},
        }  # fmt: skip
