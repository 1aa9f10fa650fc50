"""What policies would say: those that are stored, and those that are tried out.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bastide.identity.directory import Directory
from bastide.identity.entities import not_found
from bastide.identity.model import Entity, Kind
from bastide.identity.pages import ITEMS_DEFAULT, page
from bastide.identity.ports import Case, Checks, Verdict
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation

Params = dict[str, Any]
Context = dict[str, str | Sequence[str]]
Named = Sequence[tuple[str, str]]
EVALUATIONS_MAX = 10_000
READ_MAX = 2_000_000  # characters of policies, for one page: a second or two
_ASKED = (
    "ActionNames", "ResourceArns", "PolicyInputList", "PermissionsBoundaryPolicyInputList",
    "ResourcePolicy", "CallerArn", "ContextEntries", "MaxItems", "Marker",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Asks the evaluator; nothing is done."""

    directory: Directory
    checks: Checks

    @operation("PolicySourceArn", *_ASKED)
    def simulate_principal_policy(self, call: Call, req: Params) -> Params:
        entity = self._source(call, req["PolicySourceArn"])
        held = list(self.directory.policies_of(call.account, entity.arn))
        bound = self.directory.boundary_of(call.account, entity.arn)
        case = self._case(req, held, [bound] if bound else [], entity.arn)
        return self._evaluated(req, case, self._context(call, entity, req))

    @operation(*_ASKED)
    def simulate_custom_policy(self, call: Call, req: Params) -> Params:
        return self._evaluated(req, self._case(req, [], [], ""), _entries(req))

    def _case(self, req: Params, held: Named, bounds: Named, caller: str) -> Case:
        """What is stored, and what is tried out beside it: an input boundary replaces the own."""
        inputs = self._inputs(req, "PolicyInputList")
        tried = self._inputs(req, "PermissionsBoundaryPolicyInputList")
        resource = req.get("ResourcePolicy")
        if resource is not None:
            self.checks.check(resource, "resource", "InvalidInput")
        return Case(
            identity=[*held, *inputs],
            boundary=(tried or bounds) or None,
            resource=resource,
            caller=req.get("CallerArn") or caller,
        )

    def _inputs(self, req: Params, member: str) -> list[tuple[str, str]]:
        texts = req.get(member) or []
        for text in texts:
            self.checks.check(text, "identity", "InvalidInput")
        return [(f"{member}.{index + 1}", text) for index, text in enumerate(texts)]

    def _evaluated(self, req: Params, case: Case, context: Context) -> Params:
        resources = req.get("ResourceArns") or ["*"]
        pairs = [(action, arn) for action in req["ActionNames"] for arn in resources]
        if len(pairs) > EVALUATIONS_MAX:
            raise ServiceError("InvalidInput", "Too many actions and resources.", status=400)
        order = {pair: f"{index:06}" for index, pair in enumerate(pairs)}
        asked = {**req, "MaxItems": min(req.get("MaxItems") or ITEMS_DEFAULT, _fitting(case))}
        found, rest = page(list(order), asked, lambda pair: order[pair])
        results = [self._result(case, action, arn, context) for action, arn in found]
        return {"EvaluationResults": results, **rest}

    def _source(self, call: Call, arn: str) -> Entity:
        entity = self.directory.by_arn(call.account, arn)
        if entity is None:
            raise not_found(f"The entity with ARN {arn} cannot be found.")
        return entity

    def _context(self, call: Call, entity: Entity, req: Params) -> Context:
        context: Context = {
            "aws:PrincipalArn": entity.arn,
            "aws:PrincipalAccount": call.account,
            "aws:RequestedRegion": call.region.name,
        }
        if entity.kind is Kind.USER:
            context["aws:username"] = entity.name
            context["aws:userid"] = entity.id
        for key, value in entity.tags.items():
            context[f"aws:PrincipalTag/{key}"] = value
        return context | _entries(req)

    def _result(self, case: Case, action: str, arn: str, context: Context) -> Params:
        simulated = self.checks.simulate(case, action, arn, context)
        verdict = simulated.decision
        row: Params = {
            "EvalActionName": action,
            "EvalResourceName": arn,
            "EvalDecision": _word(verdict),
            "MatchedStatements": [_statement(name) for name in verdict.matched],
            "MissingContextValues": [_spelled(key, case) for key in sorted(simulated.missing)],
        }
        if case.boundary:
            allowed = not verdict.outside_boundary
            row["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": allowed}
        return row


def _fitting(case: Case) -> int:
    """How many evaluations a page may have: with large policies fewer than asked for, and the
    marker leads on."""
    size = sum(len(text) for text in _texts(case))
    return max(READ_MAX // max(size, 1), 1)


def _entries(req: Params) -> Context:
    context: Context = {}
    for entry in req.get("ContextEntries") or []:
        values = entry.get("ContextKeyValues") or []
        many = str(entry.get("ContextKeyType", "")).endswith("List")
        name = entry.get("ContextKeyName", "")
        context[name] = values if many or len(values) != 1 else values[0]
    return context


def _texts(case: Case) -> list[str]:
    """Every policy of the case."""
    held = [text for _, text in (*case.identity, *(case.boundary or ()))]
    return [*held, case.resource or ""]


def _spelled(key: str, case: Case) -> str:
    """The condition key as the policies themselves write it."""
    for text in _texts(case):
        if found := re.search(re.escape(key), text, re.IGNORECASE):
            return found.group()
    return key


def _word(verdict: Verdict) -> str:
    if verdict.allowed:
        return "allowed"
    return "explicitDeny" if verdict.explicit_deny else "implicitDeny"


def _statement(name: str) -> Params:
    source = name.rpartition("#")[0]
    kind = "IAM Policy" if arns.parse(source) else "none"
    return {"SourcePolicyId": source, "SourcePolicyType": kind}
