"""Where functions are found by their names, as far as a session sees, and what is sealed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.db.marks import Marks
from bastide.functions import records
from bastide.functions.model import LATEST, Function
from bastide.functions.ports import Sealer
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids
from bastide.kernel.labels.label import Label
from bastide.kernel.regions import Region

_ENV, _CODE = "function-environment", "function-package"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    region: Region
    database: Database
    clock: Clock
    ids: Ids
    marks: Marks
    sealer: Sealer

    def arn(self, account: str, name: str) -> str:
        return arns.regional(self.region, "lambda", account, f"function:{name}")

    def found(self, call: Call, name: str, qualifier: str = "") -> Function:
        """What this session finds. The answer is of it. There is no version but the latest."""
        found = self.seen(call.principal, name)
        if found is None or qualifier not in ("", LATEST):
            raise self.absent(call.account, name, qualifier)
        call.notes.label = found.label
        return found

    def seen(self, principal: Principal, name: str) -> Function | None:
        return self.database.read(lambda c: self._find(c, principal, name))

    def change(
        self, call: Call, name: str, work: Callable[[Connection, Function], Function]
    ) -> Function:
        """What `work` makes of it, saved with a new revision."""

        def write(c: Connection) -> Function:
            changed = work(c, self.mine(c, call, name))
            changed = replace(changed, revision=self.ids.uuid(), updated_ms=self.now_ms())
            records.save(c, changed)
            return changed

        return self.database.write(write)

    def mine(self, c: Connection, call: Call, name: str) -> Function:
        """What the session may change."""
        found = self._find(c, call.principal, name)
        if found is None:
            raise self.absent(call.account, name)
        self.marks.check_own(call, found.label)
        return found

    def _find(self, c: Connection, principal: Principal, name: str) -> Function | None:
        return records.find(c, principal.account, name, self.marks.view(principal))

    def absent(self, account: str, name: str, qualifier: str = "") -> ServiceError:
        arn = name if name.startswith("arn:") else self.arn(account, name)
        end = f":{qualifier}" if qualifier else ""
        return ServiceError("ResourceNotFoundException", f"Function not found: {arn}{end}")

    # What is sealed, to the agency, the label and the name.
    def seal_env(self, one: Function, env: Mapping[str, str]) -> bytes:
        return self.sealer.seal(_ENV, json.dumps(dict(env)).encode(), _aad(one))

    def env(self, one: Function) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.sealer.open(_ENV, one.env, _aad(one)))
        return found

    def keep_package(self, c: Connection, one: Function, sealed: bytes) -> None:
        records.add_package(c, one, sealed)

    def seal_package(self, one: Function, data: bytes) -> bytes:
        return self.sealer.seal(_CODE, data, _aad(one) + one.code_id.encode())

    def package(self, one: Function) -> bytes:
        sealed = self.database.read(lambda c: records.package(c, one.account, one.code_id))
        if sealed is None:  # it was replaced since it was found
            raise ServiceError("ResourceConflictException", "The function has changed. Try again.")
        return self.sealer.open(_CODE, sealed, _aad(one) + one.code_id.encode())

    # What the authorizer asks, by an ARN.
    def tags(self, principal: Principal, arn: str) -> Mapping[str, str]:
        found = self._named(principal, arn)
        return found.tags if found else {}

    def label(self, principal: Principal, arn: str) -> Label | None:
        found = self._named(principal, arn)
        return self.marks.parse(found.label) if found else None

    def _named(self, principal: Principal, arn: str) -> Function | None:
        return self.seen(principal, arn.partition(":function:")[2])

    def now_ms(self) -> int:
        return epoch_ms(self.clock.now())


def _aad(one: Function) -> bytes:
    return json.dumps([one.account, one.label, one.name]).encode()


def check_revision(one: Function, revision: str | None) -> None:
    """`revision`: that which the caller has seen, if it says so."""
    if revision and revision != one.revision:
        raise ServiceError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id",
        )
