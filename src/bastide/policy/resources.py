"""The ARNs that a call is about, from its parameters.

The words are those of `action_table.py`. A name that is missing gives `*`: only a policy that
allows the action on everything matches then.
Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.policy.ports import PrincipalPolicies

Params = Mapping[str, Any]
Found = list[str]
_EDGE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_VERBS = ("Create", "Describe", "Delete", "Update", "Stop", "Start", "List", "Get", "Put")
_PROFILE = re.compile(r"(us|us-gov|eu|apac|global|jp|au|ca)\.[a-z0-9-]+\.")


def of(word: str, call: Call, params: Params, policies: PrincipalPolicies) -> Found:
    """One ARN, or several where one call is about several things."""
    if word == "*":
        return ["*"]
    if word in _WITH_POLICIES:
        return _WITH_POLICIES[word](call, params, policies)
    return _PLAIN[word](call, params)


def word_for(service: str, name: str) -> str:
    """The resource word of an operation that the table does not name."""
    if service == "s3":
        return "object" if "Object" in name else "bucket"
    if service in ("sagemaker", "iam", "logs"):
        return service
    return "*"


def _text(params: Params, name: str) -> str:
    value = params.get(name)
    return value if isinstance(value, str) else ""


def _bucket(call: Call, params: Params) -> Found:
    return [arns.s3(call.region, _text(params, "Bucket") or "*")]


def _object(call: Call, params: Params) -> Found:
    return [arns.s3(call.region, _text(params, "Bucket") or "*", _text(params, "Key"))]


def _objects(call: Call, params: Params) -> Found:
    """DeleteObjects: the keys are allowed or refused one by one, by the handler that answers
    for each; the call as a whole is let in when the caller may delete any of them."""
    bucket = _text(params, "Bucket") or "*"
    entries = (params.get("Delete") or {}).get("Objects") or []
    return [arns.s3(call.region, bucket, each.get("Key", "")) for each in entries] or ["*"]


def _source(call: Call, params: Params) -> Found:
    """CopySource is `bucket/key?versionId=…`, percent-encoded, or the same as a mapping."""
    source = params.get("CopySource")
    if isinstance(source, Mapping):
        bucket, key = str(source.get("Bucket", "")), str(source.get("Key", ""))
    else:
        path = unquote(str(source or "").split("?versionId=", 1)[0]).removeprefix("/")
        bucket, _, key = path.partition("/")
    return [arns.s3(call.region, bucket or "*", key)]


def _model(call: Call, params: Params) -> Found:
    name = unquote(_text(params, "modelId") or _text(params, "modelIdentifier"))
    if name.startswith("arn:"):
        return [name]
    if _PROFILE.match(name):
        return [arns.regional(call.region, "bedrock", call.account, f"inference-profile/{name}")]
    return [arns.regional(call.region, "bedrock", "", f"foundation-model/{name}")]


def _inference_profile(call: Call, params: Params) -> Found:
    name = unquote(_text(params, "inferenceProfileIdentifier"))
    if name.startswith("arn:"):
        return [name]
    return [arns.regional(call.region, "bedrock", call.account, f"inference-profile/{name}")]


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
    return [_sagemaker_arn(call, kebab(noun), name)] if name else ["*"]


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
    """Log groups are asked for as CloudWatch Logs does: with the stream, or an empty one."""
    for member in ("resourceArn", "logGroupIdentifier"):
        if _text(params, member).startswith("arn:"):
            return [_text(params, member)]
    group = _text(params, "logGroupName") or _text(params, "logGroupIdentifier")
    stream = _text(params, "logStreamName")
    name = f"log-group:{group}:log-stream:{stream}"
    return [arns.regional(call.region, "logs", call.account, name)]


def _role_arn(call: Call, params: Params) -> Found:
    return [_text(params, "RoleArn")]


def _iam(call: Call, params: Params, policies: PrincipalPolicies) -> Found:
    """The user, role or policy that is named; the caller's own user where none is."""
    name = call.operation.partition(".")[2]
    if role := _text(params, "RoleName"):
        return [_iam_arn(call, policies, "role", role, params)]
    if user := _text(params, "UserName"):
        return [_iam_arn(call, policies, "user", user, params)]
    for member in ("PolicyArn", "PolicySourceArn"):
        if named := _text(params, member):
            return [named]
    if policy := _text(params, "PolicyName"):
        path = _text(params, "Path") or "/"
        return [arns.iam(call.region, call.account, f"policy{path}{policy}")]
    own = name.endswith(("AccessKey", "AccessKeys", "SpecificCredential", "GetUser"))
    return [call.principal.issuer_arn] if own else ["*"]


def _iam_arn(call: Call, policies: PrincipalPolicies, kind: str, name: str, params: Params) -> str:
    found = policies.arn_of(call.account, kind, name)
    path = _text(params, "Path") or "/"
    return found or arns.iam(call.region, call.account, f"{kind}{path}{name}")


_PLAIN: dict[str, Callable[[Call, Params], Found]] = {
    "bucket": _bucket,
    "object": _object,
    "objects": _objects,
    "source": _source,
    "model": _model,
    "inference-profile": _inference_profile,
    "sagemaker": _sagemaker,
    "endpoint": _endpoint,
    "endpoint-config": _endpoint_config,
    "logs": _logs,
    "role-arn": _role_arn,
}
_WITH_POLICIES: dict[str, Callable[[Call, Params, PrincipalPolicies], Found]] = {"iam": _iam}
