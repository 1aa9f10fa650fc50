"""Knowledge bases of a live region: a role that Bedrock may take, a bucket, and documents in it."""

import json
from dataclasses import dataclass
from typing import Any

from tests.waiting import wait_for

MODEL = "bastide.minilm-l6-v2-v1:0"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "bedrock.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
READ = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"},
        {"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": "*"},
    ],
}


def role_for_bedrock(iam: Any, name: str) -> str:
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=json.dumps(READ))
    return str(made["Role"]["Arn"])


def base_request(role: str, name: str = "papers", **more: Any) -> dict[str, Any]:
    vector = {
        "embeddingModelArn": f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{MODEL}"
    }
    return {
        "name": name,
        "roleArn": role,
        "knowledgeBaseConfiguration": {
            "type": "VECTOR",
            "vectorKnowledgeBaseConfiguration": vector,
        },
        **more,
    }


def bucket_source(base: str, bucket: str, **more: Any) -> dict[str, Any]:
    return {
        "knowledgeBaseId": base,
        "name": "bucket",
        "dataSourceConfiguration": {
            "type": "S3",
            "s3Configuration": {"bucketArn": f"arn:aws-us-gov:s3:::{bucket}"},
        },
        **more,
    }


@dataclass
class LiveBase:
    """One knowledge base of a live region."""

    agent: Any
    runtime: Any
    base: str
    source: str

    def sync(self) -> dict[str, Any]:
        """One job, to its end."""
        ids = {"knowledgeBaseId": self.base, "dataSourceId": self.source}
        started = self.agent.start_ingestion_job(**ids)["ingestionJob"]
        return self.ended(started["ingestionJobId"])

    def ended(self, job: str) -> dict[str, Any]:
        ids = {"knowledgeBaseId": self.base, "dataSourceId": self.source, "ingestionJobId": job}

        def now() -> dict[str, Any]:
            found: dict[str, Any] = self.agent.get_ingestion_job(**ids)["ingestionJob"]
            return found

        return wait_for(now, "status", ("COMPLETE", "FAILED", "STOPPED"))

    def found(self, text: str, **search: Any) -> list[dict[str, Any]]:
        answer = self.runtime.retrieve(
            knowledgeBaseId=self.base,
            retrievalQuery={"text": text},
            retrievalConfiguration={"vectorSearchConfiguration": search},
        )
        return list(answer["retrievalResults"])


def live_base(region: Any, agency: str, bucket: str, **source: Any) -> LiveBase:
    """A knowledge base over a bucket that is made now."""
    region.s3(bucket, agency)
    role = role_for_bedrock(region.client("iam", agency), f"reads-{bucket}")
    agent = region.client("bedrock-agent", agency)
    made = agent.create_knowledge_base(**base_request(role, name=bucket))["knowledgeBase"]
    wanted = bucket_source(made["knowledgeBaseId"], bucket, **source)
    source_id = agent.create_data_source(**wanted)["dataSource"]["dataSourceId"]
    runtime = region.client("bedrock-agent-runtime", agency)
    return LiveBase(agent, runtime, made["knowledgeBaseId"], source_id)
