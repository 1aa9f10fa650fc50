"""What those who store policies ask: is it one, whom does it trust, what would it say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.policy import actions
from bastide.policy.authorizer import PolicyAuthorizer, caller_of
from bastide.policy.document import Document, PolicyKind, parse
from bastide.policy.evaluator import Caller, Decision, Grant, Policies, Request, decide, trusted
from bastide.policy.ports import SimulatedCase

Value = str | Sequence[str]


class Noticing(dict[str, Value]):
    """Condition keys that notice which others a policy asks for."""

    def __init__(self, given: Mapping[str, Value]) -> None:
        super().__init__(given)
        self.missing: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self.missing.add(key)
        return super().get(key, default)


@dataclass(frozen=True, slots=True)
class Simulated:
    """`missing`: the condition keys, in lower case, that were asked for and not given."""

    decision: Decision
    missing: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChecks:
    authorizer: PolicyAuthorizer

    def check(self, text: str, kind: str, code: str = "MalformedPolicyDocument") -> None:
        """ServiceError when `text` is no policy. `kind`: a PolicyKind."""
        parse(text, PolicyKind(kind), code)

    def trusts(self, call: Call, params: Mapping[str, Any], action: str, document: str) -> bool:
        """Whether a role's trust policy lets the caller of `call` in."""
        request = Request(
            action=action.lower(),
            resource="*",
            context=actions.context_of(call, params, self.authorizer.stored),
            caller=caller_of(call.principal),
        )
        return trusted(request, self._trust(document)) is not Grant.NONE

    def trusts_service(self, document: str, service: str, account: str) -> bool:
        """Whether a role's trust policy lets a service of this region in."""
        request = Request(
            action="sts:assumerole",
            resource="*",
            context={"aws:sourceaccount": account, "aws:principalisawsservice": "true"},
            caller=Caller(service=service),
        )
        return trusted(request, self._trust(document)) is not Grant.NONE

    def _trust(self, document: str) -> Document:
        return self.authorizer.parsed.of(document, PolicyKind.TRUST)

    def permits_more(self, call: Call, action: str, resource: str, more: Mapping[str, str]) -> bool:
        """Whether the caller of a call may do one more thing than the call itself, whose condition
        keys hold for it too: pass a role, with `more` to tell where to."""
        standing = self.authorizer.standing(call, {})
        context = {**standing.context, **{key.lower(): value for key, value in more.items()}}
        return replace(standing, context=context).decision(action, resource).allowed

    def simulate(
        self,
        case: SimulatedCase,
        action: str,
        resource: str,
        context: Mapping[str, str | Sequence[str]],
    ) -> Simulated:
        """What policies that need not be stored say to an action that may not exist."""
        sources = self.authorizer.sources
        text = case.resource
        attached = [("ResourcePolicy", parse(text, PolicyKind.RESOURCE))] if text else []
        noticing = Noticing({key.lower(): value for key, value in context.items()})
        request = Request(
            action=action.lower(),
            resource=resource,
            context=noticing,
            caller=Caller(account=_account_in(case.caller), own=case.caller, issuer=case.caller),
        )
        policies = Policies(
            identity=sources(case.identity),
            boundary=None if case.boundary is None else sources(case.boundary),
            resource=attached,
        )
        return Simulated(decide(request, policies), frozenset(noticing.missing))


def _account_in(arn: str) -> str:
    parsed = arns.parse(arn)
    return parsed.account if parsed else ""
