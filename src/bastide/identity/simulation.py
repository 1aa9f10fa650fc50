"""SimulatePrincipalPolicy: what the stored identity policies would say.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bastide.identity.directory import Directory
from bastide.identity.entities import not_found
from bastide.identity.model import Entity, Kind
from bastide.identity.pages import page
from bastide.identity.ports import Checks, Verdict
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation

Params = dict[str, Any]
EVALUATIONS_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Asks the evaluator; nothing is done."""

    directory: Directory
    checks: Checks

    @operation(
        "PolicySourceArn", "ActionNames", "ResourceArns", "PolicyInputList", "ContextEntries",
        "MaxItems", "Marker",
    )  # fmt: skip
    def simulate_principal_policy(self, call: Call, req: Params) -> Params:
        entity = self._source(call, req["PolicySourceArn"])
        documents = list(self.directory.policies_of(call.account, entity.arn))
        for index, text in enumerate(req.get("PolicyInputList") or []):
            self.checks.check(text, "identity", "InvalidInput")
            documents.append((f"PolicyInputList.{index + 1}", text))
        context = self._context(call, entity, req)
        resources = req.get("ResourceArns") or ["*"]
        pairs = [(action, arn) for action in req["ActionNames"] for arn in resources]
        if len(pairs) > EVALUATIONS_MAX:
            raise ServiceError("InvalidInput", "Too many actions and resources.", status=400)
        order = {pair: f"{index:06}" for index, pair in enumerate(pairs)}
        found, rest = page(list(order), req, "simulation", lambda pair: order[pair])
        results = [self._result(documents, action, arn, context) for action, arn in found]
        return {"EvaluationResults": results, **rest}

    def _source(self, call: Call, arn: str) -> Entity:
        entity = self.directory.by_arn(call.account, arn)
        if entity is None:
            raise not_found(f"The entity with ARN {arn} cannot be found.")
        return entity

    def _context(self, call: Call, entity: Entity, req: Params) -> dict[str, str | Sequence[str]]:
        context: dict[str, str | Sequence[str]] = {
            "aws:PrincipalArn": entity.arn,
            "aws:PrincipalAccount": call.account,
            "aws:RequestedRegion": call.region.name,
        }
        if entity.kind is Kind.USER:
            context["aws:username"] = entity.name
            context["aws:userid"] = entity.id
        for key, value in entity.tags.items():
            context[f"aws:PrincipalTag/{key}"] = value
        for entry in req.get("ContextEntries") or []:
            values = entry.get("ContextKeyValues") or []
            many = str(entry.get("ContextKeyType", "")).endswith("List")
            context[entry.get("ContextKeyName", "")] = (
                values if many or len(values) != 1 else values[0]
            )
        return context

    def _result(
        self,
        documents: Sequence[tuple[str, str]],
        action: str,
        arn: str,
        context: dict[str, str | Sequence[str]],
    ) -> Params:
        verdict = self.checks.simulate(documents, action, arn, context)
        return {
            "EvalActionName": action,
            "EvalResourceName": arn,
            "EvalDecision": _word(verdict),
            "MatchedStatements": [_statement(name) for name in verdict.matched],
            "MissingContextValues": [],
        }


def _word(verdict: Verdict) -> str:
    if verdict.allowed:
        return "allowed"
    return "explicitDeny" if verdict.explicit_deny else "implicitDeny"


def _statement(name: str) -> Params:
    source = name.rpartition("#")[0]
    kind = "IAM Policy" if arns.parse(source) else "none"
    return {"SourcePolicyId": source, "SourcePolicyType": kind}
