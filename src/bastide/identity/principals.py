"""Who a trust or bucket policy names, kept by unique id: whoever gets a freed name later is not
the one who was trusted. Shown again by ARN while that user or role is there.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bastide.identity.directory import Directory
from bastide.identity.model import Kind
from bastide.identity.sessions import session_arn
from bastide.kernel import arns
from bastide.kernel.errors import ServiceError

_SESSION = "assumed-role"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalNames:
    """Both take a document that policy has found to be one."""

    directory: Directory

    def bound(self, account: str, text: str, code: str = "MalformedPolicyDocument") -> str:
        """The document with unique ids; ServiceError if it names somebody who is not there."""

        def change(name: str) -> str:
            arn = arns.parse(name)
            if arn is None or arn.resource == "root":
                return name
            found = self.id_of(account, name)
            if found is None:
                message = f'Invalid principal in policy: "AWS":"{name}"'
                raise ServiceError(code, message, status=400)
            return found

        return _rewritten(text, change)

    def shown(self, account: str, text: str) -> str:
        """The document with ARNs; who is gone stays a unique id."""

        def change(name: str) -> str:
            return self.arn_of(account, name)

        return _rewritten(text, change)

    def arn_of(self, account: str, unique_id: str) -> str:
        """Who a unique id is; the id itself once that user or role is gone."""
        unique, _, session = unique_id.partition(":")
        entity = self.directory.by_id(account, unique)
        if entity is None:
            return unique_id
        if session:
            return session_arn(self.directory.region.partition, account, entity.name, session)
        return entity.arn

    def id_of(self, account: str, name: str) -> str | None:
        """The unique id behind an ARN; None if it names nobody of the account."""
        arn = arns.parse(name)
        if arn is None:
            return None
        kind, _, rest = arn.resource.partition("/")
        if kind != _SESSION:
            found = self.directory.by_arn(account, name)
            return found.id if found else None
        role_name, _, session = rest.partition("/")
        role = (
            self.directory.find(account, Kind.ROLE, role_name) if arn.account == account else None
        )
        own = role and name == session_arn(
            self.directory.region.partition, account, role.name, session
        )
        return f"{role.id}:{session}" if role and own and session else None


def _rewritten(text: str, change: Callable[[str], str]) -> str:
    """`text` with each AWS principal changed; the very text where nothing changes."""
    body = json.loads(text)
    statements = body["Statement"]
    changed = False
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            who = statement.get(element)
            if isinstance(who, dict) and "AWS" in who:
                after = _each(who["AWS"], change)
                changed |= after != who["AWS"]
                who["AWS"] = after
    return json.dumps(body, ensure_ascii=False) if changed else text


def _each(value: Any, change: Callable[[str], str]) -> Any:
    return [change(one) for one in value] if isinstance(value, list) else change(value)
