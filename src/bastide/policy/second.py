"""The second engine's place in the chain: what IAM and the walls have allowed, asked once more.

A thing that is not there yet, or that the session sees none of, is asked about at the session's
own label: that is the least that it can get, and the store looks again when it knows.
"""

from dataclasses import dataclass
from typing import Protocol

from bastide.kernel import arns
from bastide.kernel.call import Principal, PrincipalKind
from bastide.kernel.clock import Clock
from bastide.kernel.labels.label import Label
from bastide.policy import walls
from bastide.policy.evaluator import Reason
from bastide.policy.questions import Mode, Question, Subject, Target, Verdict

ACCOUNT_DIGITS = 12
_NAMES_ONLY = ("Tag", "Untag", "Add", "Attach", "Detach", "Remove", "Set")
_POLICY_WORDS = ("Policy", "Tagging", "Encryption", "Versioning", "PublicAccessBlock")


class Decider(Protocol):
    def decide(self, question: Question) -> Verdict: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondEngine:
    """Implements policy's MandatoryEngine. `ceiling`: the most that this region may hold."""

    decider: Decider
    ceiling: Label
    clock: Clock

    def refusal(
        self, principal: Principal, action: str, resource: str, label: Label | None
    ) -> Reason | None:
        """Why not, or None. `label`: of the resource; None where there is none to be seen."""
        verdict = self.decider.decide(self.question(principal, action, resource, label))
        if verdict.allowed:
            return None
        own = any(name.startswith("agency/") for name in verdict.policies)
        return Reason.DENY_AGENCY if own else Reason.LABEL

    def question(
        self, principal: Principal, action: str, resource: str, label: Label | None
    ) -> Question:
        mode = mode_of(action)
        if label is None or mode is Mode.CREATE:
            label = principal.session
        return Question(
            subject=subject_of(principal),
            mode=mode,
            operation=action,
            target=_target(principal, action, resource, label),
            ceiling=self.ceiling,
            now_s=int(self.clock.now().timestamp()),
        )


def mode_of(action: str) -> Mode:
    """How an IAM action touches what it names, in the words of the policies."""
    service, _, name = action.partition(":")
    found = walls.mode_of(action)
    if found is walls.Mode.MAKE:
        return Mode.CREATE
    if found is walls.Mode.READ:
        return Mode.LIST if name.startswith("List") else Mode.READ
    names_only = name.startswith(_NAMES_ONLY) or any(word in name for word in _POLICY_WORDS)
    return Mode.MANAGE if service == "iam" or names_only else Mode.OVERWRITE


def subject_of(principal: Principal) -> Subject:
    """A session is in the role that it has assumed: `ACCOUNT/NAME`."""
    assumed = principal.kind is PrincipalKind.SESSION
    role = f"{principal.account}/{principal.issuer_arn.rpartition('/')[2]}"
    return Subject(
        id=principal.user_id,
        account=principal.account,
        arn=principal.arn,
        name=principal.name,
        kind=principal.kind.value,
        clearance=principal.clearance,
        session=principal.session,
        roles=frozenset({role} if assumed else ()),
    )


def _target(principal: Principal, action: str, resource: str, label: Label) -> Target:
    """What names no account (a bucket, a foundation model, `*`) is asked about as the caller's."""
    arn = arns.parse(resource)
    service, account, kind = action.partition(":")[0], principal.account, "*"
    if arn is not None:
        service, kind = arn.service, arn.resource.replace(":", "/").partition("/")[0]
        account = arn.account if len(arn.account) == ACCOUNT_DIGITS else principal.account
        if service == "s3":
            kind = "object" if "/" in arn.resource else "bucket"
    return Target(arn=resource, account=account, kind=f"{service}/{kind}", label=label)
