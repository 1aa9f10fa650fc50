"""From an operation and its parameters to what IAM must allow: actions, ARNs, condition keys.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from bastide.kernel.call import Call, Principal, PrincipalKind
from bastide.kernel.errors import invalid
from bastide.policy import names, resources
from bastide.policy.action_table import (
    CONDITION_KEYS,
    DENIED_BY,
    NEEDS,
    PREFIXES,
    WITH_TAGS,
    WITH_VERSION,
)
from bastide.policy.ports import Stored

Context = dict[str, str | Sequence[str]]
TAGS_MAX = 200
_TAG_MEMBERS = ("Tags", "tags", "jobTags", "importedModelTags")
GUARDRAIL_NAMED = "bedrock:GuardrailIdentifier"
GUARDRAIL = GUARDRAIL_NAMED.lower()


@dataclass(frozen=True, slots=True)
class Need:
    """One action that policies must allow on each of the resources."""

    action: str
    resources: Sequence[str]


def prefix_of(service: str) -> str:
    return PREFIXES.get(service, service)


def needs_of(call: Call, params: Mapping[str, Any], stored: Stored) -> list[Need]:
    """What this call needs; all of it."""
    found: list[Need] = []
    if _is_bearer(call.principal):
        found.append(Need("bedrock:CallWithBearerToken", ["*"]))
    for row in rows_of(call.operation):
        action, word, *only_with = row.split(" ")
        if only_with and not _is_met(only_with[0], params):
            continue
        if _names_version(word, params):
            action = WITH_VERSION.get(action, action)
        found.append(Need(action, resources.of(word, call, params, stored)))
    return found


def denied_by(call: Call) -> list[Need]:
    """What a Deny of would refuse the call too, though nobody has to allow it."""
    action = DENIED_BY.get(call.operation)
    if action is None:
        return []
    region = call.region
    project = f"arn:{region.partition}:bedrock-mantle:{region.name}:{call.account}:project/default"
    found = [Need(action, [project])]
    if _is_bearer(call.principal):
        found.append(Need("bedrock-mantle:CallWithBearerToken", ["*"]))
    return found


def _is_met(condition: str, params: Mapping[str, Any]) -> bool:
    name = condition.removeprefix("!")
    return bool(params.get(name)) is (name == condition)


def _is_bearer(principal: Principal) -> bool:
    """A Bedrock API key's id; all here are long-term."""
    return principal.access_key_id.startswith("ACCA")


def _names_version(word: str, params: Mapping[str, Any]) -> bool:
    if word == "source":
        return bool(names.copy_source(params["CopySource"])[2])
    return word == "object" and bool(params.get("VersionId"))


def rows_of(operation: str) -> tuple[str, ...]:
    """The table's rows, or the rule for what the table does not name."""
    if operation in NEEDS:
        return NEEDS[operation]
    service, _, name = operation.partition(".")
    row = f"{prefix_of(service)}:{name} {resources.word_for(service, name)}"
    if name.startswith("Create") and service in WITH_TAGS:
        return (row, WITH_TAGS[service])
    return (row,)


def authorized_how(operation: str) -> str:
    """For the table of operations in the documentation."""
    rows = rows_of(operation)
    if not rows:
        return "any caller"
    return ", ".join(_shown(row) for row in rows)


def _shown(row: str) -> str:
    action, word, *only_with = row.split(" ")
    shown = f"{action} on {'each object, key by key' if word == resources.EACH else word}"
    if not only_with:
        return shown
    name = only_with[0].removeprefix("!")
    return f"{shown} ({'with' if name == only_with[0] else 'without'} {name})"


def principal_context(principal: Principal) -> Context:
    """The keys that tell who calls. `aws:MultiFactorAuthPresent` is never there: there are no
    second factors here, and AWS leaves the key out for long-term keys too."""
    kinds = {PrincipalKind.USER: "User", PrincipalKind.SESSION: "AssumedRole"}
    context: Context = {
        "aws:principalarn": principal.issuer_arn,
        "aws:principalaccount": principal.account,
        "aws:userid": principal.user_id,
        "aws:principaltype": kinds.get(principal.kind, principal.kind.value),
        "aws:principalisawsservice": str(principal.kind is PrincipalKind.SERVICE).lower(),
    }
    if principal.kind is PrincipalKind.USER:
        context["aws:username"] = principal.name
    context |= principal.facts
    for key, value in principal.tags.items():
        context[f"aws:principaltag/{key.lower()}"] = value
    return context


def time_context(now: datetime) -> Context:
    """When it is: never left out, or a Deny from a day on would not be met."""
    return {
        "aws:currenttime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:epochtime": str(int(now.timestamp())),
    }


class CallContext(Mapping[str, str | Sequence[str]]):
    """As `context_of`, worked out when the first policy asks for a key: most ask for none."""

    def __init__(self, call: Call, params: Mapping[str, Any], stored: Stored) -> None:
        self._make = partial(context_of, call, params, stored)
        self._made: Context | None = None

    def __getitem__(self, key: str) -> str | Sequence[str]:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> Context:
        found = self._made
        if found is None:
            found = self._made = self._make()
        return found


def context_of(call: Call, params: Mapping[str, Any], stored: Stored) -> Context:
    """Every condition key that this call has."""
    context = principal_context(call.principal)
    context |= time_context(call.time) | {
        "aws:securetransport": "true" if call.secure else "false",
        "aws:requestedregion": call.region.name,
        "aws:viaawsservice": "false",
    }
    if _is_bearer(call.principal):
        context["bedrock:bearertokentype"] = "LONG_TERM"
        context["bedrock-mantle:bearertokentype"] = "LONG_TERM"
    if call.source_ip:
        context["aws:sourceip"] = call.source_ip
    if call.user_agent:
        context["aws:useragent"] = call.user_agent
    for member, key in CONDITION_KEYS.get(prefix_of(call.service), {}).items():
        value = params.get(member)
        if value is not None:
            context[key] = str(value).lower() if isinstance(value, bool) else str(value)
    if call.service in _ADD:
        _ADD[call.service](context, call, params, stored)
    _add_tags(context, params)
    return context


def _add_sts(context: Context, call: Call, params: Mapping[str, Any], stored: Stored) -> None:
    if params.get("TransitiveTagKeys"):
        context["sts:transitivetagkeys"] = list(params["TransitiveTagKeys"])


def _add_kms(context: Context, call: Call, params: Mapping[str, Any], stored: Stored) -> None:
    context["kms:calleraccount"] = call.account
    if params.get("Operations"):
        context["kms:grantoperations"] = list(params["Operations"])
        context["kms:grantisforawsresource"] = "false"
    constraints = [*(params.get("Constraints") or {})]
    if constraints:
        context["kms:grantconstrainttype"] = constraints[0]


def encryption_of(params: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    """The encryption contexts of a call to KMS, by the action that each is for."""
    members = {
        "": "EncryptionContext",
        "kms:ReEncryptFrom": "SourceEncryptionContext",
        "kms:ReEncryptTo": "DestinationEncryptionContext",
    }
    found = {action: params.get(member) for action, member in members.items()}
    return {action: value for action, value in found.items() if isinstance(value, Mapping)}


def aliases_of(call: Call) -> dict[str, str]:
    """The aliases by which a call to KMS names its keys, by the action that each is for."""
    members = {
        "": "KeyId",
        "kms:ReEncryptFrom": "SourceKeyId",
        "kms:ReEncryptTo": "DestinationKeyId",
    }
    named = call.notes.aliases if call.service == "kms" else {}
    return {action: named[member] for action, member in members.items() if member in named}


def encryption_keys(encryption: Mapping[str, str]) -> Context:
    """The condition keys that tell of an encryption context."""
    keys: Context = {f"kms:encryptioncontext:{key.lower()}": encryption[key] for key in encryption}
    return keys | ({"kms:encryptioncontextkeys": list(encryption)} if encryption else {})


def guardrail_asked(call: Call, params: Mapping[str, Any]) -> str:
    """The ARN of the guardrail under which a call asks a model, with the number of its version;
    "" for none."""
    if _ADD.get(call.service) is not _add_bedrock:
        return ""
    guardrail = resources.guardrail_arn(call, params)
    _, version = resources.guardrail_of(params)
    numbered = f":{version}" if guardrail and version not in ("", "DRAFT") else ""
    return guardrail + numbered


def _add_bedrock(context: Context, call: Call, params: Mapping[str, Any], stored: Stored) -> None:
    profile, _ = stored.resources.models(call.region, call.principal, resources.model_of(params))
    if profile:
        context["bedrock:inferenceprofilearn"] = profile
    if guardrail := guardrail_asked(call, params):
        context[GUARDRAIL] = guardrail


def _add_s3(context: Context, call: Call, params: Mapping[str, Any], stored: Stored) -> None:
    """How the request was signed and what S3 says about the bucket's owner."""
    context["aws:resourceaccount"] = context["s3:resourceaccount"] = call.account
    if call.auth_type:
        context["s3:authtype"] = call.auth_type
        context["s3:signatureversion"] = "AWS4-HMAC-SHA256"
    digest = call.headers.get("x-amz-content-sha256")
    if digest:
        context["s3:x-amz-content-sha256"] = digest
    for key, value in _object_tags(params):
        context[f"s3:requestobjecttag/{key.lower()}"] = value
    keys = [key for key, _ in _object_tags(params)]
    if keys:
        context["s3:requestobjecttagkeys"] = keys
    place = (params.get("CreateBucketConfiguration") or {}).get("LocationConstraint")
    if place:
        context["s3:locationconstraint"] = str(place)


def _add_iam(context: Context, call: Call, params: Mapping[str, Any], stored: Stored) -> None:
    """The boundary of the user or role that is worked on, where the call does not set one; and
    for which service a key is made, of which only this operation tells."""
    if call.operation == "iam.CreateServiceSpecificCredential":
        context["iam:servicespecificcredentialservicename"] = str(params.get("ServiceName"))
    for kind, member in (("user", "UserName"), ("role", "RoleName")):
        if params.get(member) and "iam:permissionsboundary" not in context:
            arn = stored.principals.arn_of(call.account, kind, params[member])
            bound = stored.principals.boundary_of(call.account, arn) if arn else None
            if bound:
                context["iam:permissionsboundary"] = bound[0]


def _object_tags(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`x-amz-tagging: a=1&b=2`, or the document of PutObjectTagging."""
    tagging = params.get("Tagging")
    if isinstance(tagging, Mapping):
        return [_pair(tag) for tag in (tagging.get("TagSet") or [])[:TAGS_MAX]]
    try:
        return parse_qsl(tagging or "", keep_blank_values=True, max_num_fields=TAGS_MAX)
    except ValueError:
        return []  # the handler refuses it


def _add_tags(context: Context, params: Mapping[str, Any]) -> None:
    """`aws:RequestTag/…` and `aws:TagKeys`, from AWS's several ways to pass tags."""
    pairs = _tags(params)
    for key, value in pairs:
        context[f"aws:requesttag/{key.lower()}"] = value
    keys: Any = [key for key, _ in pairs] or params.get("TagKeys") or params.get("tagKeys")
    if isinstance(keys, list) and keys:
        context["aws:tagkeys"] = [str(key) for key in keys[:TAGS_MAX]]


def _tags(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of a key that one list has twice, the last: handlers refuse that in words of their own."""
    pairs: list[tuple[str, str]] = []
    for tags in (params.get(member) for member in _TAG_MEMBERS):
        if isinstance(tags, Mapping):
            pairs += [(str(key), str(value)) for key, value in tags.items()]
        elif isinstance(tags, list):
            said = dict(_pair(each) for each in tags[:TAGS_MAX] if isinstance(each, Mapping))
            pairs += said.items()
    return pairs


def check_tags(params: Mapping[str, Any]) -> None:
    """Raises ValidationException for tags of one key with two values: a condition would see one of
    them alone, whatever case each is written in."""
    values: dict[str, str] = {}
    for key, value in (*_tags(params), *dict(_object_tags(params)).items()):
        if values.setdefault(key.lower(), value) != value:
            raise invalid(f"Two tags {key[:128]} differ in their values, or in their case.")


def _pair(tag: Mapping[str, Any]) -> tuple[str, str]:
    key = tag.get("Key", tag.get("key", tag.get("TagKey", "")))  # KMS has words of its own
    return str(key), str(tag.get("Value", tag.get("value", tag.get("TagValue", ""))))


_ADD = {
    "s3": _add_s3,
    "iam": _add_iam,
    "kms": _add_kms,
    "sts": _add_sts,
    "bedrock-runtime": _add_bedrock,
    "bedrock-mantle": _add_bedrock,
    "bedrock-agent-runtime": _add_bedrock,
}


def resource_context(resource: str, tags: Mapping[str, str]) -> Context:
    """The keys that tell of the tags on a resource: AWS's own, and its service's."""
    service, _, rest = resource.partition(":")[2].partition(":")[2].partition(":")
    prefixes = ["aws:resourcetag", f"{service}:resourcetag"]
    if service == "s3" and "/" in rest:
        prefixes = ["s3:existingobjecttag"]
    return {f"{prefix}/{key.lower()}": tags[key] for prefix in prefixes for key in tags}


def version_of(params: Mapping[str, Any]) -> str | None:
    """The version of an object that a call is about, or that it copies."""
    source = params.get("CopySource")
    return (names.copy_source(source)[2] if source else params.get("VersionId")) or None
