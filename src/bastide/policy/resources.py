"""The ARNs that a call is about, from its parameters.

The words are those of `action_table.py`; names are in their canonical spelling (`names.py`). A
name that is missing gives `*`: only a policy that allows the action on everything matches then.
Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.policy import names
from bastide.policy.ports import Stored

Params = Mapping[str, Any]
Found = list[str]
_EDGE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_VERBS = ("Create", "Describe", "Delete", "Update", "Stop", "Start", "List", "Get", "Put")
_ABOUT_TRAILS = frozenset(
    {"CreateTrail", "GetTrail", "GetTrailStatus", "StartLogging", "StopLogging", "DeleteTrail"}
)
_ABOUT_GUARDRAILS = frozenset(
    {
        "GetGuardrail",
        "ListGuardrails",
        "UpdateGuardrail",
        "DeleteGuardrail",
        "CreateGuardrailVersion",
        "ApplyGuardrail",
    }
)
_ABOUT_KNOWLEDGE = frozenset(
    {
        *(f"{verb}KnowledgeBase" for verb in ("Get", "Update", "Delete")),
        *(f"{verb}DataSource" for verb in ("Create", "Get", "Update", "Delete")),
        *(f"{verb}IngestionJob" for verb in ("Start", "Get", "Stop")),
        *(f"{verb}KnowledgeBaseDocuments" for verb in ("Ingest", "Get", "List", "Delete")),
        "ListDataSources",
        "ListIngestionJobs",
        "Retrieve",
    }
)
EACH = "each"  # asked by the handler, for each of many keys


def of(word: str, call: Call, params: Params, stored: Stored) -> Found:
    """One ARN, or several where one call is about several things."""
    if word == "*":
        return ["*"]
    if word in _STORED:
        return _STORED[word](call, params, stored)
    return _PLAIN[word](call, params)


def word_for(service: str, name: str) -> str:
    """The resource word of an operation that the table does not name."""
    if service == "s3":
        return "object" if "Object" in name else "bucket"
    if service in ("sagemaker", "iam", "logs"):
        return service
    if service == "cloudtrail" and name in _ABOUT_TRAILS:
        return "trail"
    if service == "kms":
        return "key"
    if service == "lambda":
        return "function"
    if service in ("bedrock", "bedrock-runtime") and name in _ABOUT_GUARDRAILS:
        return "guardrail"
    if service in ("bedrock-agent", "bedrock-agent-runtime") and name in _ABOUT_KNOWLEDGE:
        return "knowledge-base"
    return "*"


def _text(params: Params, name: str) -> str:
    value = params.get(name)
    return value if isinstance(value, str) else ""


def _bucket(call: Call, params: Params) -> Found:
    return [arns.s3(call.region, _text(params, "Bucket") or "*")]


def _object(call: Call, params: Params) -> Found:
    return [arns.s3(call.region, _text(params, "Bucket") or "*", _text(params, "Key"))]


def _source(call: Call, params: Params) -> Found:
    bucket, key, _ = names.copy_source(_text(params, "CopySource"))
    return [arns.s3(call.region, bucket or "*", key)]


def _trail(call: Call, params: Params) -> Found:
    name = _text(params, "Name") or "*"
    if name.startswith("arn:"):
        return [name]
    return [arns.regional(call.region, "cloudtrail", call.account, f"trail/{name}")]


def _model(call: Call, params: Params, stored: Stored) -> Found:
    """Through a profile: the profile and the models behind it must both be allowed. Source:
    https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html"""
    profile, models = stored.resources.models(call.region, call.principal, model_of(params))
    return [profile, *models] if profile else list(models)


def model_of(params: Params) -> str:
    """The model that a call names, also for an answer from documents; bedrock-mantle's calls have
    a word of their own for it."""
    names = ("modelId", "modelIdentifier", "model")
    named = next((found for name in names if (found := _text(params, name))), "")
    return named or _text(_asked(params), "modelArn")


def _inference_profile(call: Call, params: Params, stored: Stored) -> Found:
    name = _text(params, "inferenceProfileIdentifier")
    profile, models = stored.resources.models(call.region, call.principal, name)
    return [profile] if profile else list(models)


def _copied(call: Call, params: Params, stored: Stored) -> Found:
    """What an inference profile is made of: a model, or a profile and the models behind it."""
    source = params.get("modelSource") or {}
    profile, models = stored.resources.models(
        call.region, call.principal, _text(source, "copyFrom")
    )
    return [profile, *models] if profile else list(models)


def _identified(kind: str, member: str) -> Callable[[Call, Params, Stored], Found]:
    """One that is called by its name or by its ARN."""

    def found(call: Call, params: Params, stored: Stored) -> Found:
        named = _text(params, member)
        return [stored.resources.identified(call.principal, kind, named) if named else "*"]

    return found


def _agent(call: Call, params: Params) -> Found:
    name = f"agent/{_text(params, 'agentId') or '*'}"
    return [arns.regional(call.region, "bedrock", call.account, name)]


def _agent_alias(call: Call, params: Params) -> Found:
    name = f"agent-alias/{_text(params, 'agentId') or '*'}/{_text(params, 'agentAliasId') or '*'}"
    return [arns.regional(call.region, "bedrock", call.account, name)]


def _agent_runtime(call: Call, params: Params) -> Found:
    """By its id, or by its ARN: the canonical spelling of a name that is of this account."""
    if arn := _text(params, "agentRuntimeArn"):
        return [arn]
    name = f"runtime/{_text(params, 'agentRuntimeId') or '*'}"
    return [arns.regional(call.region, "bedrock-agentcore", call.account, name)]


def _runtime_endpoint(call: Call, params: Params) -> Found:
    [runtime] = _agent_runtime(call, params)
    name = _text(params, "endpointName") or _text(params, "qualifier") or "DEFAULT"
    return [f"{runtime}/runtime-endpoint/{name}"]


def _function(call: Call, params: Params) -> Found:
    name = _text(params, "FunctionName") or "*"
    if name.startswith("arn:"):
        return [name]
    return [arns.regional(call.region, "lambda", call.account, f"function:{name}")]


def _guardrail(call: Call, params: Params) -> Found:
    """Without its version: that is a condition key."""
    return [guardrail_arn(call, params) or "*"]


def _asked_guardrail(call: Call, params: Params) -> Found:
    """That which an answer from documents is held against, if there is one."""
    named = guardrail_arn(call, params)
    return [named] if named else []


def guardrail_of(params: Params) -> tuple[str, str]:
    """The guardrail that is named, also for a conversation or an answer from documents, and its
    version; "" if none is."""
    generation = _asked(params).get("generationConfiguration") or {}
    if inside := generation.get("guardrailConfiguration"):
        return _text(inside, "guardrailId"), _text(inside, "guardrailVersion")
    config = params.get("guardrailConfig") or params
    return _text(config, "guardrailIdentifier"), _text(config, "guardrailVersion")


def guardrail_arn(call: Call, params: Params) -> str:
    name, _ = guardrail_of(params)
    if not name or name.startswith("arn:"):
        return name
    return arns.regional(call.region, "bedrock", call.account, f"guardrail/{name}")


def _knowledge_base(call: Call, params: Params) -> Found:
    return [_knowledge_base_arn(call, _text(params, "knowledgeBaseId"))]


def _asked_base(call: Call, params: Params) -> Found:
    return [_knowledge_base_arn(call, _text(_asked(params), "knowledgeBaseId"))]


def _asked_model(call: Call, params: Params, stored: Stored) -> Found:
    """That which words the answer, as `_model` reads it."""
    return _model(call, {"modelId": _text(_asked(params), "modelArn")}, stored)


def _asked_reranking(call: Call, params: Params) -> Found:
    """Where passages that were found are ranked by another model."""
    return ["*"] if _reranking(params) else []


def _reranking_model(call: Call, params: Params, stored: Stored) -> Found:
    wanted = _reranking(params)
    if not wanted:
        return []
    inside = wanted.get("bedrockRerankingConfiguration") or {}
    model = _text(inside.get("modelConfiguration") or {}, "modelArn")
    return _model(call, {"modelId": model}, stored)


def _reranking(params: Params) -> Params:
    """Rerank's own, or that of a question to a knowledge base."""
    asked = _asked(params) or params
    search = (asked.get("retrievalConfiguration") or {}).get("vectorSearchConfiguration") or {}
    found: Params = (search if search else params).get("rerankingConfiguration") or {}
    return found


def _asked(params: Params) -> Params:
    """Whose words answer a question: the knowledge base's and the model's."""
    configuration = params.get("retrieveAndGenerateConfiguration") or {}
    found: Params = configuration.get("knowledgeBaseConfiguration") or {}
    return found


def _knowledge_base_arn(call: Call, named: str) -> str:
    if named.startswith("arn:"):
        return named
    return arns.regional(call.region, "bedrock", call.account, f"knowledge-base/{named or '*'}")


def _sagemaker(call: Call, params: Params) -> Found:
    """`CreateTrainingJob` with `TrainingJobName` is about `training-job/<name in lower case>`."""
    if named := _text(params, "ResourceArn"):
        return [named]
    noun = call.operation.partition(".")[2]
    for verb in _VERBS:
        if noun.startswith(verb):
            noun = noun.removeprefix(verb)
            break
    name = _text(params, f"{noun}Name")
    if not name:
        return ["*"]
    return [name if name.startswith("arn:") else _sagemaker_arn(call, kebab(noun), name)]


def kebab(noun: str) -> str:
    """`HyperParameterTuningJob` → `hyper-parameter-tuning-job`."""
    return _EDGE.sub("-", noun).lower()


def _sagemaker_arn(call: Call, kind: str, name: str) -> str:
    return arns.regional(call.region, "sagemaker", call.account, f"{kind}/{name.lower()}")


def _endpoint(call: Call, params: Params) -> Found:
    return [_sagemaker_arn(call, "endpoint", _text(params, "EndpointName"))]


def _endpoint_config(call: Call, params: Params) -> Found:
    return [_sagemaker_arn(call, "endpoint-config", _text(params, "EndpointConfigName"))]


def _logs(call: Call, params: Params) -> Found:
    """Log groups are asked for as CloudWatch Logs does: with the stream, or an empty one; but by
    their own ARN where it is given. Source:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
    """
    if arn := _text(params, "resourceArn"):
        return [arn]
    groups = [params.get("logGroupName"), params.get("logGroupIdentifier")]
    for member in ("logGroupNames", "logGroupIdentifiers"):
        groups += params.get(member) or []
    stream = _text(params, "logStreamName")
    return [_log_arn(call, group, stream) for group in groups if group] or [_log_arn(call, "", "")]


def _log_arn(call: Call, group: str, stream: str) -> str:
    if group.startswith("arn:"):
        return group
    name = f"log-group:{group}:log-stream:{stream}"
    return arns.regional(call.region, "logs", call.account, name)


def _log_group(call: Call, params: Params) -> Found:
    return [arns.regional(call.region, "logs", call.account, f"log-group:{params['logGroupName']}")]


def _role_arn(call: Call, params: Params) -> Found:
    return [_text(params, "RoleArn")]


def _iam(call: Call, params: Params, stored: Stored) -> Found:
    """The group, user, role or policy that is named; the caller's own user where none is."""
    name = call.operation.partition(".")[2]
    if group := _text(params, "GroupName"):
        return _renamed(call, stored, "group", group, params)
    if role := _text(params, "RoleName"):
        return [_iam_arn(call, stored, "role", role, params)]
    if user := _text(params, "UserName"):
        return _renamed(call, stored, "user", user, params)
    for member in ("PolicyArn", "PolicySourceArn"):
        if named := _text(params, member):
            return [named]
    if policy := _text(params, "PolicyName"):
        path = _text(params, "Path") or "/"
        return [arns.iam(call.region, call.account, f"policy{path}{policy}")]
    own = name.endswith(("AccessKey", "AccessKeys", "SpecificCredential", "GetUser"))
    return [call.principal.issuer_arn] if own else ["*"]


def _renamed(call: Call, stored: Stored, kind: str, name: str, params: Params) -> Found:
    """What is named and, if the call moves it, what it will be named."""
    before = _iam_arn(call, stored, kind, name, params)
    new_name, new_path = _text(params, f"New{kind.capitalize()}Name"), _text(params, "NewPath")
    if not new_name and not new_path:
        return [before]
    path = new_path or before.partition(f":{kind}")[2].removesuffix(name)
    after = arns.iam(call.region, call.account, f"{kind}{path}{new_name or name}")
    return [before, after]


def _iam_arn(call: Call, stored: Stored, kind: str, name: str, params: Params) -> str:
    found = stored.principals.arn_of(call.account, kind, name)
    path = _text(params, "Path") or "/"
    return found or arns.iam(call.region, call.account, f"{kind}{path}{name}")


def _key(call: Call, params: Params, member: str) -> Found:
    """A key by its ARN; an alias that stands for none by the alias's."""
    name = _text(params, member)
    if name.startswith("alias/"):
        return [arns.regional(call.region, "kms", call.account, name)]
    return [name or "*"]


def _alias(call: Call, params: Params) -> Found:
    return [arns.regional(call.region, "kms", call.account, _text(params, "AliasName"))]


def _alias_key(call: Call, params: Params, stored: Stored) -> Found:
    """The key that an alias stands for before the call."""
    key_id = stored.resources.alias_target(call.principal, _text(params, "AliasName"))
    return [arns.regional(call.region, "kms", call.account, f"key/{key_id}")] if key_id else []


_PLAIN: dict[str, Callable[[Call, Params], Found]] = {
    "bucket": _bucket,
    "trail": _trail,
    "object": _object,
    EACH: lambda call, params: [],
    "source": _source,
    "guardrail": _guardrail,
    "knowledge-base": _knowledge_base,
    "asked-base": _asked_base,
    "asked-guardrail": _asked_guardrail,
    "asked-reranking": _asked_reranking,
    "sagemaker": _sagemaker,
    "agent": _agent,
    "agent-alias": _agent_alias,
    "agent-runtime": _agent_runtime,
    "runtime-endpoint": _runtime_endpoint,
    "function": _function,
    "tagged-function": lambda call, params: [_text(params, "Resource") or "*"],
    "endpoint": _endpoint,
    "endpoint-config": _endpoint_config,
    "logs": _logs,
    "log-group": _log_group,
    "role-arn": _role_arn,
    "key": lambda call, params: _key(call, params, "KeyId"),
    "target-key": lambda call, params: _key(call, params, "TargetKeyId"),
    "source-key": lambda call, params: _key(call, params, "SourceKeyId"),
    "destination-key": lambda call, params: _key(call, params, "DestinationKeyId"),
    "alias": _alias,
    "tagged": lambda call, params: [_text(params, "resourceARN") or "*"],
    "tagged-arn": lambda call, params: [_text(params, "resourceArn") or "*"],
}
_STORED: dict[str, Callable[[Call, Params, Stored], Found]] = {
    "iam": _iam,
    "alias-key": _alias_key,
    "model": _model,
    "asked-model": _asked_model,
    "reranking-model": _reranking_model,
    "inference-profile": _inference_profile,
    "copied": _copied,
    "provisioned-model": _identified("provisioned-model", "provisionedModelId"),
    "imported-model": _identified("imported-model", "modelIdentifier"),
    "import-job": _identified("model-import-job", "jobIdentifier"),
}
