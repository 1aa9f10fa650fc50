"""The runtimes of a region, as a caller's session finds them and may change them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from bastide.db.database import Database
from bastide.db.marks import Marks
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, invalid
from bastide.kernel.ids import Ids
from bastide.kernel.labels.label import Label
from bastide.runtimes import records
from bastide.runtimes.model import Endpoint, Params, Runtime, Session, SessionKey, Version
from bastide.runtimes.ports import Sealer

PURPOSE = "agent-runtime"
NAME_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
PAGE_DEFAULT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    database: Database
    marks: Marks
    clock: Clock
    ids: Ids
    sealer: Sealer

    def runtime_in(self, c: Connection, call: Call, runtime_id: str) -> Runtime:
        """ResourceNotFoundException for what this session does not see. The answer is of it."""
        found = self.find(c, call, runtime_id)
        if found is None:
            raise missing(f"No agent runtime {runtime_id} was found.")
        return found

    def find(self, c: Connection, call: Call, runtime_id: str) -> Runtime | None:
        seen = self.marks.view(call.principal).seen
        found = records.find(c, call.account, runtime_id, seen)
        if found is not None:
            call.notes.label = found.label
        return found

    def own(self, c: Connection, call: Call, runtime_id: str) -> Runtime:
        """The same, to change it: only what has the session's own label."""
        found = self.runtime_in(c, call, runtime_id)
        self.marks.check_own(call, found.label)
        return found

    def endpoint(self, c: Connection, runtime: Runtime, name: str) -> Endpoint:
        found = records.endpoint(c, runtime.account, runtime.id, name)
        if found is None:
            raise missing(f"No endpoint {name} of agent runtime {runtime.id} was found.")
        return found

    def version(self, c: Connection, runtime: Runtime, number: int) -> Version:
        row = records.version(c, runtime.account, runtime.id, number)
        if row is None:
            raise missing(f"No version {number} of agent runtime {runtime.id} was found.")
        return self.opened(row)

    def newest(self, c: Connection, runtime: Runtime) -> Version:
        row = records.version(c, runtime.account, runtime.id, runtime.latest)
        assert row is not None, "written with its runtime"
        return self.opened(row)

    def version_of(self, session: Session) -> Version | None:
        """For the region itself: None where the runtime is gone."""
        key = session.key
        row = self.database.read(
            lambda c: records.version(c, key.account, key.runtime_id, session.version)
        )
        return None if row is None else self.opened(row)

    def add_version(self, c: Connection, new: Version) -> None:
        plain = json.dumps({"asked": dict(new.asked), "code": dict(new.code)}).encode()
        aad = _bound(new.account, new.runtime_id, str(new.number), new.label)
        values = {
            "account": new.account, "runtime_id": new.runtime_id, "number": new.number,
            "label": new.label, "created_ms": new.created_ms,
            "definition": self.sealer.seal(PURPOSE, plain, aad),
        }  # fmt: skip
        records.add_version(c, values)

    def opened(self, row: Row[Any]) -> Version:
        members = dict(row._mapping)
        sealed = members.pop("definition")
        aad = _bound(row.account, row.runtime_id, str(row.number), row.label)
        return Version(**members, **json.loads(self.sealer.open(PURPOSE, sealed, aad)))

    def add_session(self, c: Connection, new: Session) -> None:
        key = new.key
        aad = _bound(key.account, new.job_id, key.label)
        values = {
            "account": key.account, "runtime_id": key.runtime_id, "endpoint": key.endpoint,
            "id": key.id, "label": key.label, "version": new.version, "job_id": new.job_id,
            "token": self.sealer.seal(PURPOSE, new.token.encode(), aad),
            "started_ms": new.started_ms,
        }  # fmt: skip
        records.add_session(c, values)

    def session(self, row: Row[Any]) -> Session:
        key = SessionKey(
            account=row.account, runtime_id=row.runtime_id, endpoint=row.endpoint, id=row.id,
            label=row.label,
        )  # fmt: skip
        token = self.sealer.open(PURPOSE, row.token, _bound(row.account, row.job_id, row.label))
        return Session(
            key=key, version=row.version, job_id=row.job_id, token=token.decode(),
            started_ms=row.started_ms,
        )  # fmt: skip

    def label(self, principal: Principal, arn: str) -> Label | None:
        """Of a runtime or of one of its endpoints, for policy: it has its runtime's label."""
        runtime_id = arn.partition(":runtime/")[2].partition("/")[0]
        seen = self.marks.view(principal).seen
        found = self.database.read(lambda c: records.find(c, principal.account, runtime_id, seen))
        return None if found is None else self.marks.parse(found.label)

    def tags(self, principal: Principal, arn: str) -> Mapping[str, str]:
        """The same, of its tags."""
        runtime_id, _, name = arn.partition(":runtime/")[2].partition("/runtime-endpoint/")
        seen = self.marks.view(principal).seen

        def read(c: Connection) -> Mapping[str, str]:
            found = records.find(c, principal.account, runtime_id, seen)
            if found is None or not name:
                return found.tags if found else {}
            endpoint = records.endpoint(c, principal.account, runtime_id, name)
            return endpoint.tags if endpoint else {}

        return self.database.read(read)

    def now_ms(self) -> int:
        return epoch_ms(self.clock.now())

    def new_id(self, name: str) -> str:
        return f"{name}-{self.ids.word(10, NAME_LETTERS)}"


def _bound(*parts: str) -> bytes:
    return json.dumps(parts).encode()


def runtime_arn(call: Call, runtime_id: str) -> str:
    return arns.regional(call.region, "bedrock-agentcore", call.account, f"runtime/{runtime_id}")


def endpoint_arn(call: Call, runtime_id: str, name: str) -> str:
    return f"{runtime_arn(call, runtime_id)}/runtime-endpoint/{name}"


def missing(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message)


def conflict(message: str) -> ServiceError:
    return ServiceError("ConflictException", message)


def checked_tags(given: Mapping[str, str] | None) -> dict[str, str]:
    found = dict(given or {})
    if any(key.lower().startswith("aws:") for key in found):
        raise invalid("Tag keys that start with aws: are reserved.")
    if len(found) > TAGS_MAX:
        raise ServiceError("ServiceQuotaExceededException", f"At most {TAGS_MAX} tags.")
    return found


TAGS_MAX = 50


def limit_of(req: Params) -> int:
    return int(req.get("maxResults") or PAGE_DEFAULT)
