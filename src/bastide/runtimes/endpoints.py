"""bedrock-agentcore-control: endpoints of agent runtimes, each of which names a version.

https://docs.aws.amazon.com/bedrock-agentcore-control/latest/APIReference/API_CreateAgentRuntimeEndpoint.html
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, invalid
from bastide.kernel.operation import operation
from bastide.runtimes import records
from bastide.runtimes.book import (
    Book,
    checked_tags,
    conflict,
    endpoint_arn,
    limit_of,
    runtime_arn,
)
from bastide.runtimes.model import DEFAULT, READY, Endpoint, Params
from bastide.runtimes.sessions import Sessions

ENDPOINTS_MAX = 100  # of a runtime
_ONCE = {"clientToken": "an endpoint's name is its own, so asking twice is told apart by it"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEndpoints:
    book: Book
    sessions: Sessions

    @operation(
        "agentRuntimeId", "name", "agentRuntimeVersion", "description", "tags", accepted=_ONCE
    )
    def create_agent_runtime_endpoint(self, call: Call, req: Params) -> Params:
        tags = checked_tags(req.get("tags"))

        def write(c: Connection) -> Endpoint:
            runtime = self.book.own(c, call, req["agentRuntimeId"])
            self.book.marks.check_tags(call, tags, runtime.label)
            number = int(req.get("agentRuntimeVersion") or runtime.latest)
            self.book.version(c, runtime, number)
            others = records.endpoints_of(c, runtime.account, runtime.id)
            if any(one.name == req["name"] for one in others):
                raise conflict(f"An endpoint with the name {req['name']} already exists.")
            if len(others) >= ENDPOINTS_MAX:
                raise ServiceError("ServiceQuotaExceededException", f"{ENDPOINTS_MAX} endpoints.")
            now = self.book.now_ms()
            new = Endpoint(
                account=runtime.account, runtime_id=runtime.id, name=req["name"],
                label=runtime.label, id=self.book.new_id(req["name"]), version=number,
                created_ms=now, updated_ms=now, description=req.get("description") or "",
                tags=tags,
            )  # fmt: skip
            records.put_endpoint(c, new)
            return new

        made = self.book.database.write(write)
        return {
            **_named(call, made),
            "agentRuntimeId": made.runtime_id,
            "endpointName": made.name,
            "targetVersion": str(made.version),
            "createdAt": moment(made.created_ms),
        }

    @operation("agentRuntimeId", "endpointName")
    def get_agent_runtime_endpoint(self, call: Call, req: Params) -> Params:
        def read(c: Connection) -> Endpoint:
            runtime = self.book.runtime_in(c, call, req["agentRuntimeId"])
            return self.book.endpoint(c, runtime, req["endpointName"])

        return _shown(call, self.book.database.read(read))

    @operation("agentRuntimeId", "maxResults", "nextToken")
    def list_agent_runtime_endpoints(self, call: Call, req: Params) -> Params:
        limit, after = limit_of(req), req.get("nextToken") or ""

        def read(c: Connection) -> list[Endpoint]:
            runtime = self.book.find(c, call, req["agentRuntimeId"])
            if runtime is None:  # the model has no other word for it here
                raise invalid(f"No agent runtime {req['agentRuntimeId']} was found.")
            return records.endpoints_of(c, runtime.account, runtime.id)

        found = sorted(self.book.database.read(read), key=lambda one: one.name)
        rows = [one for one in found if one.name > after]
        answer: Params = {"runtimeEndpoints": [_shown(call, one) for one in rows[:limit]]}
        if len(rows) > limit:
            answer["nextToken"] = rows[limit - 1].name
        return answer

    @operation("agentRuntimeId", "endpointName", "agentRuntimeVersion", "description", accepted={
        "clientToken": "asked twice, an update says the same again",
    })  # fmt: skip
    def update_agent_runtime_endpoint(self, call: Call, req: Params) -> Params:
        """Sessions that run keep the version that they began with."""

        def write(c: Connection) -> Endpoint:
            runtime = self.book.own(c, call, req["agentRuntimeId"])
            _check_named(req["endpointName"])
            had = self.book.endpoint(c, runtime, req["endpointName"])
            number = int(req.get("agentRuntimeVersion") or had.version)
            self.book.version(c, runtime, number)
            new = replace(
                had, version=number, description=req.get("description") or had.description,
                updated_ms=self.book.now_ms(),
            )  # fmt: skip
            records.put_endpoint(c, new)
            return new

        changed = self.book.database.write(write)
        return {name: value for name, value in _shown(call, changed).items() if name not in _OWN}

    @operation("agentRuntimeId", "endpointName", accepted=_ONCE)
    def delete_agent_runtime_endpoint(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> Endpoint:
            runtime = self.book.own(c, call, req["agentRuntimeId"])
            _check_named(req["endpointName"])
            gone = self.book.endpoint(c, runtime, req["endpointName"])
            records.drop_endpoint(c, gone)
            return gone

        gone = self.book.database.write(write)
        self.sessions.end_all(gone.account, gone.runtime_id, gone.name)
        named = {"agentRuntimeId": gone.runtime_id, "endpointName": gone.name}
        return {**named, "status": "DELETING"}


def _check_named(name: str) -> None:
    if name == DEFAULT:
        raise conflict(f"The endpoint {DEFAULT} follows its runtime.")


_OWN = ("name", "id", "description")  # what an update does not answer


def _named(call: Call, endpoint: Endpoint) -> Params:
    return {
        "agentRuntimeEndpointArn": endpoint_arn(call, endpoint.runtime_id, endpoint.name),
        "agentRuntimeArn": runtime_arn(call, endpoint.runtime_id),
        "status": READY,
    }


def _shown(call: Call, endpoint: Endpoint) -> Params:
    said = {"description": endpoint.description} if endpoint.description else {}
    return {
        **_named(call, endpoint),
        "name": endpoint.name,
        "id": endpoint.id,
        "liveVersion": str(endpoint.version),
        "targetVersion": str(endpoint.version),
        "createdAt": moment(endpoint.created_ms),
        "lastUpdatedAt": moment(endpoint.updated_ms),
        **said,
    }
