"""The second engine's word on what two persons do: asked when `two_persons.py` is content, before
the effect, with those who signed as the persons.

Officers are the region's: of no agency, and cleared for all that it may hold. No agency's policies
are asked: they narrow what its own people do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bastide.kernel.approvals import OFFICER, Kind
from bastide.kernel.labels.label import Label
from bastide.policy import two_persons
from bastide.policy.approval_model import Officer, Officers, Refusal, Refused, Request, Role
from bastide.policy.questions import Approval, Mode, Question, Subject, Target, Verdict

REGION = ""  # the agency of who and what is the region's own
MODES = {
    Kind.DOWNGRADE: Mode.DOWNGRADE,
    Kind.TRANSFER_RELEASE: Mode.RELEASE,
    Kind.TRANSFER_REVIEW: Mode.REVIEW_TRANSFER,
    Kind.GUARDRAIL_LOOSENING: Mode.LOOSEN_GUARDRAIL,
    Kind.KEY_DELETION: Mode.DESTROY_KEY,
    Kind.AUDIT_RETIREMENT: Mode.RETIRE_AUDIT,
    Kind.CLEARANCE_GRANT: Mode.GRANT_CLEARANCE,
    Kind.AGENCY_SHARE: Mode.GRANT_CLEARANCE,  # an agency's, for what another keeps
    Kind.TRUST_ANCHOR_CHANGE: Mode.CHANGE_TRUST_ANCHOR,
    Kind.ADMINISTRATOR_KEYS: Mode.HAND_OUT_KEYS,
}  # not break-glass: a countersignature permits nothing
Signers = Sequence[tuple[Role, Officer]]


class Decider(Protocol):
    def decide(self, question: Question) -> Verdict: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """`ceiling`: the most that this region may hold."""

    decider: Decider
    ceiling: Label

    def check(self, request: Request, officers: Officers, now_ms: int) -> None:
        """Refused unless the engine agrees. What an officer does alone, under broken glass, is that
        officer's: there is no second person to ask about."""
        if two_persons.is_broken(request, officers):
            return
        signers = two_persons.signers(request, officers)
        verdict = self.decider.decide(self.question(request, signers, now_ms))
        if not verdict.allowed:
            said = ", ".join((*verdict.policies, *verdict.errors))
            raise Refused(
                Refusal.ENGINE, f"The second engine does not agree: {said or 'no permit'}."
            )

    def question(self, request: Request, signers: Signers, now_ms: int) -> Question:
        """Who signed, in the order of the kind's roles; a third, the reviewer of what goes down,
        is asked about as such."""
        third = [pair for pair in signers[:1] if len(signers) > 2]
        first, other, *_ = [pair for pair in signers if pair not in third]
        subject = self._person(*first)
        asker = next((who for _, who in signers if two_persons.is_requester(request, who)), None)
        requester = OFFICER + asker.name if asker else request.requester
        return Question(
            subject=subject,
            mode=MODES[request.kind],
            operation=f"approvals:{request.kind}",
            target=Target(
                arn=request.id,
                account=REGION,
                kind=f"approvals/{request.kind}",
                label=self.ceiling,
                author=requester,
                digest=request.digest,
                down=bool(third),
            ),
            ceiling=self.ceiling,
            now_s=now_ms // 1000,
            digest=request.digest,
            requester=requester,
            approval=self._approval(request, *other),
            second=self._approval(request, *third[0]) if third else None,
        )

    def _approval(self, request: Request, role: Role, officer: Officer) -> Approval:
        return Approval(
            by=self._person(role, officer),
            digest=request.digest,
            expires_s=-(-request.expires_ms // 1000),
        )

    def _person(self, role: Role, officer: Officer) -> Subject:
        """An officer, in the role that they sign in."""
        return Subject(
            id=OFFICER + officer.name,
            account=REGION,
            arn=OFFICER + officer.name,
            name=officer.name,
            kind="Officer",
            clearance=self.ceiling,
            session=self.ceiling,
            roles=frozenset({role.value}),
            suspended=officer.suspended,
        )
