"""One decision in words: which engine decided, by which policy, from which facts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bastide.kernel.call import Principal
from bastide.kernel.labels.label import Label
from bastide.policy import walls
from bastide.policy.authorizer import PolicyAuthorizer
from bastide.policy.cedar.engine import CedarEngine
from bastide.policy.cedar.reading import WHOLE
from bastide.policy.cedar.slices import Slice
from bastide.policy.evaluator import Reason
from bastide.policy.questions import Question, Verdict
from bastide.policy.second import SecondEngine
from bastide.policy.sharing import is_alias
from bastide.policy.standing import bucket_of, is_delivered, is_foreign

# What each mandatory policy says no to.
WORDS = {
    "mac.session-within-clearance": "the session works above what its user or role may see",
    "mac.resource-within-ceiling": "the label of the resource is above what this region may hold",
    "mac.session-within-ceiling": "the session works above what this region may hold",
    "mac.no-read-up": "no read up: the session does not dominate the label of the resource",
    "mac.no-write-down": "no write down: the label of the resource does not dominate the session",
    "agency.isolation": "the resource is another agency's, and it is not shared for reading",
    "duty.operators-never-touch-content": "operators manage, and never read or write content",
    "duty.auditors-only-evidence": "auditors read evidence, and nothing else",
    "account.suspended": "who asks is suspended",
    "two-person.approved": "another person has not agreed to exactly this, or not lately enough",
    "two-person.approver-is-fit": "who agreed is suspended, of another agency, or not cleared",
    "two-person.security-officers": "two security officers have to agree",
    "two-person.downgrade": "a reviewer and a releaser have to agree",
    "two-person.loosen-guardrail": "a security officer and a reviewer have to agree",
    "two-person.review-transfer": "a reviewer and a security officer have to agree",
    "two-person.key-custodians": "two key custodians have to agree",
    "two-person.retire-audit": "a security officer and an auditor have to agree",
    "release.two-releasers": "two releasers, neither of them the author, release these very bytes",
    "release.down-is-reviewed": "what goes down is reviewed by a third person",
    "release.reviewer-is-fit": "the reviewer is suspended, of another agency, or not cleared",
}

# Why nothing crosses from one agency to another, in words, and which engine says so.
_ACROSS = {
    Reason.NO_SHARE: "no share shows it to this agency at this label, or its bucket is gone",
    Reason.SHARE_SCOPE: "a share is for reading, and only for what begins with its prefix",
    Reason.NO_RESOURCE: "the owner's bucket policy does not let this agency do it by name",
    Reason.DENY_RESOURCE: "the owner's bucket policy forbids it",
    Reason.NO_IDENTITY: "no policy of the caller's own agency allows it on the bucket's own ARN",
    Reason.LABEL: "the session does not dominate the label of the resource",
}
_BY = {
    Reason.NO_SHARE: "share",
    Reason.SHARE_SCOPE: "share",
    Reason.LABEL: "walls",
    Reason.DUTY: "walls",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """`facts`: what the deciding policies look at, with its value here."""

    allowed: bool
    engine: str
    policies: tuple[str, ...]
    facts: dict[str, str]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Decides as the chain does, and says why."""

    authorizer: PolicyAuthorizer
    second: SecondEngine
    engine: CedarEngine

    def why(
        self,
        principal: Principal,
        action: str,
        resource: str,
        label: Label | None = None,
        slices: Sequence[Slice] = (),
        *,
        guardrail: str = "",
    ) -> Explained:
        """`label`: of the resource, where it is not that of what is there. `slices`: policies that
        are tried out instead of those that are stored."""
        if is_foreign(principal.account, resource):
            return _no("walls", "the resource is another agency's: it is not there for this one")
        if is_alias(bucket_of(resource)):
            return self._across(principal, action, resource, label, slices)
        known = self.authorizer.stored.resources
        if label is None:
            label = known.label(principal, resource, None)
        delivered = is_delivered(self.authorizer.stored, principal, action, resource)
        no = self._walls(principal, action, label, delivered)
        no = no or self._iam(principal, action, resource)
        if no is not None:
            return no
        asker = self.second.about(principal, guardrail)
        question = asker.question(action, resource, label, delivered=delivered)
        found = self._cedar(question, slices)
        mode = walls.ASKED_AGAIN.get(action)
        if mode is None or not found.allowed:
            return found
        if label is None or mode is walls.Mode.MAKE:
            label = principal.session  # the least that it can get
        return self._walled(principal, action, label, mode) or self._cedar(
            asker.altered(action, resource, label, mode), slices
        )

    def _across(
        self,
        principal: Principal,
        action: str,
        resource: str,
        label: Label | None,
        slices: Sequence[Slice],
    ) -> Explained:
        """Of what another agency shares, or does not. The caller hears of no reason but that
        nothing lets it in."""
        decision = self.authorizer.across(principal, action, resource)
        reason, crossed = decision.reason, decision.crossed
        if crossed is None:
            words = _ACROSS.get(reason) or reason.format(action=action)
            return _no(_BY.get(reason, "iam"), words, policies=decision.matched)
        if label is None:
            label = self.authorizer.stored.resources.label(principal, resource, None)
        question = self.second.about(principal).question(action, crossed.arn, label, crossed.owner)
        return self._cedar(question, slices)

    def _walls(
        self, principal: Principal, action: str, label: Label | None, delivered: bool
    ) -> Explained | None:
        lattice = self.authorizer.walls
        if lattice.permits(principal, action, label, delivered=delivered):
            return None
        if not walls.is_of_duty(principal, action, delivered=delivered):
            return _no("walls", WORDS["duty.auditors-only-evidence"])
        facts = self._labels(principal, label)
        if not lattice.stands(principal):
            return _no("walls", "the session is above its clearance or the region", facts)
        return _no("walls", _words_of(walls.mode_of(action)), facts)

    def _walled(
        self, principal: Principal, action: str, label: Label, mode: walls.Mode
    ) -> Explained | None:
        if self.authorizer.walls.permits_altering(principal, action, label, mode):
            return None
        return _no("walls", _words_of(mode), self._labels(principal, label))

    def _labels(self, principal: Principal, label: Label | None) -> dict[str, str]:
        return {
            "principal.clearance": principal.clearance.text,
            "principal.session": principal.session.text,
            "ceiling": self.authorizer.walls.ceiling.text,
            "resource.label": label.text if label else "",
        }

    def _iam(self, principal: Principal, action: str, resource: str) -> Explained | None:
        decision = self.authorizer.by_policies(principal, action, resource)
        if decision.allowed:
            return None
        return _no("iam", decision.reason.format(action=action), policies=decision.matched)

    def _cedar(self, question: Question, slices: Sequence[Slice]) -> Explained:
        asked = tuple(slices) or tuple(self.engine.slices_of(question))
        verdict = self.engine.decided(question, asked)
        return Explained(
            allowed=verdict.allowed,
            engine="cedar",
            policies=verdict.policies,
            facts=_facts(question, verdict, asked),
            words=_words(verdict),
        )


def _words_of(mode: walls.Mode) -> str:
    asked = "does not dominate" if mode is walls.Mode.READ else "is not"
    return f"to {mode}: the session {asked} the label of the resource"


def _words(verdict: Verdict) -> str:
    if verdict.allowed:
        return "the walls, IAM and Cedar all allow it"
    said = [
        WORDS.get(name, f"the agency's own policy {name.removeprefix('agency/')} forbids it")
        for name in verdict.policies
        if not name.startswith("common.") and (name in WORDS or name.startswith("agency/"))
    ]
    said += [f"a policy could not be worked out: {error}" for error in verdict.errors]
    return "; ".join(said) or "no policy permits it"


def _no(
    engine: str, words: str, facts: dict[str, str] | None = None, policies: tuple[str, ...] = ()
) -> Explained:
    return Explained(
        allowed=False, engine=engine, policies=policies, facts=facts or {}, words=words
    )


def _facts(question: Question, verdict: Verdict, slices: Sequence[Slice]) -> dict[str, str]:
    known = dict(_known(question))
    read = {each for one in slices for name in verdict.policies for each in one.reads(name)}
    named = {f"{variable}.{attribute}" for variable, attribute in read if attribute != WHOLE}
    if ("resource", WHOLE) in read:
        named.add("resource.arn")
    return {name: value for name, value in known.items() if name in named}


def _known(question: Question) -> Iterator[tuple[str, Any]]:
    subject, target = question.subject, question.target
    yield "principal.agency", subject.account
    yield "principal.arn", subject.arn
    yield "principal.name", subject.name
    yield "principal.kind", subject.kind
    yield "principal.clearance", subject.clearance.text
    yield "principal.session", subject.session.text
    yield "principal.suspended", str(subject.suspended).lower()
    yield "resource.agency", target.account
    yield "resource.arn", target.arn
    yield "resource.kind", target.kind
    yield "resource.label", target.label.text
    yield "resource.delivered", str(target.delivered).lower()
    yield "resource.sharedWith", " ".join(sorted(target.shared_with))
    yield "context.operation", question.operation
    yield "context.ceiling", question.ceiling.text
    yield "context.now", str(question.now_s)
    yield "context.guardrail", question.guardrail
