"""What policies need to know of others; joined in `app.py`."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from bastide.kernel import arns
from bastide.kernel.call import Principal
from bastide.kernel.labels.label import Label
from bastide.kernel.regions import Region
from bastide.policy.evaluator import Reason
from bastide.policy.sharing import Shared


class PrincipalPolicies(Protocol):
    """Who may do what, as stored. Both answers are from memory when asked again."""

    def policies_of(self, account: str, issuer_arn: str) -> Sequence[tuple[str, str]]:
        """(source id, JSON document) of every policy of a user or a role; none if unknown."""
        ...

    def boundary_of(self, account: str, issuer_arn: str) -> tuple[str, str] | None:
        """(source id, JSON document) of the permissions boundary of a user or a role."""
        ...

    def arn_of(self, account: str, kind: str, name: str) -> str | None:
        """The ARN, with its path, of a `user`, `role` or `group` of the account."""
        ...

    def trust_policy(self, account: str, role_arn: str) -> str | None:
        """Who may assume the role; None if the account has no such role."""
        ...


class KeyFacts(Protocol):
    """What KMS says of keys."""

    def alias_target(self, principal: Principal, alias: str) -> str | None:
        """The id of the KMS key that `alias/…` stands for, as the principal sees it."""
        ...

    def key_aliases(self, principal: Principal, key_id: str) -> Sequence[str]:
        """The names `alias/…` of a KMS key, as far as the principal sees them."""
        ...

    def sealing_key(self, ciphertext: bytes) -> str | None:
        """The id of the KMS key that made a ciphertext, as far as that says."""
        ...

    def key_policies(
        self, account: str, key_id: str, encryption: Mapping[str, str]
    ) -> Sequence[tuple[str, str]] | None:
        """(source id, JSON document) of a KMS key's policy and of the grants on it whose
        constraints an encryption context meets; None if the account has no such key."""
        ...


class ResourceFacts(KeyFacts, Protocol):
    """What those who own resources say of them."""

    def bucket_policy(self, principal: Principal, bucket: str) -> str | None:
        """The policy of a bucket of the principal's account, if it sees one that has one."""
        ...

    def shared(self, principal: Principal, bucket: str) -> Shared | None:
        """What the share of that alias shows of another account's bucket to the principal."""
        ...

    def models(
        self, region: Region, principal: Principal, identifier: str
    ) -> tuple[str, tuple[str, ...]]:
        """What a Bedrock model identifier names, as a principal sees it: the ARN of its inference
        profile, "" if it names none, and the ARNs of the models behind it: the one named and, of
        an alias, the true one."""
        ...

    def identified(self, principal: Principal, kind: str, identifier: str) -> str:
        """The ARN of one of Bedrock's things that is called by its name or by its ARN; of what the
        principal sees none, the ARN that one of that name might have."""
        ...

    def tags(self, principal: Principal, resource: str, version: str | None) -> Mapping[str, str]:
        """The tags on a resource of the principal's account; none if it sees none of that name.
        `version`: of an object, the latest if None."""
        ...

    def label(self, principal: Principal, resource: str, version: str | None) -> Label | None:
        """The label of a resource of the principal's account, as the principal sees it; None if
        it sees none of that name."""
        ...

    def is_delivered(self, principal: Principal, resource: str) -> bool:
        """Whether it is where a trail of the principal's account, which it sees, delivers to."""
        ...


class Refuser(Protocol):
    """Asked for one caller, after the walls and IAM have allowed."""

    def refusal(
        self,
        action: str,
        resource: str,
        label: Label | None,
        owner: str = "",
        *,
        delivered: bool = False,
    ) -> Reason | None:
        """Why not, or None. `label`: of the resource; None where there is none to be seen.
        `owner`: the other account that shares it with the caller's. `delivered`: it is where a
        trail delivers to, asked for an auditor alone."""
        ...


class MandatoryEngine(Protocol):
    """The second engine: it can only refuse."""

    def about(self, principal: Principal, guardrail: str = "") -> Refuser:
        """`guardrail`: the one under which a model is asked; "" for none."""
        ...


class NoResourceFacts:
    """Where no resource carries a policy or a tag and every model is what it is called."""

    def tags(self, principal: Principal, resource: str, version: str | None) -> Mapping[str, str]:
        return {}

    def label(self, principal: Principal, resource: str, version: str | None) -> Label | None:
        return None

    def identified(self, principal: Principal, kind: str, identifier: str) -> str:
        return identifier

    def is_delivered(self, principal: Principal, resource: str) -> bool:
        return False

    def bucket_policy(self, principal: Principal, bucket: str) -> str | None:
        return None

    def shared(self, principal: Principal, bucket: str) -> Shared | None:
        return None

    def models(
        self, region: Region, principal: Principal, identifier: str
    ) -> tuple[str, tuple[str, ...]]:
        return "", (arns.regional(region, "bedrock", "", f"foundation-model/{identifier}"),)

    def alias_target(self, principal: Principal, alias: str) -> str | None:
        return None

    def key_aliases(self, principal: Principal, key_id: str) -> Sequence[str]:
        return ()

    def sealing_key(self, ciphertext: bytes) -> str | None:
        return None

    def key_policies(
        self, account: str, key_id: str, encryption: Mapping[str, str]
    ) -> Sequence[tuple[str, str]] | None:
        return None


class SimulatedCase(Protocol):
    """Policies to try out, each with an id of where it is from."""

    @property
    def identity(self) -> Sequence[tuple[str, str]]: ...
    @property
    def boundary(self) -> Sequence[tuple[str, str]] | None: ...
    @property
    def resource(self) -> str | None: ...
    @property
    def caller(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is asked about what is stored: of principals and of resources."""

    principals: PrincipalPolicies
    resources: ResourceFacts


class Trail(Protocol):
    def operator(self, action: str, facts: Mapping[str, str], code: str = "") -> "Future[Any]":
        """Record what is about to be done or, with `code`, that and why it was refused."""
        ...
