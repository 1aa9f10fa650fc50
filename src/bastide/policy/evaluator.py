"""AWS's evaluation logic for one request within one account: explicit deny wins, the rest must
be allowed by an identity policy or by the resource's, and by the session policy where one is.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
Organization policies do not exist here.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from bastide.kernel.call import Crossed
from bastide.policy.document import Document, Principals, Statement
from bastide.policy.patterns import Context

Source = tuple[str, Document]  # an id that tells where the document is from


class Reason(StrEnum):
    """Why a decision is what it is. The values end AWS's AccessDenied messages."""

    ALLOWED = "allowed"
    NO_IDENTITY = "because no identity-based policy allows the {action} action"
    NO_BOUNDARY = "because no permissions boundary allows the {action} action"
    NO_SESSION = "because no session policy allows the {action} action"
    NO_RESOURCE = "because no resource-based policy allows the {action} action"
    DENY_IDENTITY = "with an explicit deny in an identity-based policy"
    DENY_BOUNDARY = "with an explicit deny in a permissions boundary"
    DENY_SESSION = "with an explicit deny in a session policy"
    LABEL = "because the label of the session does not permit it"
    DUTY = "because the duty of the caller does not permit it"
    DENY_RESOURCE = "with an explicit deny in a resource-based policy"
    DENY_AGENCY = "with an explicit deny in a policy of the agency"
    NO_SHARE = "because no share between the two agencies shows it to the session"
    SHARE_SCOPE = "because the share is for reading only, and for what begins with its prefix"


class Grant(IntEnum):
    """How far a statement's Principal reaches to a caller."""

    NONE = 0
    DELEGATED = 1  # the account is named: its own policies decide
    ROLE = 2  # the role (or everyone) is named: boundary and session policy still narrow
    DIRECT = 3  # the user or the session itself is named


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A caller as resource policies name one: by unique ids, so that a name that comes back is
    somebody else. `own` is the user's or the session's, `issuer` the user's or the role's. A
    service has only `service`."""

    account: str = ""
    own: str = ""
    issuer: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """`action` in lower case, `context` keys in lower case."""

    action: str
    resource: str
    context: Context
    caller: Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """All that bears on one request. `boundary` or `session` None: the caller has none.
    `governed`: the resource's own policy decides first, and what it does not let in stays out.
    `crossing`: the resource is another account's; its policy must name the caller's, and the
    caller's own policies must allow it too."""

    identity: Sequence[Source]
    boundary: Sequence[Source] | None = None
    session: Sequence[Source] | None = None
    resource: Sequence[Source] = ()
    governed: bool = False
    crossing: bool = False

    @property
    def asks_tags(self) -> bool:
        """Whether what is tagged on the resource could matter."""
        return any(document.asks_tags for _, document in self._all())

    @property
    def asks_aliases(self) -> bool:
        """Whether the aliases of the resource, which is a KMS key, could matter."""
        return any(document.asks_aliases for _, document in self._all())

    @property
    def kept_by(self) -> Hashable | None:
        """What a decision of theirs on an action and a resource may be kept by. None where it may
        not: a condition or a variable looks at the call, or the resource's policy at its caller."""
        if self.resource or self.governed or self.crossing:
            return None
        if any(document.asks_context for _, document in self._all()):
            return None
        groups = (self.identity, self.boundary, self.session)
        return tuple(None if group is None else tuple(group) for group in groups)

    def _all(self) -> Iterator[Source]:
        yield from self.identity
        yield from self.resource
        yield from self.boundary or ()
        yield from self.session or ()


@dataclass(frozen=True, slots=True)
class Decision:
    """`matched` are `source#sid-or-index` of the statements that decided. `crossed`: the other
    account's resource, once the policies of both have allowed it."""

    allowed: bool
    reason: Reason
    matched: tuple[str, ...] = ()
    crossed: Crossed | None = None

    @property
    def explicit_deny(self) -> bool:
        return self.reason.name.startswith("DENY_")

    @property
    def outside_boundary(self) -> bool:
        return self.reason in (Reason.NO_BOUNDARY, Reason.DENY_BOUNDARY)


@dataclass(frozen=True, slots=True)
class Found:
    """What one group of policies says."""

    denies: tuple[str, ...]
    allows: tuple[str, ...]
    grant: Grant


def decide(request: Request, policies: Policies) -> Decision:
    """One decision."""
    identity = _found(request, policies.identity)
    bounded, crossing = policies.boundary is not None, policies.crossing
    resource = _found(request, policies.resource, bounded=bounded, crossing=crossing)
    boundary = None if policies.boundary is None else _found(request, policies.boundary)
    session = None if policies.session is None else _found(request, policies.session)
    for found, reason in (
        (identity, Reason.DENY_IDENTITY),
        (resource, Reason.DENY_RESOURCE),
        (boundary, Reason.DENY_BOUNDARY),
        (session, Reason.DENY_SESSION),
    ):
        if found is not None and found.denies:
            return Decision(False, reason, found.denies)
    if (policies.governed or crossing) and resource.grant is Grant.NONE:
        return Decision(False, Reason.NO_RESOURCE)
    if resource.grant is Grant.DIRECT and not crossing:
        return Decision(True, Reason.ALLOWED, resource.allows + identity.allows)
    if not identity.allows and (crossing or resource.grant is not Grant.ROLE):
        return Decision(False, Reason.NO_IDENTITY)
    if boundary is not None and not boundary.allows:
        return Decision(False, Reason.NO_BOUNDARY)
    if session is not None and not session.allows:
        return Decision(False, Reason.NO_SESSION)
    return Decision(True, Reason.ALLOWED, identity.allows + resource.allows)


def trusted(request: Request, trust: Document) -> Grant:
    """How far a role's trust policy reaches to the caller; NONE if it denies."""
    found = _found(request, [("trust", trust)])
    return Grant.NONE if found.denies else found.grant


def narrowed(request: Request, policies: Policies) -> Policies:
    """The statements that hold whatever the resource of the request: its action, its caller and
    its condition keys are looked at once for all the resources of a batch."""

    bounded = policies.boundary is not None

    def kept(sources: Sequence[Source]) -> list[Source]:
        return [(source, _holding(document, request, bounded)) for source, document in sources]

    return Policies(
        identity=kept(policies.identity),
        boundary=None if policies.boundary is None else kept(policies.boundary),
        session=None if policies.session is None else kept(policies.session),
        resource=kept(policies.resource),
        governed=policies.governed,
    )


def _holding(document: Document, request: Request, bounded: bool) -> Document:
    statements = [
        replace(statement, sid=statement.sid or str(index), resources=None, not_resource=False)
        for index, statement in enumerate(document.statements, 1)
    ]
    return replace(
        document,
        statements=tuple(
            replace(open_, resources=whole.resources, not_resource=whole.not_resource, tests=())
            for open_, whole in zip(statements, document.statements, strict=True)
            if _reach(open_, request, bounded) is not Grant.NONE
        ),
    )


def _found(
    request: Request, sources: Sequence[Source], *, bounded: bool = False, crossing: bool = False
) -> Found:
    """`crossing`: who lets in everybody lets in nobody of another account."""
    denies: list[str] = []
    allows: list[str] = []
    grant = Grant.NONE
    for source, document in sources:
        for index, statement in enumerate(document.statements):
            reach = _reach(statement, request, bounded)
            if reach is Grant.NONE or (crossing and _opens_to_all(statement)):
                continue
            name = f"{source}#{statement.sid or index + 1}"
            if statement.deny:
                denies.append(name)
            else:
                allows.append(name)
                grant = max(grant, reach)
    return Found(tuple(denies), tuple(allows), grant)


def _reach(statement: Statement, request: Request, bounded: bool) -> Grant:
    """NONE when the statement is not about this request. AWS documents that a Deny with
    NotPrincipal meets everyone who is `bounded`, be they named or not."""
    action = request.action
    if any(glob.matches(action) for glob in statement.actions) == statement.not_action:
        return Grant.NONE
    resources, context = statement.resources, request.context
    if resources is not None:
        named = any(pattern.matches(request.resource, context) for pattern in resources)
        if named == statement.not_resource:
            return Grant.NONE
    reach = Grant.ROLE
    if statement.principals is not None:
        reach = _principal_reach(statement.principals, request.caller)
        if statement.not_principal:
            spared = reach is not Grant.NONE and not (statement.deny and bounded)
            reach = Grant.NONE if spared else Grant.ROLE
    if reach is Grant.NONE or not all(test.holds(context) for test in statement.tests):
        return Grant.NONE
    return reach


def _opens_to_all(statement: Statement) -> bool:
    """What S3 calls public: its RestrictPublicBuckets, which is always on, is for these."""
    who = statement.principals
    return not statement.deny and who is not None and (who.everyone or statement.not_principal)


def _principal_reach(principals: Principals, caller: Caller) -> Grant:
    if caller.service:
        return Grant.ROLE if caller.service in principals.services else Grant.NONE
    if caller.own in principals.ids:
        return Grant.DIRECT
    if principals.everyone or caller.issuer in principals.ids:
        return Grant.ROLE
    return Grant.DELEGATED if caller.account in principals.accounts else Grant.NONE
