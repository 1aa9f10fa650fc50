"""The rules of two-person integrity: who may sign what, and when a request may be carried out.

Pure: a request with its signatures, the officers as they are now, and the time. Nothing is
decided by what was true when somebody signed: a signature counts only while its officer may give
it, so it is checked again, with its cryptography, when the approval is used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

from bastide.kernel.approvals import OFFICER, Kind
from bastide.kernel.statements import Statement, Verdict, holds, parse_public
from bastide.policy.approval_model import (
    Officer,
    Officers,
    Refusal,
    Refused,
    Request,
    Role,
    Signed,
    Standing,
    Terms,
)

REASON_MAX = 500


def roles_for(kind: Kind, action: Mapping[str, Any]) -> tuple[Role, ...]:
    """Which signatures it takes, each by another officer. Up through the gate, towards more
    protection, nobody reviews; what does not say that it goes up is reviewed, before it is sent:
    where it arrives, it is released as any other."""
    match kind:
        case Kind.DOWNGRADE:
            return (Role.REVIEWER, Role.RELEASER)
        case Kind.TRANSFER_RELEASE if action.get("direction") == "up" or _is_here(action):
            return (Role.RELEASER, Role.RELEASER)
        case Kind.TRANSFER_RELEASE:
            return (Role.REVIEWER, Role.RELEASER, Role.RELEASER)
        case Kind.TRANSFER_REVIEW:
            return (Role.REVIEWER, Role.SECURITY_OFFICER)
        case Kind.GUARDRAIL_LOOSENING:
            return (Role.SECURITY_OFFICER, Role.REVIEWER)
        case Kind.KEY_DELETION:
            return (Role.KEY_CUSTODIAN, Role.KEY_CUSTODIAN)
        case Kind.AUDIT_RETIREMENT:
            return (Role.SECURITY_OFFICER, Role.AUDITOR)
        case (
            Kind.CLEARANCE_GRANT
            | Kind.AGENCY_SHARE
            | Kind.TRUST_ANCHOR_CHANGE
            | Kind.ADMINISTRATOR_KEYS
        ):
            return (Role.SECURITY_OFFICER, Role.SECURITY_OFFICER)
        case Kind.BREAK_GLASS:  # the officer who broke it is the first person
            return (Role.SECURITY_OFFICER,)


def _is_here(action: Mapping[str, Any]) -> bool:
    return action.get("deed") == "ReleaseTransfer"


def standing(request: Request, officers: Officers, now_ms: int) -> Standing:
    if request.ended:
        return Standing(request.ended)
    if now_ms >= request.expires_ms:
        return Standing.EXPIRED
    if is_broken(request, officers):
        return Standing.APPROVED
    if not _asked(request, officers):
        return Standing.UNSIGNED
    given = _by(request, officers, Verdict.APPROVE)
    if missing(request, officers):
        return Standing.PENDING
    ready_ms = max(one.at_ms for one in given) + request.wait_ms
    return Standing.APPROVED if now_ms >= ready_ms else Standing.WAITING


def missing(request: Request, officers: Officers) -> list[Role]:
    """The roles whose signature is still wanted: the fewest that complete what there is."""
    left = list(roles_for(request.kind, request.what))
    for role, _ in signers(request, officers):
        left.remove(role)
    return left


def signers(request: Request, officers: Officers) -> list[tuple[Role, Officer]]:
    """Who has signed, each in one of the kind's roles, in the order of these: as many as can be."""
    wanted = roles_for(request.kind, request.what)
    given = {one.officer for one in _by(request, officers, Verdict.APPROVE)}
    best: dict[int, str] = {}
    for order in permutations(range(len(wanted))):
        taken: dict[int, str] = {}
        for name in sorted(given):
            free = (at for at in order if at not in taken and wanted[at] in officers[name].roles)
            if (found := next(free, None)) is not None:
                taken[found] = name
        best = max(best, taken, key=len)
    return [(wanted[at], officers[best[at]]) for at in sorted(best)]


def is_broken(request: Request, officers: Officers) -> bool:
    """Whether an officer does it alone, and answers for it."""
    return bool(_by(request, officers, Verdict.BREAK_GLASS))


def signed(
    request: Request,
    statement: Statement,
    signature: str,
    officers: Officers,
    *,
    now_ms: int,
    terms: Terms,
) -> Request:
    """`request` with one more officer's word on it; Refused if they may not give it."""
    officer = _author(request, statement, signature, officers)
    _check_open(request, now_ms)
    if len(statement.reason) > REASON_MAX:
        raise Refused(Refusal.REASON, f"A reason has at most {REASON_MAX} letters.")
    if any(
        (each.officer, each.verdict) == (officer.name, statement.verdict)
        for each in request.signatures
    ):
        raise Refused(Refusal.AGAIN, f"{officer.name} has signed this request before.")
    one = Signed(
        officer=officer.name, verdict=statement.verdict, reason=statement.reason,
        signature=signature, at_ms=now_ms,
    )  # fmt: skip
    after = replace(request, signatures=(*request.signatures, one))
    match statement.verdict:
        case Verdict.REJECT:
            return replace(after, ended=Standing.REJECTED, ended_ms=now_ms)
        case Verdict.ASK:
            _check_asker(request, officer)
        case Verdict.APPROVE:
            _check_approver(request, officer, after, officers, now_ms)
        case Verdict.BREAK_GLASS:
            _check_glass(request, officer, officers, statement.reason, terms)
    return after


def used(request: Request, officers: Officers, now_ms: int) -> Request:
    """`request`, used up; Refused unless it is approved now."""
    _check_open(request, now_ms)
    match standing(request, officers, now_ms):
        case Standing.APPROVED:
            return replace(request, ended=Standing.USED, ended_ms=now_ms)
        case other:
            raise Refused(Refusal.NOT_YET, f"The request {request.id} is {other}.")


def _author(request: Request, statement: Statement, signature: str, officers: Officers) -> Officer:
    """The officer who signed exactly this, about this request."""
    officer = officers.get(statement.officer)
    if officer is None:
        raise Refused(Refusal.NO_OFFICER, f"There is no officer {statement.officer}.")
    if not holds(statement, signature, parse_public(officer.public_key)):
        raise Refused(Refusal.FORGED, f"This is not signed by the key of {officer.name}.")
    if statement.region != request.region:
        raise Refused(Refusal.OTHER_REGION, f"This is for the region {statement.region}.")
    if statement != request.statement(statement.verdict, officer.name, statement.reason):
        raise Refused(Refusal.MUTATED, "This is not what the request says: see it again.")
    if officer.suspended:
        raise Refused(Refusal.SUSPENDED, f"{officer.name} is suspended.")
    return officer


def _check_open(request: Request, now_ms: int) -> None:
    if request.ended == Standing.USED:
        raise Refused(Refusal.USED, f"The request {request.id} was used.")
    if request.ended == Standing.REJECTED:
        raise Refused(Refusal.REJECTED, f"The request {request.id} was rejected.")
    if now_ms >= request.expires_ms:
        raise Refused(Refusal.EXPIRED, f"The request {request.id} has expired.")


def _check_asker(request: Request, officer: Officer) -> None:
    if request.requester != OFFICER + officer.name:
        raise Refused(Refusal.NOT_ASKER, f"{request.requester} asks for this.")


def _check_approver(
    request: Request, officer: Officer, after: Request, officers: Officers, now_ms: int
) -> None:
    if is_requester(request, officer):
        raise Refused(Refusal.SELF, f"{officer.name} asks for this, and cannot approve it.")
    if not _asked(request, officers):
        raise Refused(Refusal.UNASKED, f"{request.requester} has not signed this request.")
    wanted = missing(request, officers)
    if not wanted:
        raise Refused(Refusal.ENOUGH, "Nobody else needs to approve this.")
    if len(missing(after, officers)) == len(wanted):
        raise Refused(
            Refusal.ROLE, f"It takes the signature of a {' or '.join(sorted(set(wanted)))}."
        )
    if now_ms + request.wait_ms >= request.expires_ms:
        raise Refused(Refusal.TOO_LATE, "Its waiting time would end after it expires: ask anew.")


def _check_glass(
    request: Request, officer: Officer, officers: Officers, reason: str, terms: Terms
) -> None:
    if request.kind not in terms.glass:
        raise Refused(Refusal.NO_GLASS, f"Nobody does a {request.kind} alone in this region.")
    if not officer.roles & set(roles_for(request.kind, request.what)):
        raise Refused(Refusal.ROLE, f"{officer.name} has no role in a {request.kind}.")
    if not _asked(request, officers) and not is_requester(request, officer):
        raise Refused(Refusal.UNASKED, f"{request.requester} has not signed this request.")
    if not reason.strip():
        raise Refused(Refusal.REASON, "Give a reason.")


def is_requester(request: Request, officer: Officer) -> bool:
    return request.requester in (OFFICER + officer.name, *officer.known_as)


def _asked(request: Request, officers: Officers) -> bool:
    """Whether the officer who is said to ask does: who was named cannot be somebody else. Who
    broke the glass has signed that already."""
    if not request.requester.startswith(OFFICER) or request.kind is Kind.BREAK_GLASS:
        return True
    return bool(_by(request, officers, Verdict.ASK))


def _by(request: Request, officers: Officers, verdict: Verdict) -> Sequence[Signed]:
    """The signatures of one verdict that count now."""
    return [
        one
        for one in request.signatures
        if one.verdict is verdict and _counts(request, one, officers.get(one.officer))
    ]


def _counts(request: Request, one: Signed, officer: Officer | None) -> bool:
    if officer is None or officer.suspended:
        return False
    if one.verdict is Verdict.APPROVE and is_requester(request, officer):
        return False
    statement = request.statement(one.verdict, one.officer, one.reason)
    return holds(statement, one.signature, parse_public(officer.public_key))
