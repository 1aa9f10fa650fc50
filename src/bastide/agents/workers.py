"""The roles of agents, at work: what they may do, and what they read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bastide.agents import openapi, prompting
from bastide.agents.model import SERVICE, Params
from bastide.agents.openapi import BadSchema
from bastide.agents.ports import ModelCard, Models, Objects, Permits, Roles
from bastide.kernel import arns
from bastide.kernel.arns import s3
from bastide.kernel.call import Call, Notes
from bastide.kernel.errors import ServiceError

INVOKE_MODEL = "bedrock:InvokeModel"
INVOKE_STREAM = "bedrock:InvokeModelWithResponseStream"
APPLY_GUARDRAIL = "bedrock:ApplyGuardrail"
PROFILE_KEY, GUARDRAIL_KEY = "bedrock:InferenceProfileArn", "bedrock:GuardrailIdentifier"


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

    def check(self, worker: Call, agent: Mapping[str, Any], *, streams: bool = False) -> ModelCard:
        """The model that answers, which is told of, and what else its prompts name.
        ValidationException, AccessDeniedException."""
        if prompting.wants(agent, prompting.Prompt.KNOWLEDGE_BASE):
            other = prompting.model(agent, prompting.Prompt.KNOWLEDGE_BASE)
            if other != agent["foundationModel"]:
                self._check(worker, agent, other, streams=False)
        return self._check(worker, agent, agent["foundationModel"], streams=streams)

    def _check(
        self, worker: Call, agent: Mapping[str, Any], model: str, *, streams: bool
    ) -> ModelCard:
        card = self.models.called(worker, model)
        profile, models = self.models.arns(worker.region, worker.principal, model)
        guardrail, numbered = _guardrail(worker, agent)
        said = {PROFILE_KEY: profile, GUARDRAIL_KEY: numbered}
        context = {name: value for name, value in said.items() if value}
        actions = (INVOKE_MODEL, INVOKE_STREAM) if streams else (INVOKE_MODEL,)
        for arn in filter(None, (profile, *models)):
            for action in actions:
                self.require(worker, action, arn, context)
        if guardrail:
            self.require(worker, APPLY_GUARDRAIL, guardrail)
        return card

    def require(
        self, worker: Call, action: str, arn: str, context: Mapping[str, str] | None = None
    ) -> None:
        """AccessDeniedException unless whoever works for an agent may do this. `context`: what
        policies may make it a condition of."""
        if not self.permits.permits(worker.principal, action, arn, dict(context or {})):
            who = worker.principal.issuer_arn
            raise ServiceError(
                "AccessDeniedException",
                f"{who} is not authorized to perform: {action} on resource: {arn}",
                status=403,
            )


def _guardrail(worker: Call, agent: Mapping[str, Any]) -> tuple[str, str]:
    """The ARN of an agent's guardrail, and the same with its version, as the condition key has it;
    both "" if it has none."""
    asked = agent.get("guardrailConfiguration") or {}
    name, version = asked.get("guardrailIdentifier") or "", asked.get("guardrailVersion") or ""
    if not name:
        return "", ""
    own = arns.regional(worker.region, "bedrock", worker.account, f"guardrail/{name}")
    arn = name if name.startswith("arn:") else own
    return arn, arn if version in ("", "DRAFT") else f"{arn}:{version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schemas:
    """OpenAPI documents that lie in S3."""

    workers: Workers
    objects: Objects

    def copy(self, worker: Call, part: Params) -> None:
        """A version is what it was when it was prepared: what is in S3 may be changed later."""
        place = (part["asked"].get("apiSchema") or {}).get("s3")
        if not place:
            return
        payload = self._read(worker, place)
        part["asked"] = {**part["asked"], "apiSchema": {"payload": payload}}

    def _read(self, worker: Call, place: Mapping[str, Any]) -> str:
        bucket, key = place.get("s3BucketName") or "", place.get("s3ObjectKey") or ""
        arn = s3(worker.region, bucket, key)
        try:
            self.workers.require(worker, "s3:GetObject", arn)
            info, chunks = self.objects.open(worker.principal, bucket, key)
        except ServiceError as error:
            raise BadSchema(f"{arn}: {error.message}") from error
        if info.size > openapi.SIZE_MAX:
            raise BadSchema(f"{arn} is larger than {openapi.SIZE_MAX} bytes.")
        try:
            return b"".join(chunks).decode()
        except UnicodeDecodeError as error:
            raise BadSchema(f"{arn} is not text.") from error
