"""One spelling for each name, made before the policies and the handler see it.

AWS takes several for one thing: a name, its ARN, an ARN that ends in `:*`. Were the two sides to
read them each in its own way, a Deny on one spelling would let another pass. What names nothing
of this account and region stays as it is: it is refused, or found by nobody, as it stands.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from bastide.kernel import arns
from bastide.kernel.arns import Arn
from bastide.kernel.call import Call
from bastide.policy.ports import ResourceFacts

Params = dict[str, Any]
_GROUP = "log-group:"
_REGION = re.compile(r"[a-z]{2}-[a-z-]+-\d:")


def canonical(call: Call, params: Params) -> Params:
    """`params` with every name in its one spelling."""
    changes = {
        member: change(call, params[member])
        for member, change in _CHANGES.get(call.service, {}).items()
        if params.get(member)
    }
    return {**params, **changes} if changes else params


def with_keys(call: Call, params: Params, facts: ResourceFacts) -> Params:
    """Each KMS key by its ARN: its id and its aliases are names for it, and a ciphertext says
    which one made it. An alias is looked up here once, for policies and handler alike."""
    for member in _KEYS.get(call.service, ()):
        if alias := _alias(params.get(member) or ""):
            call.notes.aliases[member] = alias
    found = {
        member: _key(call, params[member], facts)
        for member in _KEYS.get(call.service, ())
        if params.get(member)
    }
    member = _KEY_OF_CIPHERTEXT.get(call.operation, "")
    if member and not params.get(member):
        key_id = facts.sealing_key(params.get("CiphertextBlob") or b"")
        if key_id is not None:
            found[member] = _key(call, key_id, facts)
    return {**params, **found} if found else params


def _key(call: Call, text: str, facts: ResourceFacts) -> str:
    """What names nothing stays as it is: a foreign ARN, an alias that stands for no key."""
    name = text
    if text.startswith("arn:"):
        arn = own(call, text, "kms")
        if arn is None:
            return text
        name = arn.resource.removeprefix("key/")
    if name.startswith("alias/"):
        target = facts.alias_target(call.principal, name)
        if target is None:
            return text
        name = target
    return arns.regional(call.region, "kms", call.account, f"key/{name}")


def _alias(text: str) -> str:
    """`alias/…` of an alias's name or ARN; "" for what is none."""
    arn = arns.parse(text)
    name = arn.resource if arn else text
    return name if name.startswith("alias/") else ""


def own(call: Call, text: str, service: str) -> Arn | None:
    """The ARN in `text`, if it is of this service, region and account."""
    arn = arns.parse(text)
    here = (call.region.partition, service, call.region.name, call.account)
    if arn is None or (arn.partition, arn.service, arn.region, arn.account) != here:
        return None
    return arn


def _group(call: Call, text: str) -> str:
    """A log group by its name: `arn:…:log-group:NAME` and `arn:…:log-group:NAME:*` are one."""
    arn = own(call, text, "logs")
    if arn is None or not arn.resource.startswith(_GROUP):
        return text
    return arn.resource.removeprefix(_GROUP).removesuffix(":*")


def _groups(call: Call, texts: list[str]) -> list[str]:
    return [_group(call, text) for text in texts]


def _group_arn(call: Call, text: str) -> str:
    return text.removesuffix(":*") if own(call, text, "logs") else text


def _sagemaker_arn(call: Call, text: str) -> str:
    """SageMaker's ARNs are in lower case."""
    arn = own(call, text, "sagemaker")
    return text if arn is None else str(arn).lower()


def _runtime_arn(call: Call, text: str) -> str:
    """An agent runtime may be named by its id alone."""
    if text.startswith("arn:"):
        return text
    return arns.regional(call.region, "bedrock-agentcore", call.account, f"runtime/{text}")


def _function(call: Call, text: str) -> str:
    """A function by its name: `NAME`, `ACCOUNT:function:NAME` and `arn:…:function:NAME` are one,
    with and without `:$LATEST`. What is of another account or region becomes its ARN."""
    short = text.removeprefix("function:")
    if not text.startswith("arn:") and ":function:" in text:
        region = "" if _REGION.match(text) else f"{call.region.name}:"
        text = f"arn:{call.region.partition}:lambda:{region}{text}"
    arn = own(call, text, "lambda") if text.startswith("arn:") else None
    if arn is not None and arn.resource.startswith("function:"):
        short = arn.resource.removeprefix("function:")
    elif text.startswith("arn:"):
        return text
    return short.removesuffix(":$LATEST")


def _copy_source(call: Call, text: str) -> str:
    """`bucket/key?versionId=…`, each part percent-encoded once and nothing else in it."""
    path, _, query = text.partition("?")
    bucket, slash, key = unquote(path.removeprefix("/")).partition("/")
    if not slash:
        return text
    try:
        version = dict(parse_qsl(query, max_num_fields=10)).get("versionId")
    except ValueError:
        return text
    tail = f"?versionId={quote(version, safe='')}" if version else ""
    return f"{quote(bucket, safe='')}/{quote(key, safe='/')}{tail}"


def copy_source(text: str) -> tuple[str, str, str]:
    """Bucket, key and version of a canonical CopySource; "" for the latest."""
    path, _, version = text.partition("?versionId=")
    bucket, _, key = path.partition("/")
    return unquote(bucket), unquote(key), unquote(version)


_KEYS: Mapping[str, tuple[str, ...]] = {
    "kms": ("KeyId", "TargetKeyId", "SourceKeyId", "DestinationKeyId"),
    "s3": ("SSEKMSKeyId",),
}
_KEY_OF_CIPHERTEXT = {"kms.Decrypt": "KeyId", "kms.ReEncrypt": "SourceKeyId"}
_CHANGES: Mapping[str, Mapping[str, Callable[[Call, Any], Any]]] = {
    "logs": {
        "logGroupIdentifier": _group,
        "logGroupIdentifiers": _groups,
        "resourceArn": _group_arn,
    },
    "lambda": {"FunctionName": _function},
    "s3": {"CopySource": _copy_source},
    "sagemaker": {"ResourceArn": _sagemaker_arn},
    "bedrock-agentcore": {"agentRuntimeArn": _runtime_arn},
}
