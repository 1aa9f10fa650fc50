"""Where one principal stands: every policy that is asked about it, and the order in which they are.

One agency never reaches into another: a name in another account is refused before any policy is
read, so that what exists there and what does not answer alike. What is shared has an alias
(`sharing.py`), and is read by that alone.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bastide.kernel import arns
from bastide.kernel.call import Crossed, Principal
from bastide.kernel.labels.label import Label
from bastide.policy import actions, sharing
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
from bastide.policy.parsed import ParsedDocuments
from bastide.policy.patterns import Context
from bastide.policy.ports import Refuser, Stored
from bastide.policy.walls import Walls, asks_delivered, is_of_duty

_BY_TRUST = frozenset({"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"})


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
        return is_delivered(self.stored, self.principal, action, resource)

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


def is_delivered(stored: Stored, principal: Principal, action: str, resource: str) -> bool:
    """Whether a caller whose duty depends on it asks about where a trail delivers."""
    asks = asks_delivered(principal, action)
    return asks and stored.resources.is_delivered(principal, resource)


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
