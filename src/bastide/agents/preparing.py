"""PrepareAgent: whether an agent could work, found out before anybody asks it.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_PrepareAgent.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bastide.agents import openapi, records
from bastide.agents.book import Book
from bastide.agents.model import DRAFT, SERVICE, Agent, Params, PartRow, Status, definition_of
from bastide.agents.openapi import BadSchema
from bastide.agents.ports import Models, Objects, Permits, Roles
from bastide.agents.tools import tools_of
from bastide.kernel.arns import s3
from bastide.kernel.call import Call, Notes, Principal
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation

INVOKE_MODEL = "bedrock:InvokeModel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """The roles of agents, at work."""

    roles: Roles
    permits: Permits
    models: Models

    def worker(self, call: Call, role_arn: str, marking: str) -> Call:
        """The call as the role makes it, at a label. ValidationException if it cannot."""
        role = self.roles.assume_for_service(call.account, role_arn, SERVICE, marking)
        return replace(call, operation="bedrock-runtime.Converse", principal=role, notes=Notes())

    def check_model(self, worker: Call, model: str) -> str:
        """The id of the model that answers. ValidationException, AccessDeniedException."""
        card = self.models.called(worker, model)
        profile, models = self.models.arns(worker.region, worker.principal, model)
        for arn in (profile, *models):
            if arn and not self.permits.permits(worker.principal, INVOKE_MODEL, arn, {}):
                raise ServiceError(
                    "AccessDeniedException",
                    f"The role {worker.principal.issuer_arn} is not authorized to perform: "
                    f"{INVOKE_MODEL} on resource: {arn}",
                    status=403,
                )
        return card.model_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    book: Book
    workers: Workers
    objects: Objects

    @operation("agentId")
    def prepare_agent(self, call: Call, req: Params) -> Params:
        agent, parts = self.book.database.read(lambda c: self._draft(c, call, req["agentId"]))
        definition = definition_of(agent.asked, parts)
        reasons = list(self._reasons(call, agent, definition))
        now = self.book.now_ms()
        done = replace(
            agent, status=Status.FAILED if reasons else Status.PREPARED, prepared_ms=now,
            updated_ms=now, failures=tuple(reasons), prepared=None if reasons else definition,
        )  # fmt: skip

        def write(c: Connection) -> None:
            if self.book.own(c, call, agent.id).updated_ms != agent.updated_ms:
                message = f"Agent {agent.id} was changed while it was prepared. Try again."
                raise ServiceError("ConflictException", message)
            records.put(c, done)

        self.book.database.write(write)
        return {"agentId": agent.id, "agentStatus": str(done.status), "agentVersion": DRAFT,
                "preparedAt": moment(now)}  # fmt: skip

    def _draft(self, c: Connection, call: Call, agent_id: str) -> tuple[Agent, list[PartRow]]:
        agent = self.book.own(c, call, agent_id)
        return agent, records.parts_of(c, agent.account, agent.id)

    def _reasons(self, call: Call, agent: Agent, definition: Params) -> Iterator[str]:
        """Why it could not work; nothing if it can. Schemas in S3 are copied into `definition`."""
        asked = agent.asked
        for name in ("instruction", "foundationModel"):
            if not asked.get(name):
                yield f"{name} must be specified."
        try:
            worker = self.workers.worker(call, asked["agentResourceRoleArn"], agent.label)
            if asked.get("foundationModel"):
                self.workers.check_model(worker, asked["foundationModel"])
        except ServiceError as error:
            yield error.message
            return
        try:
            for part in definition["parts"]:
                self._copy_schema(worker, part)
            tools_of(definition)
        except BadSchema as error:
            yield str(error)

    def _copy_schema(self, worker: Call, part: Params) -> None:
        """A version is what it was when it was prepared: what is in S3 may be changed later."""
        place = (part["asked"].get("apiSchema") or {}).get("s3")
        if not place:
            return
        payload = self._read(worker, worker.principal, place)
        part["asked"] = {**part["asked"], "apiSchema": {"payload": payload}}

    def _read(self, worker: Call, role: Principal, place: Mapping[str, Any]) -> str:
        bucket, key = place.get("s3BucketName") or "", place.get("s3ObjectKey") or ""
        arn = s3(worker.region, bucket, key)
        if not self.workers.permits.permits(role, "s3:GetObject", arn, {}):
            raise BadSchema(f"The agent's role may not s3:GetObject {arn}.")
        try:
            info, chunks = self.objects.open(role, bucket, key)
        except ServiceError as error:
            raise BadSchema(f"{arn}: {error.message}") from error
        if info.size > openapi.SIZE_MAX:
            raise BadSchema(f"{arn} is larger than {openapi.SIZE_MAX} bytes.")
        try:
            return b"".join(chunks).decode()
        except UnicodeDecodeError as error:
            raise BadSchema(f"{arn} is not text.") from error
