"""The second engine's place in the chain: what IAM and the walls have allowed, asked once more.

A thing that is not there yet, or that the session sees none of, is asked about at the session's
own label: that is the least that it can get. Who writes asks again when it knows (`writing.py`).
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from bastide.kernel import arns
from bastide.kernel.call import Principal, PrincipalKind
from bastide.kernel.clock import Clock
from bastide.kernel.labels.label import Label
from bastide.policy import walls
from bastide.policy.evaluator import Reason
from bastide.policy.questions import Mode, Question, Subject, Target, Verdict

ACCOUNT_DIGITS = 12
_S3 = re.compile(r"arn:[^:]+:s3:::[^/]+(/)?")
_NAMES_ONLY = ("Tag", "Untag", "Add", "Attach", "Detach", "Remove", "Set")
_POLICY_WORDS = ("Policy", "Tagging", "Encryption", "Versioning", "PublicAccessBlock")


class Decider(Protocol):
    def decide(self, question: Question) -> Verdict: ...

    def by_class(self, question: Question) -> bool:
        """Whether all resources of one kind and label are decided alike."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondEngine:
    """Implements policy's MandatoryEngine. `ceiling`: the most that this region may hold."""

    decider: Decider
    ceiling: Label
    clock: Clock

    def about(self, principal: Principal, guardrail: str = "") -> "Asker":
        return Asker(
            decider=self.decider,
            ceiling=self.ceiling,
            now_s=int(self.clock.now().timestamp()),
            subject=subject_of(principal),
            guardrail=guardrail,
        )

    def altering(
        self, principal: Principal, action: str, resource: str, label: Label, mode: walls.Mode
    ) -> Reason | None:
        """Why a write may not make or change what it found to have that label, or None."""
        asker = self.about(principal)
        return asker.reason(self.decider.decide(asker.altered(action, resource, label, mode)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Asks for one caller, while it does one thing: the keys of a listing have few labels.
    `guardrail`: the one that it asks a model under."""

    decider: Decider
    ceiling: Label
    now_s: int
    subject: Subject
    guardrail: str = ""
    _classes: dict[Hashable, Reason | None] = field(default_factory=dict)

    def refusal(
        self,
        action: str,
        resource: str,
        label: Label | None,
        owner: str = "",
        *,
        delivered: bool = False,
    ) -> Reason | None:
        named = self._named(action, resource, owner, delivered=delivered)
        class_ = (action, named.account, named.kind, label, delivered)
        if class_ in self._classes:
            return self._classes[class_]
        question = self._question(action, named, label)
        found = self.reason(self.decider.decide(question))
        if self.decider.by_class(question):
            self._classes[class_] = found
        return found

    def altered(self, action: str, resource: str, label: Label, mode: walls.Mode) -> Question:
        """What is asked about a write that knows what it touches, and how."""
        word = Mode.APPEND if mode is walls.Mode.MAKE else Mode.OVERWRITE
        return self._asked(action, self._named(action, resource), label, word)

    def question(
        self,
        action: str,
        resource: str,
        label: Label | None,
        owner: str = "",
        *,
        delivered: bool = False,
    ) -> Question:
        named = self._named(action, resource, owner, delivered=delivered)
        return self._question(action, named, label)

    def _named(
        self, action: str, resource: str, owner: str = "", *, delivered: bool = False
    ) -> "Named":
        account, kind = self._account_and_kind(action, resource)
        return Named(resource, owner or account, kind, bool(owner), delivered)

    def _question(self, action: str, named: "Named", label: Label | None) -> Question:
        mode = mode_of(action)
        if label is None or mode is Mode.CREATE:
            label = self.subject.session
        return self._asked(action, named, label, mode)

    def _asked(self, action: str, named: "Named", label: Label, mode: Mode) -> Question:
        target = Target(
            arn=named.arn,
            account=named.account,
            kind=named.kind,
            label=label,
            shared_with=frozenset({self.subject.account} if named.shared else ()),
            delivered=named.delivered,
        )
        return Question(
            subject=self.subject,
            mode=mode,
            operation=action,
            target=target,
            ceiling=self.ceiling,
            now_s=self.now_s,
            guardrail=self.guardrail,
        )

    def reason(self, verdict: Verdict) -> Reason | None:
        if verdict.allowed:
            return None
        if any(name.startswith("duty.") for name in verdict.policies):
            return Reason.DUTY
        own = any(name.startswith("agency/") for name in verdict.policies)
        return Reason.DENY_AGENCY if own else Reason.LABEL

    def _account_and_kind(self, action: str, resource: str) -> tuple[str, str]:
        """What names no account (a bucket, a foundation model, `*`) is asked about as the
        caller's."""
        stored = _S3.match(resource)
        if stored is not None:
            return self.subject.account, "s3/object" if stored[1] else "s3/bucket"
        arn = arns.parse(resource)
        if arn is None:
            return self.subject.account, f"{action.partition(':')[0]}/*"
        kind = arn.resource.replace(":", "/").partition("/")[0]
        own = len(arn.account) != ACCOUNT_DIGITS
        return self.subject.account if own else arn.account, f"{arn.service}/{kind}"


class Named(NamedTuple):
    """A resource, the account that it is of, and what it is."""

    arn: str
    account: str
    kind: str
    shared: bool
    delivered: bool


@lru_cache(maxsize=walls.ACTIONS_MAX)
def mode_of(action: str) -> Mode:
    """How an IAM action touches what it names, in the words of the policies."""
    service, _, name = action.partition(":")
    if walls.is_evidence(action):
        return Mode.EVIDENCE
    found = walls.mode_of(action)
    if found is walls.Mode.MAKE:
        return Mode.CREATE
    if found is walls.Mode.READ:
        return Mode.LIST if name.startswith("List") else Mode.READ
    names_only = name.startswith(_NAMES_ONLY) or any(word in name for word in _POLICY_WORDS)
    return Mode.MANAGE if service == "iam" or names_only else Mode.OVERWRITE


def subject_of(principal: Principal) -> Subject:
    """A session is in the role that it has assumed: `ACCOUNT/NAME`. A duty is a role too."""
    assumed, duty = principal.kind is PrincipalKind.SESSION, principal.duty
    role = f"{principal.account}/{principal.issuer_arn.rpartition('/')[2]}"
    return Subject(
        id=principal.user_id,
        account=principal.account,
        arn=principal.arn,
        name=principal.name,
        kind=principal.kind.value,
        clearance=principal.clearance,
        session=principal.session,
        roles=frozenset({*((role,) if assumed else ()), *((duty,) if duty else ())}),
    )
