"""Says yes or no to a call, from the policies of its caller and of what it touches.

One agency never reaches into another: a name in another account is refused before any policy is
read, so that what exists there and what does not answer alike. What is shared has an alias
(`sharing.py`), and is read by that alone.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any

from bastide.kernel import arns
from bastide.kernel.call import Call, Crossed, Principal, PrincipalKind
from bastide.kernel.clock import Clock, SystemClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.policy import actions, names, sharing
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
    narrowed,
)
from bastide.policy.kept import Kept
from bastide.policy.parsed import PARSED_MAX, ParsedDocuments
from bastide.policy.patterns import Context
from bastide.policy.ports import MandatoryEngine, Refuser, Stored
from bastide.policy.walls import Walls, asks_delivered, is_of_duty

DECISIONS_MAX = 16_384
DECRYPT = "kms:Decrypt"
_PLAIN_CODE = frozenset({"s3", "iam", "sts", "cloudwatch"})
_STATUS_400 = frozenset({"sagemaker", "logs", "cloudtrail", "kms"})
_BY_TRUST = frozenset({"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"})
_BY_SESSION_TOKEN = frozenset({"sts.AssumeRole", "sts.GetCallerIdentity"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one principal stands: what is written for it and the condition keys of what it does,
    read once and asked as often as there are keys in a DeleteObjects. `owner`: the other account
    whose KMS keys are asked about, because an object is under one that it shares."""

    principal: Principal
    walls: Walls
    second: Refuser
    stored: Stored
    parsed: ParsedDocuments
    decisions: Kept[Hashable, Decision]
    caller: Caller
    context: Context
    identity: Sequence[Source]
    boundary: Sequence[Source] | None
    session: Sequence[Source] | None
    version: str | None = None
    owner: str = ""
    buckets: dict[str, Sequence[Source]] = field(default_factory=dict)
    batches: dict[tuple[str, str], Policies] = field(default_factory=dict)
    encryption: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by action, or ""
    aliases: Mapping[str, str] = field(default_factory=dict)  # that name the key, by action, or ""
    trial: Mapping[str, Sequence[Source]] = field(default_factory=dict)  # by the ARN of a key

    def decision(self, action: str, resource: str) -> Decision:
        """One decision with everything that is stored. Another account's name is refused."""
        if is_foreign(self._viewer.account, resource):
            return Decision(False, Reason.NO_RESOURCE)
        if sharing.is_alias(bucket_of(resource)):
            found = self.across(action, resource)
            return found if found.allowed else Decision(False, Reason.NO_RESOURCE)
        label, delivered = self._label(action, resource), self._delivered(action, resource)
        if self.owner and label is None:
            return Decision(False, Reason.NO_RESOURCE)
        if not self.walls.permits(self.principal, action, label, delivered=delivered):
            return Decision(False, self._walled(action, delivered))
        decision = self.by_policies(action, resource)
        if not decision.allowed:
            return decision
        refusal = self.second.refusal(action, resource, label, self.owner, delivered=delivered)
        return decision if refusal is None else Decision(False, refusal)

    def across(self, action: str, resource: str) -> Decision:
        """One decision about what is named by an alias, with its true reason, which is not for
        the caller: that nothing is there and that it may not be read must not differ."""
        shared = self.stored.resources.shared(self.principal, bucket_of(resource))
        if shared is None:
            return Decision(False, Reason.NO_SHARE)
        if not shared.covers(action, resource, self.context):
            return Decision(False, Reason.SHARE_SCOPE)
        label = self._label(action, resource)
        if not self.walls.permits(self.principal, action, label):
            return Decision(False, self._walled(action))
        decision = self._by_both(shared, action, resource)
        if not decision.allowed:
            return decision
        crossed = Crossed(shared.owner, shared.arn(resource))
        refusal = self.second.refusal(action, crossed.arn, label, shared.owner)
        if refusal is not None:
            decision = Decision(False, refusal)
        return replace(decision, crossed=crossed)

    def _by_both(self, shared: sharing.Shared, action: str, resource: str) -> Decision:
        """What IAM says in both accounts: of the caller, and of the bucket."""
        text = shared.policy
        policies = Policies(
            identity=self.identity,
            boundary=self.boundary,
            session=self.session,
            resource=[("bucket-policy", self.parsed.of(text, PolicyKind.RESOURCE))] if text else (),
            crossing=True,
        )
        arn, owner = shared.arn(resource), shared.owner
        context = {**self.context, "aws:resourceaccount": owner, "s3:resourceaccount": owner}
        if policies.asks_tags:
            tags = self.stored.resources.tags(self.principal, resource, self._version(action))
            context |= actions.resource_context(arn, tags)
        return decide(Request(action.lower(), arn, context, self.caller), policies)

    def by_policies(self, action: str, resource: str) -> Decision:
        """What IAM alone says."""
        policies = self._policies(action, resource)
        kept_by = policies.kept_by
        if kept_by is None:
            return self._decided(action, resource, policies)
        key = (action, resource, kept_by)
        return self.decisions.get(key) or self.decisions.keep(
            key, self._decided(action, resource, policies)
        )

    def _decided(self, action: str, resource: str, policies: Policies) -> Decision:
        context = self.context
        if key_id := key_of(resource):
            context = {**context, **self._key_context(action, key_id, policies)}
        if policies.asks_tags:
            tags = self.stored.resources.tags(self._viewer, resource, self._version(action))
            context = {**context, **actions.resource_context(resource, tags)}
        return decide(Request(action.lower(), resource, context, self.caller), policies)

    def permits(self, action: str, resource: str) -> bool:
        """As `decision`, where many are asked for: what all keys of a bucket have in common is
        decided once."""
        if is_foreign(self.caller.account, resource):
            return False
        if key_of(resource) or sharing.is_alias(bucket_of(resource)):
            return self.decision(action, resource).allowed
        label, delivered = self._label(action, resource), self._delivered(action, resource)
        if not self.walls.permits(self.principal, action, label, delivered=delivered):
            return False
        request = Request(action.lower(), resource, self.context, self.caller)
        batch = (action, resource if action in _BY_TRUST else bucket_of(resource))
        policies = self.batches.get(batch)
        if policies is None:
            whole = self._policies(action, resource)
            if whole.asks_tags:
                return self.decision(action, resource).allowed
            policies = self.batches[batch] = narrowed(request, whole)
        if not decide(request, policies).allowed:
            return False
        return self.second.refusal(action, resource, label, delivered=delivered) is None

    def of_version(self, version: str) -> "Standing":
        """The same, asked about a version: each that a DeleteObjects names."""
        context = {**self.context, "s3:versionid": version}
        return replace(self, version=version, context=context, batches={})

    def _walled(self, action: str, delivered: bool = False) -> Reason:
        of_duty = is_of_duty(self.principal, action, delivered=delivered)
        return Reason.LABEL if of_duty else Reason.DUTY

    def _delivered(self, action: str, resource: str) -> bool:
        asks = asks_delivered(self.principal, action)
        return asks and self.stored.resources.is_delivered(self.principal, resource)

    def _label(self, action: str, resource: str) -> Label | None:
        return self.stored.resources.label(self._viewer, resource, self._version(action))

    @property
    def _viewer(self) -> Principal:
        """Who looks at what is asked about: the session, in the account that it is of."""
        return replace(self.principal, account=self.owner) if self.owner else self.principal

    def _version(self, action: str) -> str | None:
        """A copy names a version of what it reads, and writes to the latest."""
        return self.version if "Version" in action else None

    def _policies(self, action: str, resource: str) -> Policies:
        of_key = self._key_policies(action, resource)
        return Policies(
            identity=self.identity,
            boundary=self.boundary,
            session=self.session,
            resource=self._resource_policy(action, resource) if of_key is None else of_key,
            governed=of_key is not None,
            crossing=bool(self.owner),
        )

    def _key_policies(self, action: str, resource: str) -> Sequence[Source] | None:
        """Of a KMS key: IAM's policies count only where the key's own says so."""
        key_id = key_of(resource)
        if not key_id:
            return None
        if resource in self.trial:
            return self.trial[resource]
        found = self.stored.resources.key_policies(
            self._viewer.account, key_id, self._encryption(action)
        )
        if found is None:
            return None
        return [(source, self.parsed.of(text, PolicyKind.RESOURCE)) for source, text in found]

    def _key_context(self, action: str, key_id: str, policies: Policies) -> Context:
        """What conditions may ask of a KMS key and of how the call uses it."""
        context = actions.encryption_keys(self._encryption(action))
        if alias := self.aliases.get(action) or self.aliases.get("", ""):
            context["kms:requestalias"] = alias
        if policies.asks_aliases and (
            names_of_key := self.stored.resources.key_aliases(self._viewer, key_id)
        ):
            context["kms:resourcealiases"] = names_of_key
        return context

    def _encryption(self, action: str) -> Mapping[str, str]:
        return self.encryption.get(action) or self.encryption.get("", {})

    def _resource_policy(self, action: str, resource: str) -> Sequence[Source]:
        if action in _BY_TRUST:
            text = self.stored.principals.trust_policy(self.caller.account, resource)
            return [("trust-policy", self.parsed.of(text, PolicyKind.TRUST))] if text else ()
        bucket = bucket_of(resource)
        if not bucket:
            return ()
        if bucket not in self.buckets:
            text = self.stored.resources.bucket_policy(self.principal, bucket)
            found = [("bucket-policy", self.parsed.of(text, PolicyKind.RESOURCE))] if text else ()
            self.buckets[bucket] = found
        return self.buckets[bucket]


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
        standing = self.standing(call, params)
        for need in needs:
            for resource in need.resources:
                decision = standing.decision(need.action, resource)
                if not decision.allowed:
                    raise denied(call, need.action, resource, decision.reason)
                if decision.crossed is not None:
                    call.notes.crossed = decision.crossed

    def standing(self, call: Call, params: Mapping[str, Any]) -> Standing:
        """Where the caller of a call stands, with all the condition keys of it."""
        context = actions.CallContext(call, params, self.stored)
        standing = self._standing(call.principal, context, actions.version_of(params))
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
        return self._standing(principal, keys).decision(action, resource).allowed

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
        self, principal: Principal, context: Context, version: str | None = None
    ) -> Standing:
        texts = self.stored.principals.policies_of(principal.account, principal.issuer_arn)
        bound = self.stored.principals.boundary_of(principal.account, principal.issuer_arn)
        session = principal.session_policies
        return Standing(
            principal=principal,
            walls=self.walls,
            second=self.second.about(principal),
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


def is_foreign(account: str, resource: str) -> bool:
    """Whether an ARN names another account."""
    arn = arns.parse(resource)
    return arn is not None and arn.account not in ("", "*", "aws", account)


def bucket_of(resource: str) -> str:
    """The bucket that an ARN is about; "" for none."""
    head, _, path = resource.partition(":s3:::")
    return path.partition("/")[0] if head.startswith("arn:") else ""


def key_of(resource: str) -> str:
    """The id of the KMS key that an ARN names; "" for anything else."""
    arn = arns.parse(resource) if ":key/" in resource else None
    if arn is None or arn.service != "kms" or not arn.resource.startswith("key/"):
        return ""
    return arn.resource.removeprefix("key/")


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
