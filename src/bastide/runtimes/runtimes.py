"""bedrock-agentcore-control: agent runtimes and their versions.

https://docs.aws.amazon.com/bedrock-agentcore-control/latest/APIReference/API_CreateAgentRuntime.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.runtimes import asked, records
from bastide.runtimes.book import (
    Book,
    checked_tags,
    conflict,
    limit_of,
    runtime_arn,
)
from bastide.runtimes.code import Code
from bastide.runtimes.model import (
    DEFAULT,
    IDLE_DEFAULT_S,
    LIFETIME_DEFAULT_S,
    READY,
    SERVICE,
    Endpoint,
    Params,
    Runtime,
    Version,
)
from bastide.runtimes.ports import Interpreter, Roles
from bastide.runtimes.sessions import Sessions

RUNTIMES_MAX = 1_000  # of an account at one label
VERSIONS_MAX = 1_000  # of a runtime
_ONCE = {"clientToken": "a runtime's name is its own, so asking twice is told apart by it"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRuntimes:
    book: Book
    roles: Roles
    code: Code
    interpreter: Interpreter
    sessions: Sessions

    @operation("agentRuntimeName", *asked.MEMBERS, "tags", accepted=_ONCE)
    def create_agent_runtime(self, call: Call, req: Params) -> Params:
        tags, name = checked_tags(req.get("tags")), req["agentRuntimeName"]
        label = self.book.marks.of_new(call, tags, "An agent runtime")
        runtime_id, now = self.book.new_id(name), self.book.now_ms()
        code = self._checked(call, req, runtime_id, label)
        new = Runtime(
            account=call.account, id=runtime_id, label=label, name=name, latest=1,
            created_ms=now, updated_ms=now, tags=tags,
        )  # fmt: skip
        default = Endpoint(
            account=call.account, runtime_id=runtime_id, name=DEFAULT, label=label,
            id=self.book.new_id(DEFAULT), version=1, created_ms=now, updated_ms=now,
            description="", tags={},
        )  # fmt: skip

        def write(c: Connection) -> None:
            if records.has_name(c, call.account, name, label):
                raise conflict(f"An agent runtime with the name {name} already exists.")
            if records.count(c, call.account, label) >= RUNTIMES_MAX:
                raise ServiceError("ServiceQuotaExceededException", f"{RUNTIMES_MAX} runtimes.")
            records.put(c, new)
            records.put_endpoint(c, default)
            self.book.add_version(c, _version(new, req, code, now))

        self.book.database.write(write)
        return _made(call, new)

    @operation("agentRuntimeId", "agentRuntimeVersion")
    def get_agent_runtime(self, call: Call, req: Params) -> Params:
        def read(c: Connection) -> tuple[Runtime, Version]:
            runtime = self.book.runtime_in(c, call, req["agentRuntimeId"])
            number = int(req.get("agentRuntimeVersion") or runtime.latest)
            return runtime, self.book.version(c, runtime, number)

        return _shown(call, *self.book.database.read(read))

    @operation("agentRuntimeId", *asked.MEMBERS, accepted={
        "clientToken": "asked twice, an update makes one version more that says the same",
    })  # fmt: skip
    def update_agent_runtime(self, call: Call, req: Params) -> Params:
        runtime_id = req["agentRuntimeId"]
        label = self.book.database.read(lambda c: self.book.own(c, call, runtime_id)).label
        code = self._checked(call, req, runtime_id, label)

        def write(c: Connection) -> Runtime:
            had, now = self.book.own(c, call, runtime_id), self.book.now_ms()
            if had.latest >= VERSIONS_MAX:
                raise ServiceError("ServiceQuotaExceededException", f"{VERSIONS_MAX} versions.")
            new = replace(had, latest=had.latest + 1, updated_ms=now)
            records.put(c, new)
            self.book.add_version(c, _version(new, req, code, now))
            default = self.book.endpoint(c, had, DEFAULT)
            records.put_endpoint(c, replace(default, version=new.latest, updated_ms=now))
            return new

        changed = self.book.database.write(write)
        return {**_made(call, changed), "lastUpdatedAt": moment(changed.updated_ms)}

    @operation("agentRuntimeId", accepted=_ONCE)
    def delete_agent_runtime(self, call: Call, req: Params) -> Params:
        gone = self.book.database.read(lambda c: self.book.own(c, call, req["agentRuntimeId"]))

        def write(c: Connection) -> None:
            records.drop(c, self.book.own(c, call, gone.id))

        self.book.database.write(write)
        self.sessions.end_all(gone.account, gone.id)  # what begins now finds no runtime
        return {"agentRuntimeId": gone.id, "status": "DELETING"}

    @operation("maxResults", "nextToken")
    def list_agent_runtimes(self, call: Call, req: Params) -> Params:
        limit, after = limit_of(req), req.get("nextToken") or ""
        seen = self.book.marks.view(call.principal).seen

        def read(c: Connection) -> list[tuple[Runtime, Version]]:
            rows = records.page(c, call.account, seen, after, limit + 1)
            return [(row, self.book.newest(c, row)) for row in rows]

        found = self.book.database.read(read)
        answer: Params = {"agentRuntimes": [_summary(call, *one) for one in found[:limit]]}
        if len(found) > limit:
            answer["nextToken"] = found[limit - 1][0].id
        return answer

    @operation("agentRuntimeId", "maxResults", "nextToken")
    def list_agent_runtime_versions(self, call: Call, req: Params) -> Params:
        limit, before = limit_of(req), int(req.get("nextToken") or VERSIONS_MAX + 1)

        def read(c: Connection) -> tuple[Runtime, list[Version]]:
            runtime = self.book.runtime_in(c, call, req["agentRuntimeId"])
            rows = records.version_page(c, runtime.account, runtime.id, before, limit + 1)
            return runtime, [self.book.opened(row) for row in rows]

        runtime, found = self.book.database.read(read)
        answer: Params = {"agentRuntimes": [_summary(call, runtime, one) for one in found[:limit]]}
        if len(found) > limit:
            answer["nextToken"] = str(found[limit - 1].number)
        return answer

    def _checked(self, call: Call, req: Params, runtime_id: str, label: str) -> Params:
        """All that a version needs, tried out: the role may be passed, trusts the service, is
        cleared, and reads the code, which is sound."""
        asked.check(call.operation, req, self.interpreter.runtime)
        role_arn = req["roleArn"]
        self.roles.check_pass(call, role_arn, SERVICE, runtime_arn(call, runtime_id))
        role = self.roles.assume_for_service(call.account, role_arn, SERVICE, label)
        return self.code.checked(role, asked.code_of(req))


def _version(runtime: Runtime, req: Params, code: Params, now_ms: int) -> Version:
    return Version(
        account=runtime.account, runtime_id=runtime.id, number=runtime.latest,
        label=runtime.label, created_ms=now_ms, asked=asked.kept(req), code=code,
    )  # fmt: skip


def _named(call: Call, runtime: Runtime, number: int) -> Params:
    return {
        "agentRuntimeArn": runtime_arn(call, runtime.id),
        "agentRuntimeId": runtime.id,
        "agentRuntimeVersion": str(number),
        "status": READY,
    }


def _made(call: Call, runtime: Runtime) -> Params:
    created = moment(runtime.created_ms)
    return {**_named(call, runtime, runtime.latest), "createdAt": created}


def _shown(call: Call, runtime: Runtime, version: Version) -> Params:
    lifecycle: Mapping[str, Any] = version.asked.get("lifecycleConfiguration") or {}
    return {
        "networkConfiguration": {"networkMode": "PUBLIC"},
        "protocolConfiguration": {"serverProtocol": "HTTP"},
        **version.asked,
        **_named(call, runtime, version.number),
        "agentRuntimeName": runtime.name,
        "createdAt": moment(runtime.created_ms),
        "lastUpdatedAt": moment(version.created_ms),
        "lifecycleConfiguration": {
            "idleRuntimeSessionTimeout": IDLE_DEFAULT_S, "maxLifetime": LIFETIME_DEFAULT_S,
            **lifecycle,
        },
    }  # fmt: skip


def _summary(call: Call, runtime: Runtime, version: Version) -> Params:
    return {
        **_named(call, runtime, version.number),
        "agentRuntimeName": runtime.name,
        "description": version.asked.get("description", ""),
        "lastUpdatedAt": moment(version.created_ms),
    }
