"""Says yes or no to a call, from the policies of its caller and of what it touches."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any

from bastide.kernel.call import Call, Principal, PrincipalKind
from bastide.kernel.clock import Clock, SystemClock
from bastide.kernel.errors import ServiceError
from bastide.policy import actions, names
from bastide.policy.actions import Need
from bastide.policy.document import PolicyKind
from bastide.policy.evaluator import (
    Caller,
    Decision,
    Policies,
    Reason,
    Request,
    Source,
    decide,
)
from bastide.policy.kept import Kept
from bastide.policy.parsed import PARSED_MAX, ParsedDocuments
from bastide.policy.patterns import Context
from bastide.policy.ports import MandatoryEngine, Stored
from bastide.policy.standing import Standing, bucket_of
from bastide.policy.walls import Walls, is_of_duty

DECISIONS_MAX = 16_384
DECRYPT = "kms:Decrypt"
_PLAIN_CODE = frozenset({"s3", "iam", "sts", "cloudwatch"})
_STATUS_400 = frozenset({"sagemaker", "logs", "cloudtrail", "kms"})
_DENIES = frozenset({Reason.DENY_IDENTITY, Reason.DENY_BOUNDARY, Reason.DENY_SESSION})
_BY_SESSION_TOKEN = frozenset({"sts.AssumeRole", "sts.GetCallerIdentity"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAuthorizer:
    """`second`: asked when all others have allowed. `stored`: principals come from identity, what
    is known of resources from their owners."""

    walls: Walls
    second: MandatoryEngine
    stored: Stored
    clock: Clock = field(default_factory=SystemClock)
    parsed: ParsedDocuments = field(default_factory=ParsedDocuments)
    decisions: Kept[Hashable, Decision] = field(default_factory=partial(Kept, DECISIONS_MAX))

    def canonical(self, call: Call, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters as policies and handler shall both see them."""
        return names.with_keys(call, names.canonical(call, params), self.stored.resources)

    def authorize(self, call: Call, params: Mapping[str, Any]) -> None:
        """Raises ServiceError when the policies do not allow the call."""
        if not self.walls.stands(call.principal):
            raise denied(call, call.operation.replace(".", ":"), "*", Reason.LABEL)
        _check_session_token(call)
        needs = actions.needs_of(call, params, self.stored)
        _check_duty(call, needs)
        if not needs:
            return
        actions.check_tags(params)
        standing = self.standing(call, params)
        for need in needs:
            for resource in need.resources:
                decision = standing.decision(need.action, resource)
                if not decision.allowed:
                    raise denied(call, need.action, resource, decision.reason)
                if decision.crossed is not None:
                    call.notes.crossed = decision.crossed
        _check_denied(call, standing)

    def standing(self, call: Call, params: Mapping[str, Any]) -> Standing:
        """Where the caller of a call stands, with all the condition keys of it."""
        context = actions.CallContext(call, params, self.stored)
        guardrail = actions.guardrail_asked(call, params)
        standing = self._standing(call.principal, context, actions.version_of(params), guardrail)
        encryption, aliases = actions.encryption_of(params), actions.aliases_of(call)
        if not encryption and not aliases:
            return standing
        return replace(standing, encryption=encryption, aliases=aliases)

    def require_key(
        self,
        principal: Principal,
        action: str,
        key_arn: str,
        encryption: Mapping[str, str],
        via: str,
    ) -> None:
        """Raises ServiceError unless a principal may use a KMS key through the service `via`: what
        S3 asks for whoever reads or writes an object."""
        standing = self._via(principal, principal.account, encryption, via)
        decision = standing.decision(action, key_arn)
        if not decision.allowed:
            raise _key_denied(principal, action, key_arn, decision.reason)

    def require_shared_key(
        self,
        principal: Principal,
        owner: str,
        key_arn: str,
        encryption: Mapping[str, str],
        via: str,
    ) -> None:
        """The same of another account's key that an object is under which it shares: to decrypt,
        and no more. Which rule refused is not for the caller."""
        standing = replace(self._via(principal, owner, encryption, via), owner=owner)
        if not standing.decision(DECRYPT, key_arn).allowed:
            raise _key_denied(principal, DECRYPT, key_arn, Reason.NO_RESOURCE)

    def _via(
        self, principal: Principal, owner: str, encryption: Mapping[str, str], via: str
    ) -> Standing:
        context = self._outside_of_a_call(principal) | {
            "aws:viaawsservice": "true",
            "aws:resourceaccount": owner,
            "kms:viaservice": via,
            "kms:calleraccount": principal.account,
        }
        return replace(self._standing(principal, context), encryption={"": encryption})

    def would_permit(self, call: Call, action: str, key_arn: str, document: str) -> bool:
        """Whether the caller might still do `action` to a key if `document` were its policy."""
        standing = self.standing(call, {})
        trial = [("key-policy", self.parsed.of(document, PolicyKind.RESOURCE))]
        return replace(standing, trial={key_arn: trial}).decision(action, key_arn).allowed

    def permits(
        self,
        principal: Principal,
        action: str,
        resource: str,
        context: Mapping[str, str | list[str]],
    ) -> bool:
        """Whether a principal may do one thing outside of a call: a job's role."""
        keys: dict[str, str | Sequence[str]] = {k.lower(): v for k, v in context.items()}
        keys |= self._outside_of_a_call(principal)
        guardrail = context.get(actions.GUARDRAIL_NAMED, "")
        standing = self._standing(principal, keys, guardrail=str(guardrail))
        return standing.decision(action, resource).allowed

    def across(self, principal: Principal, action: str, resource: str) -> Decision:
        """What may be read by an alias, with the true reason, with no condition keys but the
        principal's own and the time."""
        return self._standing(principal, self._outside_of_a_call(principal)).across(
            action, resource
        )

    def by_policies(self, principal: Principal, action: str, resource: str) -> Decision:
        """What IAM alone says to a principal, with no condition keys but its own and the time."""
        keys = self._outside_of_a_call(principal)
        return self._standing(principal, keys).by_policies(action, resource)

    def permits_service(
        self,
        service: Principal,
        action: str,
        resource: str,
        context: Mapping[str, str],
    ) -> bool:
        """Whether the policy of a bucket of its account lets a service, whose name its principal
        carries, do one thing."""
        text = self.stored.resources.bucket_policy(service, bucket_of(resource))
        if not text:
            return False
        policy = ("bucket-policy", self.parsed.of(text, PolicyKind.RESOURCE))
        keys = actions.time_context(self.clock.now())
        keys |= {name.lower(): value for name, value in context.items()}
        caller = Caller(account=service.account, service=service.name)
        request = Request(action.lower(), resource, keys, caller)
        return decide(request, Policies(identity=(), resource=(policy,))).allowed

    def permits_service_key(
        self,
        service: Principal,
        action: str,
        key_arn: str,
        encryption: Mapping[str, str],
        via: str,
    ) -> bool:
        """The same of the policy of a KMS key of its account."""
        standing = replace(
            self._via(service, service.account, encryption, via),
            caller=Caller(account=service.account, service=service.name),
        )
        return standing.by_policies(action, key_arn).allowed

    def permits_service_for(
        self,
        worker: Principal,
        action: str,
        resource: str,
        *,
        service: str,
        document: str,
        context: Mapping[str, str],
    ) -> bool:
        """Whether `document`, the policy of a resource, lets a service do one thing, and neither
        the lattice nor the second engine refuses it to the principal that the service works as."""
        policy = ("resource-policy", self.parsed.of(document, PolicyKind.RESOURCE))
        keys = actions.time_context(self.clock.now())
        keys |= {name.lower(): value for name, value in context.items()}
        caller = Caller(account=worker.account, service=service)
        request = Request(action.lower(), resource, keys, caller)
        if not decide(request, Policies(identity=(), resource=(policy,))).allowed:
            return False
        label = self.stored.resources.label(worker, resource, None)
        if not self.walls.permits(worker, action, label):
            return False
        return self.second.about(worker).refusal(action, resource, label) is None

    def _outside_of_a_call(self, principal: Principal) -> actions.Context:
        return actions.principal_context(principal) | actions.time_context(self.clock.now())

    def version(self, principal: Principal) -> str:
        """Names the policies that are written for a principal now: another text, another name."""
        account, issuer = principal.account, principal.issuer_arn
        bound = self.stored.principals.boundary_of(account, issuer)
        texts = (
            *(text for _, text in self.stored.principals.policies_of(account, issuer)),
            *([bound[1]] if bound else ()),
            *(principal.session_policies or ()),
        )
        return _digest_of(texts)

    def _standing(
        self,
        principal: Principal,
        context: Context,
        version: str | None = None,
        guardrail: str = "",
    ) -> Standing:
        texts = self.stored.principals.policies_of(principal.account, principal.issuer_arn)
        bound = self.stored.principals.boundary_of(principal.account, principal.issuer_arn)
        session = principal.session_policies
        return Standing(
            principal=principal,
            walls=self.walls,
            second=self.second.about(principal, guardrail),
            stored=self.stored,
            parsed=self.parsed,
            decisions=self.decisions,
            caller=caller_of(principal),
            context=context,
            identity=self.sources(texts),
            boundary=self.sources([bound]) if bound else None,
            session=None if session is None else self.sources([("session", s) for s in session]),
            version=version,
        )

    def sources(self, texts: Sequence[tuple[str, str]]) -> list[Source]:
        return [(source, self.parsed.of(text, PolicyKind.IDENTITY)) for source, text in texts]


def _check_duty(call: Call, needs: Sequence[Need]) -> None:
    """Also of what is asked for key by key, and of what needs no policy's yes. Where it depends on
    the resource, the decision about that says it."""
    for need in needs or [Need(call.operation.replace(".", ":"), ())]:
        if not is_of_duty(call.principal, need.action, delivered=bool(need.resources)):
            raise denied(call, need.action, "*", Reason.DUTY)


def _check_denied(call: Call, standing: Standing) -> None:
    for need in actions.denied_by(call):
        for resource in need.resources:
            reason = standing.by_policies(need.action, resource).reason
            if reason in _DENIES:
                raise denied(call, need.action, resource, reason)


@lru_cache(maxsize=PARSED_MAX)
def _digest_of(texts: tuple[str, ...]) -> str:
    digests = b"".join(sha256(text.encode()).digest() for text in texts)
    return f"sha256:{sha256(digests).hexdigest()}"


def _check_session_token(call: Call) -> None:
    """What GetSessionToken gives cannot call IAM, nor STS but for two operations."""
    principal = call.principal
    if principal.kind is not PrincipalKind.USER or not principal.access_key_id.startswith("ASIA"):
        return
    if call.service == "sts" and call.operation not in _BY_SESSION_TOKEN:
        name = call.operation.partition(".")[2]
        message = f"Cannot call {name} with session credentials"
        raise ServiceError("AccessDenied", message, status=403)
    if call.service == "iam":
        raise ServiceError(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            status=403,
        )


def caller_of(principal: Principal) -> Caller:
    own = principal.user_id
    return Caller(account=principal.account, own=own, issuer=own.partition(":")[0])


def _key_denied(principal: Principal, action: str, key_arn: str, reason: Reason) -> ServiceError:
    return ServiceError(
        "AccessDenied",
        f"User: {principal.arn} is not authorized to perform: {action} on resource: "
        f"{key_arn} {reason.format(action=action)}",
        status=403,
    )


def denied(call: Call, action: str, resource: str, reason: Reason) -> ServiceError:
    """AWS's words; the code is the service's."""
    who = f"User: {call.principal.arn} is not authorized to perform: {action}"
    message = f"{who} on resource: {resource} {reason.format(action=action)}"
    if action == "sts:AssumeRole":  # STS never says which of the two policies was missing
        message = f"{who} on resource: {resource}"
    if call.service in _PLAIN_CODE:
        return ServiceError("AccessDenied", message, status=403)
    status = 400 if call.service in _STATUS_400 else 403
    return ServiceError("AccessDeniedException", message, status=status)
