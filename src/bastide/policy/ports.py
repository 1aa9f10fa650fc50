"""What policies need to know of others; joined in `app.py`."""

from collections.abc import Sequence
from typing import Protocol


class PrincipalPolicies(Protocol):
    """Who may do what, as stored. Both answers are from memory when asked again."""

    def policies_of(self, account: str, issuer_arn: str) -> Sequence[tuple[str, str]]:
        """(source id, JSON document) of every policy of a user or a role; none if unknown."""
        ...

    def arn_of(self, account: str, kind: str, name: str) -> str | None:
        """The ARN, with its path, of a `user` or a `role` of the account."""
        ...

    def trust_policy(self, account: str, role_arn: str) -> str | None:
        """Who may assume the role; None if the account has no such role."""
        ...


class ResourcePolicies(Protocol):
    def bucket_policy(self, account: str, bucket: str) -> str | None:
        """The policy of a bucket of the account, if it has one."""
        ...


class NoResourcePolicies:
    """Where no resource carries a policy."""

    def bucket_policy(self, account: str, bucket: str) -> str | None:
        return None
