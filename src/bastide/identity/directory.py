"""Who there is, from memory: users, roles and their policies, read once and dropped on change.

One process owns a region's database, so that a change made here is the only one there can be.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection

from bastide.db import Database
from bastide.identity import builtin, group_records, policy_records, records
from bastide.identity.model import Entity, Kind
from bastide.kernel import arns
from bastide.kernel.errors import ServiceError
from bastide.kernel.regions import Region

T = TypeVar("T")
HELD_MAX = 16_384


class Memory:
    """A bounded cache. A value that was read while something changed is not kept."""

    def __init__(self, size_max: int = HELD_MAX) -> None:
        self._size_max = size_max
        self._held: OrderedDict[Hashable, object] = OrderedDict()
        self._lock = threading.Lock()
        self._changes = 0

    def get(self, key: Hashable, read: Callable[[], T]) -> T:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]  # type: ignore[return-value]  # a key has one type
            changes = self._changes
        value = read()
        with self._lock:
            if changes == self._changes and value is not None:
                self._held[key] = value
                while len(self._held) > self._size_max:
                    self._held.popitem(last=False)
        return value

    def forget(self, account: str) -> None:
        """Drop what is held of an account: the first part of every key is one."""
        with self._lock:
            self._changes += 1
            gone = [key for key in self._held if isinstance(key, tuple) and account == key[0]]
            for key in gone:
                del self._held[key]

    def forget_key(self, key: Hashable) -> None:
        with self._lock:
            self._changes += 1
            self._held.pop(key, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Implements policy's PrincipalPolicies."""

    region: Region
    database: Database
    memory: Memory = field(default_factory=Memory)

    def label_of(self, account: str) -> str:
        """The marking of what an agency keeps without one; "" for the region's."""

        def read() -> str:
            agency = self.database.read(lambda c: records.find_agency(c, account))
            return agency.label if agency else ""

        return self.memory.get((account, "label"), read)

    def policies_of(self, account: str, issuer_arn: str) -> tuple[tuple[str, str], ...]:
        """(source id, document) of all that is written for a user, its groups, or a role."""
        key = (account, "policies", issuer_arn)
        return self.memory.get(key, lambda: self._read_policies(account, issuer_arn))

    def _read_policies(self, account: str, issuer_arn: str) -> tuple[tuple[str, str], ...]:
        entity = self.by_arn(account, issuer_arn)
        if entity is None:
            return ()

        def read(connection: Connection) -> tuple[tuple[str, str], ...]:
            owners = [entity]
            if entity.kind is Kind.USER:
                names = group_records.groups_of(connection, account, entity.name)
                owners += [read_entity(connection, account, Kind.GROUP, name) for name in names]
            return tuple(text for owner in owners for text in self._documents(connection, owner))

        return self.database.read(read)

    def _documents(self, connection: Connection, entity: Entity) -> list[tuple[str, str]]:
        found = list(records.inline_of(connection, entity).items())
        for arn in records.attached_to(connection, entity):
            found.append((arn, self._managed(connection, entity.account, arn)))
        return found

    def _managed(self, connection: Connection, account: str, arn: str) -> str:
        text = builtin.document_of(self.region, arn)
        if text is None:
            policy = policy_records.find_managed(connection, account, arn)
            assert policy is not None, "a policy that is used cannot be deleted"
            text = policy.document
        return text

    def managed(self, account: str, arn: str) -> str | None:
        """The document of a policy of AWS's or of the account."""

        def read() -> str | None:
            text = builtin.document_of(self.region, arn)
            if text is not None:
                return text
            found = self.database.read(lambda c: policy_records.find_managed(c, account, arn))
            return found.document if found else None

        return self.memory.get((account, "managed", arn), read)

    def boundary_of(self, account: str, issuer_arn: str) -> tuple[str, str] | None:
        """(ARN, document) of what bounds a user or a role."""
        key = (account, "boundary", issuer_arn)
        return self.memory.get(key, lambda: (self._read_boundary(account, issuer_arn),))[0]

    def _read_boundary(self, account: str, issuer_arn: str) -> tuple[str, str] | None:
        entity = self.by_arn(account, issuer_arn)
        if entity is None or not entity.boundary:
            return None
        arn = entity.boundary
        return arn, self.database.read(lambda c: self._managed(c, account, arn))

    def arn_of(self, account: str, kind: str, name: str) -> str | None:
        found = self.find(account, Kind(kind), name)
        return found.arn if found else None

    def trust_policy(self, account: str, role_arn: str) -> str | None:
        found = self.by_arn(account, role_arn)
        return found.trust if found and found.kind is Kind.ROLE else None

    def find(self, account: str, kind: Kind, name: str) -> Entity | None:
        """The user, role or group of exactly that name."""
        found = self.memory.get(
            (account, kind, name),
            lambda: self.database.read(
                lambda connection: records.find_entity(connection, account, kind, name)
            ),
        )
        return found if found and found.name == name else None

    def by_arn(self, account: str, arn: str) -> Entity | None:
        """The user, role or group behind an ARN, if it is one of the account."""
        parsed = arns.parse(arn)
        if parsed is None or parsed.account != account:
            return None
        kind, _, rest = parsed.resource.partition("/")
        if kind not in set(Kind):
            return None
        found = self.find(account, Kind(kind), rest.rpartition("/")[2])
        return found if found and found.arn == arn else None

    def tags_of(self, account: str, arn: str) -> Mapping[str, str]:
        """The tags of a user, a role or a policy."""
        entity = self.by_arn(account, arn)
        if entity is not None:
            return entity.tags
        policy = self.database.read(lambda c: policy_records.find_managed(c, account, arn))
        return policy.tags if policy else {}

    def by_id(self, account: str, unique_id: str) -> Entity | None:
        """The user or role of a unique id, if it is still there."""
        return self.memory.get(
            (account, "id", unique_id),
            lambda: self.database.read(lambda c: records.find_by_id(c, account, unique_id)),
        )

    def named(self, account: str, who: str) -> Entity:
        """The one that an operator calls `user/NAME` or `role/NAME`."""
        kind, _, name = who.partition("/")
        if kind not in (Kind.USER, Kind.ROLE) or not name:
            message = f"{who[:80]!r} is neither user/NAME nor role/NAME."
            raise ServiceError("ValidationException", message)
        return self.get(account, Kind(kind), name.rpartition("/")[2])

    def get(self, account: str, kind: Kind, name: str) -> Entity:
        return found_or_error(self.find(account, kind, name), kind, name)


def found_or_error(entity: Entity | None, kind: Kind, name: str) -> Entity:
    """IAM's words for a user, role or group that the account does not have."""
    if entity is None or entity.name != name:
        raise ServiceError(
            "NoSuchEntity", f"The {kind.value} with name {name} cannot be found.", status=404
        )
    return entity


def read_entity(connection: Connection, account: str, kind: Kind, name: str) -> Entity:
    """The same inside a transaction, before a change."""
    return found_or_error(records.find_entity(connection, account, kind, name), kind, name)
