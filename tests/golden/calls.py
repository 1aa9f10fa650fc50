"""The smallest valid input of an operation, from its model, naming things of one account."""

from dataclasses import dataclass
from typing import Any

from bastide.policy.action_table import WITH_VERSION
from bastide.policy.actions import rows_of

ROLE, TARGET, BUCKET = "BastideExecutionRole", "Reader", "data"
SAGEMAKER_BUCKET, MODEL = "sagemaker-data", "maker.model-1"
KNOWLEDGE, RUNTIME = "KNOWLEDGE1", "agent-AbCdEfGhIj"
KINDS = {
    "sagemaker": "endpoint/x",
    "logs": "log-group:x",
    "cloudwatch": "alarm:x",
    "bedrock-agent": "agent/AGENTAGENT",
    "bedrock-agentcore-control": f"runtime/{RUNTIME}",
}
NAMING = {"UserName", "logGroupName"}  # set where they may be left out, too
HANDLERS_NEED = {"sagemaker.CreateModel": ["ExecutionRoleArn"]}  # and the model does not say so


@dataclass(frozen=True)
class Asked:
    """A call as a row of the matrix shows it; `note` says what it has beyond the least."""

    operation: Any
    params: dict[str, Any]
    note: str = ""


class Inputs:
    """`partition`, `region` and `account` are those of what is named."""

    def __init__(self, region: Any, account: str) -> None:
        here = f"arn:{region.partition}"
        iam = f"{here}:iam::{account}"
        self._here = lambda service, rest: f"{here}:{service}:{region.name}:{account}:{rest}"
        self._named = {
            "Bucket": BUCKET,
            "CopySource": f"{BUCKET}/k",
            "ExecutionRoleArn": f"{iam}:role/{ROLE}",
            "Role": f"{iam}:role/{ROLE}",
            "Resource": f"{here}:lambda:{region.name}:{account}:function:x",
            "Action": "lambda:InvokeFunction",
            "PolicyArn": f"{iam}:policy/P",
            "PolicySourceArn": f"{iam}:user/none",
            "PermissionsBoundary": f"{iam}:policy/P",
            "S3OutputPath": f"s3://{BUCKET}/out",
            "VersionId": "v1",
            "content": [{"text": {"text": "x"}}],
            "guardrailConfig": {"guardrailIdentifier": "x", "guardrailVersion": "1"},
            "guardrailVersion": "1",
            "dataSourceId": "SOURCE1234",
            "ingestionJobId": "JOB1234567",
            "knowledgeBaseId": KNOWLEDGE,
            "roleArn": f"{iam}:role/{ROLE}",
            "input": {"converse": {}},
            "agentResourceRoleArn": f"{iam}:role/{ROLE}",
            "agentId": "AGENTAGENT",
            "agentAliasId": "ALIASALIAS",
            "actionGroupId": "GROUPGROUP",
            "collaboratorId": "COLLABORAT",
            "model": MODEL,
            "modelId": MODEL,
            "modelIdentifier": MODEL,
            "modelDataSource": {"s3DataSource": {"s3Uri": f"s3://{BUCKET}/model"}},
            "modelSource": {"copyFrom": f"{here}:bedrock:{region.name}::foundation-model/{MODEL}"},
        }
        runtime, code = f"{here}:bedrock-agentcore:{region.name}:{account}:runtime/", {
            "code": {"s3": {"bucket": BUCKET, "prefix": "agent.zip"}},
            "runtime": "PYTHON_3_11",
            "entryPoint": ["main.py"],
        }  # fmt: skip
        self._named |= {
            "agentRuntimeArn": f"{runtime}{RUNTIME}",
            "agentRuntimeArtifact": {"codeConfiguration": code},
            "agentRuntimeId": RUNTIME,
            "endpointName": "live",
            "runtimeSessionId": "s" * 33,
        }
        model = self._named["modelSource"]["copyFrom"]
        asked = {"knowledgeBaseId": KNOWLEDGE, "modelArn": model}
        about = {"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": asked}
        answered = {"input": {"text": "x"}, "retrieveAndGenerateConfiguration": about}
        inline = {"type": "TEXT", "textDocument": {"text": "x"}}
        reranked = {
            "queries": [{"type": "TEXT", "textQuery": {"text": "x"}}],
            "sources": [{"type": "INLINE", "inlineDocumentSource": inline}],
            "rerankingConfiguration": {
                "type": "BEDROCK_RERANKING_MODEL",
                "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": model}},
            },
        }
        self._of = {  # what one operation alone calls so
            f"bedrock-agent-runtime.RetrieveAndGenerate{kind}": answered for kind in ("", "Stream")
        }
        handed = {"documents": [{"content": {"dataSourceType": "CUSTOM"}}]}
        self._of["bedrock-agent.IngestKnowledgeBaseDocuments"] = handed
        self._of["bedrock-agent-runtime.Rerank"] = reranked
        for verb in ("Get", "Delete"):
            self._of[f"bedrock.{verb}ImportedModel"] = {"modelIdentifier": "x"}
        self._roles = {"sts": f"{iam}:role/{TARGET}", "sagemaker": f"{iam}:role/{ROLE}"}

    def least(self, operation: Any, *more: str) -> dict[str, Any]:
        """The required members, those that name a thing, and `more`."""
        if operation.input is None:
            return {}
        wanted = [*operation.input.required_members, *more]
        wanted += HANDLERS_NEED.get(operation.full_name, [])
        wanted += sorted(NAMING & operation.input.members.keys() - set(wanted))
        return {
            name: self._value(operation.service.name, operation.input.members[name], name)
            for name in wanted
        } | self._of.get(operation.full_name, {})

    def _value(self, service: str, shape: Any, name: str) -> Any:
        if name in self._named:
            return self._named[name]
        if shape.type_name == "structure":
            members = shape.required_members
            return {each: self._value(service, shape.members[each], each) for each in members}
        if shape.type_name == "list":
            return [self._value(service, shape.member, name)]
        if shape.type_name == "map":
            return {"x": self._value(service, shape.value, name)}
        least = shape.metadata.get("min") or 0
        plain = {"boolean": True, "blob": b"x" * least, "double": 1.0, "float": 1.0, "timestamp": 0}
        if shape.type_name != "string":
            return plain.get(shape.type_name, max(1, shape.metadata.get("min") or 1))
        return self._text(service, shape, name)

    def _text(self, service: str, shape: Any, name: str) -> str:
        if shape.enum:
            return str(shape.enum[0])
        if name == "agentVersion":
            return "DRAFT" if shape.metadata.get("min") == len("DRAFT") else "1"
        if name == "RoleArn":
            return self._roles[service]
        if name in ("ResourceArn", "resourceArn", "ResourceARN"):
            signed_as = service.removesuffix("-control").removesuffix("-agent")
            return self._here(signed_as, KINDS[service])
        return "x" * max(1, shape.metadata.get("min") or 1)

    def of(self, operation: Any) -> list[Asked]:
        """The smallest call; one with each member that needs more; one that names a version; and
        one about a bucket of SageMaker's, which some policies are about."""
        found = [Asked(operation, self.least(operation))]
        rows = [row.split(" ") for row in rows_of(operation.full_name)]
        members = operation.input.members if operation.input else {}
        for _, _, *only_with in rows:
            if only_with and only_with[0] in members:
                asked = self.least(operation, only_with[0])
                found.append(Asked(operation, asked, f"+{only_with[0]}"))
        if "VersionId" in members and any(action in WITH_VERSION for action, *_ in rows):
            found.append(Asked(operation, self.least(operation, "VersionId"), "+VersionId"))
        if "CopySource" in members:
            asked = self.least(operation)
            named = {"CopySource": f"{asked['CopySource']}?versionId=v1"}
            found.append(Asked(operation, asked | named, "+versionId"))
        if operation.service.name == "s3" and "Key" in members:
            params = self.least(operation) | {"Bucket": SAGEMAKER_BUCKET}
            found.append(Asked(operation, params, f"in {SAGEMAKER_BUCKET}"))
        return found
