"""Agencies' own policies: checked, stored, and told to the engine when they change."""

import threading
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from bastide.db import Database
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.policy import cedar_records as records
from bastide.policy.cedar.checking import check
from bastide.policy.cedar.engine import CedarEngine
from bastide.policy.cedar.slices import Named, Slice, Slices, packaged
from bastide.policy.cedar_records import StoredPolicy

NAMES_MAX = 32


@dataclass(slots=True)
class StoredNames:
    """What accounts have stored. Which of them have anything is kept in memory: most have not."""

    database: Database
    _accounts: frozenset[str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, account: str) -> Named:
        if account not in self._with_any():
            return ()
        found = self.database.read(lambda c: records.of_account(c, account))
        return [(each.name, each.text) for each in found]

    def forget(self) -> None:
        with self._lock:
            self._accounts = None

    def _with_any(self) -> frozenset[str]:
        with self._lock:
            if self._accounts is None:
                self._accounts = self.database.read(records.accounts)
            return self._accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyPolicies:
    """What `bastide policy put|list|remove` asks for."""

    database: Database
    clock: Clock
    engine: CedarEngine
    names: StoredNames

    @staticmethod
    def at(database: Database, clock: Clock) -> "AgencyPolicies":
        names = StoredNames(database)
        engine = CedarEngine(Slices(packaged(), names.of))
        return AgencyPolicies(database=database, clock=clock, engine=engine, names=names)

    def check(self, account: str, name: str, text: str) -> None:
        """Raises ServiceError, in words, where an agency may not store this."""
        check(name, text, account, self.engine.slices.shipped.schema)

    def put(self, account: str, name: str, text: str) -> dict[str, Any]:
        self.check(account, name, text)
        policy = StoredPolicy(
            account=account, name=name, text=text, changed_ms=epoch_ms(self.clock.now())
        )

        def work(connection: Connection) -> None:
            if records.others(connection, account, name) >= NAMES_MAX:
                raise ServiceError("LimitExceeded", f"An agency has at most {NAMES_MAX} texts.")
            records.put(connection, policy)

        self.database.write(work)
        self._changed(account)
        return _row(policy)

    def remove(self, account: str, name: str) -> None:
        if not self.database.write(lambda c: records.remove(c, account, name)):
            raise ServiceError("NoSuchEntity", f"There is no policy {name[:64]}.")
        self._changed(account)

    def rows(self, account: str) -> list[dict[str, Any]]:
        return [_row(each) for each in self.database.read(lambda c: records.of_account(c, account))]

    def candidate(self, account: str, name: str, text: str) -> Slice:
        """The agency's slice as it would be with this text stored under this name."""
        self.check(account, name, text)
        others = [each for each in self.names.of(account) if each[0] != name]
        return self.engine.slices.shipped.with_own([*others, (name, text)], 0)

    def _changed(self, account: str) -> None:
        self.names.forget()
        self.engine.forget(account)


def _row(policy: StoredPolicy) -> dict[str, Any]:
    return {"name": policy.name, "text": policy.text, "changed_ms": policy.changed_ms}
