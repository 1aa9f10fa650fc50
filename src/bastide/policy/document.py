"""A policy document: refused when stored if it could not be evaluated, then parsed once.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
Stricter than AWS in one way: an operator or a variable that is unknown here is an error, because
a Deny that silently never matches would be worse.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bastide.kernel.errors import ServiceError
from bastide.policy.conditions import BadCondition, Test, compiled
from bastide.policy.patterns import ARN_PARTS, ArnPattern, BadPattern, Glob, Pattern

SIZE_MAX = 131_072  # the longest that any AWS operation takes
STATEMENTS_MAX = 1_000
VERSIONS = ("2012-10-17", "2008-10-17")
_ACTION = re.compile(r"[A-Za-z0-9.-]+:[^:]+\Z")
_SID = re.compile(r"[A-Za-z0-9]*\Z")
_SID_RESOURCE = re.compile(r"[ -~]{0,256}\Z")
_KEY = re.compile(r"[A-Za-z0-9./-]+:[^\x00-\x1f]{1,256}\Z")
_NO_VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
_ACCOUNT = re.compile(r"\d{12}\Z", re.ASCII)
_PRINCIPAL_ARN = re.compile(
    r"arn:[a-z-]+:(iam|sts)::\d{12}:(root|(user|role|assumed-role|federated-user)/[\w+=,.@/-]+)\Z",
    re.ASCII,
)
_UNIQUE_ID = re.compile(r"(AIDA|AROA)[A-Z0-9]{12,124}(:[\w+=,.@-]{1,64})?\Z", re.ASCII)
_AWS = (_ACCOUNT, _PRINCIPAL_ARN, _UNIQUE_ID)
_SERVICE = re.compile(r"[a-z0-9.-]{1,128}\Z")
_TAG_KEYS = (":resourcetag/", ":existingobjecttag/", "\\")  # an escape may hide one: \u0052, \/
_ALIAS_KEYS = ("kms:resourcealiases", "\\")
_INVERTIBLE = ("Action", "Resource", "Principal")
_STATEMENT_KEYS = frozenset(
    {"Sid", "Effect", "Condition", *_INVERTIBLE, *(f"Not{name}" for name in _INVERTIBLE)}
)


class PolicyKind(StrEnum):
    """What a document is for: it decides which elements it must and must not have."""

    IDENTITY = "identity"
    MANAGED = "managed"  # an identity policy of its own, which must be of the newer version
    TRUST = "trust"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True)
class Principals:
    """Who a statement of a resource or trust policy is about. `ids` are unique ids, once a
    document is stored (identity/principals.py)."""

    everyone: bool
    accounts: frozenset[str]
    ids: frozenset[str]
    services: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement, compiled. `not_*` says which of two forms was written."""

    sid: str
    deny: bool
    actions: tuple[Glob, ...]
    not_action: bool
    resources: tuple[ArnPattern, ...] | None  # None: a trust policy, about its own role
    not_resource: bool
    principals: Principals | None
    not_principal: bool
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A whole policy. It is equal to itself alone: what was decided by one is found again without
    a look at all of it."""

    statements: tuple[Statement, ...]
    asks_tags: bool  # whether any condition or variable is about tags on the resource
    asks_aliases: bool  # the same, of the aliases of a KMS key
    asks_context: bool  # whether there is a condition or a variable at all


class Malformed(ValueError):
    """Why a text is not a policy document, in a sentence."""


def parse(text: str, kind: PolicyKind, code: str = "MalformedPolicyDocument") -> Document:
    """The document in `text`, or the ServiceError that a client understands."""
    try:
        return _document(text, kind)
    except (Malformed, BadCondition, BadPattern) as error:
        raise ServiceError(code, str(error), status=400) from error


def _document(text: str, kind: PolicyKind) -> Document:
    body = _json(text)
    if not isinstance(body, dict) or body.keys() - {"Version", "Id", "Statement"}:
        raise Malformed("Syntax errors in policy.")
    version = body.get("Version", VERSIONS[1])
    if version not in VERSIONS:
        raise Malformed("Syntax errors in policy.")
    if kind is PolicyKind.MANAGED and version != VERSIONS[0]:
        raise Malformed("Policy document must be version 2012-10-17 or greater.")
    if not isinstance(body.get("Id", ""), str):
        raise Malformed("Syntax errors in policy.")
    statements = _listed(body.get("Statement"))
    if not statements or len(statements) > STATEMENTS_MAX:
        raise Malformed("Syntax errors in policy.")
    parsed = tuple(_statement(each, kind, version == VERSIONS[0]) for each in statements)
    sids = [each.sid for each in parsed if each.sid]
    if len(sids) != len(set(sids)):
        raise Malformed("Statement IDs (SID) in a single policy must be unique.")
    lowered = text.lower()
    return Document(
        parsed,
        asks_tags=any(word in lowered for word in _TAG_KEYS),
        asks_aliases=any(word in lowered for word in _ALIAS_KEYS),
        asks_context=any(map(_asks_context, parsed)),
    )


def _asks_context(statement: Statement) -> bool:
    patterns = statement.resources or ()
    return bool(statement.tests) or any(pattern.asks_context for pattern in patterns)


def _json(text: str) -> Any:
    if len(text) > SIZE_MAX:
        raise Malformed("The policy is too long.")
    try:
        return json.loads(text, object_pairs_hook=_pairs, parse_constant=_refuse_constant)
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed("This policy contains invalid Json") from error


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("Duplicate keys in policy.")
    return found


def _refuse_constant(name: str) -> Any:
    raise Malformed("This policy contains invalid Json")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _texts(value: Any, what: str) -> list[str]:
    found = _listed(value)
    if not found:
        raise Malformed(f"Policy statement must contain {what}.")
    if not all(isinstance(each, str) and each for each in found):
        raise Malformed("Syntax errors in policy.")
    return found


def _one_of(body: dict[str, Any], name: str) -> tuple[Any, bool]:
    """The value of `Name` or `NotName`, and whether it was the latter."""
    if name in body and f"Not{name}" in body:
        raise Malformed("Syntax errors in policy.")
    inverted = f"Not{name}" in body
    return body.get(f"Not{name}" if inverted else name), inverted


def _statement(body: Any, kind: PolicyKind, variables: bool) -> Statement:
    if not isinstance(body, dict) or body.keys() - _STATEMENT_KEYS:
        raise Malformed("Syntax errors in policy.")
    if body.get("Effect") not in ("Allow", "Deny"):
        raise Malformed("Syntax errors in policy.")
    sid = body.get("Sid", "")
    shape = _SID_RESOURCE if kind is PolicyKind.RESOURCE else _SID
    if not isinstance(sid, str) or not shape.match(sid):
        raise Malformed("Statement IDs (SID) must be alpha-numeric.")
    actions, not_action = _one_of(body, "Action")
    resources, not_resource = _one_of(body, "Resource")
    principals, not_principal = _one_of(body, "Principal")
    by_identity = kind in (PolicyKind.IDENTITY, PolicyKind.MANAGED)
    if principals is None and not by_identity:
        raise Malformed("Missing required field Principal")
    if principals is not None and by_identity:
        raise Malformed("Policy document should not specify a principal.")
    return Statement(
        sid=sid,
        deny=body["Effect"] == "Deny",
        actions=tuple(_action(each) for each in _texts(actions, "actions")),
        not_action=not_action,
        resources=_resources(resources, kind, variables),
        not_resource=not_resource,
        principals=None if principals is None else _principals(principals),
        not_principal=not_principal,
        tests=_tests(body.get("Condition", {}), variables),
    )


def _action(text: str) -> Glob:
    if text != "*" and not _ACTION.match(text):
        if ":" not in text:
            raise Malformed(_NO_VENDOR)
        raise Malformed(f"The action {text[:128]} is not valid.")
    glob = Pattern.of(text.lower(), variables=False).glob
    assert glob is not None
    return glob


def _resources(value: Any, kind: PolicyKind, variables: bool) -> tuple[ArnPattern, ...] | None:
    if kind is PolicyKind.TRUST:
        if value is not None:
            raise Malformed("Has prohibited field Resource")
        return None
    return tuple(_resource(each, variables) for each in _texts(value, "resources"))


def _resource(text: str, variables: bool) -> ArnPattern:
    pattern = ArnPattern.of(text, variables=variables)
    if not pattern.everything and (
        len(pattern.parts) != ARN_PARTS or pattern.parts[0] != ("arn",) or not pattern.parts[5]
    ):
        raise Malformed(f'Resource {text[:256]} must be in ARN format or "*".')
    return pattern


def _principals(value: Any) -> Principals:
    if value == "*":
        return Principals(True, frozenset(), frozenset(), frozenset())
    if not isinstance(value, dict) or not value or value.keys() - {"AWS", "Service"}:
        raise Malformed("Invalid principal in policy.")
    aws = _texts(value["AWS"], "principals") if "AWS" in value else []
    services = _texts(value["Service"], "principals") if "Service" in value else []
    for each in aws:
        if each != "*" and not any(form.match(each) for form in _AWS):
            raise Malformed(f'Invalid principal in policy: "AWS":"{each[:256]}"')
    if not all(_SERVICE.match(each) for each in services):
        raise Malformed("Invalid principal in policy.")
    roots = {each.split(":")[4] for each in aws if each.endswith(":root")}
    return Principals(
        "*" in aws,
        frozenset(roots | {each for each in aws if _ACCOUNT.match(each)}),
        frozenset(each for each in aws if "/" in each or _UNIQUE_ID.match(each)),
        frozenset(services),
    )


def _tests(body: Any, variables: bool) -> tuple[Test, ...]:
    if not isinstance(body, dict):
        raise Malformed("Syntax errors in policy.")
    tests: list[Test] = []
    for name, keys in body.items():
        if not isinstance(keys, dict) or not keys:
            raise Malformed(f"Empty or wrong condition {name}.")
        for key, value in keys.items():
            if not _KEY.match(key):
                raise Malformed(_NO_VENDOR)
            tests.append(compiled(name, key, _values(value), variables=variables))
    return tuple(tests)


def _values(value: Any) -> Sequence[str]:
    found = _listed(value)
    if not found or not all(isinstance(each, str | int | float) for each in found):
        raise Malformed("Syntax errors in policy.")
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in found]
