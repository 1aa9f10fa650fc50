"""Agents on fakes: a model that says what a test scripts, and callers of agencies and labels."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from bastide.agents.action_groups import ActionGroups
from bastide.agents.agents import Agents
from bastide.agents.aliases import Aliases
from bastide.agents.book import Book
from bastide.agents.collaborating import Collaborating
from bastide.agents.collaborators import Collaborators
from bastide.agents.consulting import Consulting
from bastide.agents.executing import Executing
from bastide.agents.files import Attaching
from bastide.agents.guarding import Guarding
from bastide.agents.inline import InlineInvocations
from bastide.agents.interpreting import Interpreting
from bastide.agents.invocations import Invocations
from bastide.agents.knowledge_bases import KnowledgeBases
from bastide.agents.looking_up import LookingUp
from bastide.agents.memories import AgentMemories
from bastide.agents.memory import Memories
from bastide.agents.orchestrating import Orchestrating
from bastide.agents.preparing import Preparing
from bastide.agents.receipting import Receipting
from bastide.agents.remembering import Remembering
from bastide.agents.routing import Routing
from bastide.agents.sessions import Sessions
from bastide.agents.tags import AgentTags
from bastide.agents.tracing import Tracing
from bastide.agents.turn_desk import Desk as TurnDesk
from bastide.agents.turns import Turns
from bastide.agents.versions import Versions
from bastide.agents.workers import Schemas, Workers
from bastide.app.requests import RequestReader
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError, Unavailable, unsupported
from bastide.kernel.ids import SeededIds
from bastide.kernel.operation import operation
from bastide.wire.model import Catalogue
from tests.inference_kit import AnyThread
from tests.labels_kit import marks
from tests.receipts_kit import RECEIPTS
from tests.sagefakes import ONE, ROLE, call
from tests.stores import FakeKeyring

MODEL = "bastide.scripted-v1:0"
INSTRUCTION = "You are a clerk who answers questions about orders, shortly and truly."
CATALOGUE = Catalogue()
USAGE = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}


def text(said: str) -> dict[str, Any]:
    return {"text": said}


def use(name: str, use_id: str = "u1", **args: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": use_id, "name": name, "input": args}}


@dataclass
class ScriptedModel:
    """`agents.ports.Conversations`: the content of each answer, in turn; an error is raised."""

    script: list[Any] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    by: list[Any] = field(default_factory=list)
    stops: str = "end_turn"
    notes: bool = False  # what it is, in the call's audit record
    used: int = 10  # tokens of each answer

    @operation(
        "modelId", "messages", "system", "inferenceConfig", "toolConfig",
        "additionalModelRequestFields", "outputConfig",
    )  # fmt: skip
    async def converse(self, call, req):
        self.seen.append(req)
        self.by.append(call)
        if self.notes:
            model = req["modelId"]
            call.notes.audit |= {"model": model, "model_sha256": f"sha of {model}"}
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        message = {"role": "assistant", "content": answer}
        return {"output": {"message": message}, "usage": {**USAGE, "totalTokens": self.used},
                "stopReason": self.stops}  # fmt: skip

    async def converse_stream(self, call, req):
        """The same answer, in pieces of three letters."""
        return {"stream": _streamed(await self.converse(call, req))}


async def _streamed(answer):
    for block in answer["output"]["message"]["content"]:
        if "toolUse" in block:
            use = dict(block["toolUse"])
            said = json.dumps(use.pop("input"))
            yield {"contentBlockStart": {"start": {"toolUse": use}}}
            deltas = [{"toolUse": {"input": said[at : at + 3]}} for at in range(0, len(said), 3)]
        else:
            said = block["text"]
            deltas = [{"text": said[at : at + 3]} for at in range(0, len(said), 3)]
        for delta in deltas:
            yield {"contentBlockDelta": {"delta": delta}}
        yield {"contentBlockStop": {}}
    yield {"messageStop": {"stopReason": answer["stopReason"]}}
    yield {"metadata": {"usage": answer["usage"]}}


@dataclass(frozen=True)
class Card:
    model_id: str
    sha256: str = "5a" * 32
    remote: bool = False


@dataclass
class OneModel:
    """`agents.ports.Models`, and `more` of them."""

    more: set[str] = field(default_factory=set)

    def called(self, call, identifier):
        if identifier not in {MODEL, *self.more}:
            raise ServiceError("ValidationException", "The provided model identifier is invalid.")
        return Card(identifier)

    def arns(self, region, who, identifier):
        return "", (f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{identifier}",)


@dataclass
class Passed:
    """`agents.ports.Roles`: every role is there; those in `refused` may not be passed, those in
    `low` are cleared for U alone."""

    refused: set[str] = field(default_factory=set)
    low: set[str] = field(default_factory=set)

    def check_pass(self, call, role_arn, service, associated_arn):
        if role_arn in self.refused:
            raise ServiceError("AccessDeniedException", "iam:PassRole", status=400)

    def assume_for_service(self, account, role_arn, service, marking):
        if role_arn in self.low and marking != "U":
            raise ServiceError("ValidationException", f"{role_arn} is not cleared for {marking}.")
        asked = call("bedrock.X", account, marking).principal
        return replace(asked, issuer_arn=role_arn, arn=role_arn)


@dataclass
class Permitted:
    """`agents.ports.Permits`: all but what is in `refused`, as (action, resource)."""

    refused: set[tuple[str, str]] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)

    def permits(self, who, action, resource, context):
        self.asked.append((action, resource))
        self.said.append(dict(context))
        return (action, resource) not in self.refused


@dataclass(frozen=True)
class Info:
    size: int


@dataclass
class Documents:
    """`agents.ports.Objects`."""

    held: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def open(self, who, bucket, key):
        if (bucket, key) not in self.held:
            raise ServiceError("NoSuchKey", "The specified key does not exist.")
        data = self.held[bucket, key]
        return Info(len(data)), iter([data])


@dataclass
class Library:
    """`agents.ports.Retriever`: the passages of each knowledge base."""

    held: dict[str, list[str]] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)

    def retrieve(self, call, req):
        self.asked.append((call, req))
        name = req["knowledgeBaseId"]
        if name not in self.held:
            raise ServiceError("ResourceNotFoundException", f"No knowledge base {name}.")
        call.notes.label = "U"
        where = {"type": "S3", "s3Location": {"uri": "s3://b/k"}}
        return {
            "retrievalResults": [
                {"content": {"type": "TEXT", "text": one}, "location": where, "score": 0.5}
                for one in self.held[name]
            ]
        }


@dataclass
class Lambdas:
    """`agents.ports.Executors`: what each function says to an event; `closed` lets nobody in."""

    held: dict[str, Any] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    heard: list[Any] = field(default_factory=list)

    def check(self, worker, agent_id, function_arn):
        if function_arn not in self.held:
            raise ServiceError("ResourceNotFoundException", f"Function not found: {function_arn}")
        if function_arn in self.closed:
            raise ServiceError("AccessDeniedException", "lambda:InvokeFunction", status=403)

    async def invoke(self, worker, agent_id, function_arn, event):
        self.check(worker, agent_id, function_arn)
        self.heard.append((agent_id, json.loads(event)))
        said = self.held[function_arn](json.loads(event))
        if isinstance(said, Exception):
            return b"", str(said)
        return said if isinstance(said, bytes) else json.dumps(said).encode(), ""


@dataclass
class Censor:
    """`agents.ports.GuardrailApplier`: texts with `blocked` are blocked, `hidden` words masked."""

    blocked: str = "\0"
    hidden: str = "\0"
    seen: list[dict[str, Any]] = field(default_factory=list)

    @operation("guardrailIdentifier", "guardrailVersion", "source", "content.text", "outputScope")
    def apply_guardrail(self, call, req):
        self.seen.append(req)
        if not req["content"]:
            raise ServiceError("ValidationException", "content must have a text.")
        said = req["content"][0]["text"]["text"]
        reason, texts = "No action.", []
        if self.hidden in said:
            reason, texts = "Guardrail masked.", [said.replace(self.hidden, "{NAME}")]
        if self.blocked in said:
            reason, texts = "Guardrail blocked.", ["Stopped."]
        call.notes.audit["guardrail_action"] = reason
        return {
            "action": "GUARDRAIL_INTERVENED" if texts else "NONE", "actionReason": reason,
            "outputs": [{"text": one} for one in texts], "assessments": [{}],
        }  # fmt: skip


@dataclass
class Programs:
    """`agents.ports.Interpreter`: what running code does, by a function of its files."""

    does: Any = None
    heard: list[Any] = field(default_factory=list)

    async def run(self, worker, code, files):
        self.heard.append((code, dict(files)))
        return self.does(files)


@dataclass
class Lines:
    """`agents.ports.Lines`: what was put, as it was put; `broken` keeps nothing."""

    put_: list[Any] = field(default_factory=list)
    broken: bool = False

    def put(self, account, marking, group, stream, events):
        if self.broken:
            raise Unavailable("the database")
        self.put_.append((account, marking, group, stream, list(events)))


class NoReader:
    async def text(self, call, kind, data):
        raise unsupported(call.operation, f"document.format={kind}")


class Desk:
    """All of agents over one database. `desk.do("create_agent", …)` as `who`."""

    def __init__(self, database: Any, model: ScriptedModel | None = None) -> None:
        self.database, self.clock, self.model = database, ManualClock(), model or ScriptedModel()
        self.roles, self.permits, self.objects = Passed(), Permitted(), Documents()
        self.marks, ids = marks(database), SeededIds(1)
        book = Book(database=database, marks=self.marks, clock=self.clock, ids=ids)
        self.models = OneModel()
        workers = Workers(roles=self.roles, permits=self.permits, models=self.models)
        self.sessions = Sessions(database, FakeKeyring(), self.clock, ids)
        self.library, self.lambdas, self.programs = Library(), Lambdas(), Programs()
        self.censor = Censor()
        self.lines, threads, routing = Lines(), AnyThread(), Routing(book=book)
        collaborating = Collaborating(
            routing=routing, workers=workers, sessions=self.sessions, ids=ids
        )
        consulting = Consulting(conversations=self.model, clock=self.clock)
        memories = Memories(database=database, sealer=FakeKeyring(), clock=self.clock)
        turns = Turns(
            consulting=consulting, sessions=self.sessions, clock=self.clock, ids=ids,
            looking_up=LookingUp(retriever=self.library, workers=workers, threads=threads),
            threads=threads, orchestrating=self._orchestrating(consulting, threads),
            collaborating=collaborating, executing=Executing(executors=self.lambdas),
            interpreting=Interpreting(
                interpreter=self.programs, database=database, sealer=FakeKeyring(),
                clock=self.clock, threads=threads,
            ),
        )  # fmt: skip
        attaching = Attaching(permits=self.permits, objects=self.objects, reader=NoReader())
        turn_desk = TurnDesk(
            workers=workers,
            sessions=self.sessions,
            turns=turns,
            attaching=attaching,
            tracing=Tracing(lines=self.lines, threads=threads, clock=self.clock),
            threads=threads,
            receipting=Receipting(receipts=RECEIPTS, cores=2, clock=self.clock),
        )
        schemas = Schemas(workers=workers, objects=self.objects)
        self.book = book
        self.parts = [
            Agents(book=book, roles=self.roles),
            ActionGroups(book=book),
            KnowledgeBases(book=book),
            Collaborators(book=book),
            Preparing(
                book=book,
                workers=workers,
                schemas=schemas,
                collaborating=collaborating,
                executors=self.lambdas,
            ),
            Versions(book=book),
            Aliases(book=book),
            AgentTags(book=book),
        ]
        remembering = Remembering(
            workers=workers,
            sessions=self.sessions,
            memories=memories,
            consulting=consulting,
            threads=threads,
        )
        self.parts.append(AgentMemories(book=book, routing=routing, memories=memories))
        self.invocations = Invocations(
            book=book, routing=routing, workers=workers, desk=turn_desk, remembering=remembering,
            threads=threads,
        )  # fmt: skip
        self.inline = InlineInvocations(book=book, schemas=schemas, desk=turn_desk)

    def _orchestrating(self, consulting: Consulting, threads: Any) -> Orchestrating:
        methods = {
            "bedrock-runtime.Converse": self.model.converse,
            "bedrock-runtime.ApplyGuardrail": self.censor.apply_guardrail,
        }
        return Orchestrating(
            executors=self.lambdas, consulting=consulting, clock=self.clock,
            requests=RequestReader(catalogue=CATALOGUE, methods=methods),
            guarding=Guarding(applier=self.censor, threads=threads),
        )  # fmt: skip

    def do(self, name: str, who: Any = None, **req: Any) -> dict[str, Any]:
        part = next(part for part in self.parts if hasattr(part, name))
        return getattr(part, name)(who or caller(name), req)

    def agent(self, *functions: dict[str, Any], who: Any = None, **more: Any) -> str:
        """One that is prepared, with these functions whose control returns to the caller."""
        who = who or caller()
        asked = {"agentName": "clerk", "foundationModel": MODEL, "instruction": INSTRUCTION,
                 "agentResourceRoleArn": ROLE, **more}  # fmt: skip
        agent_id = self.do("create_agent", who, **asked)["agent"]["agentId"]
        if functions:
            self.group(agent_id, *functions, who=who)
        prepared = self.do("prepare_agent", who, agentId=agent_id)
        assert prepared["agentStatus"] == "PREPARED"
        return agent_id

    def supervisor(
        self, expert: str, *, name: str = "expert", relay: str = "DISABLED", **more: Any
    ) -> tuple[str, str]:
        """One that asks another, not yet prepared; and the alias of that other, as its ARN."""
        alias = self.do("create_agent_alias", agentId=expert, agentAliasName="live")["agentAlias"]
        asked = {"foundationModel": MODEL, "instruction": INSTRUCTION, "agentResourceRoleArn": ROLE,
                 "agentCollaboration": "SUPERVISOR", **more}  # fmt: skip
        chief = self.do("create_agent", agentName="chief", **asked)["agent"]["agentId"]
        self.do(
            "associate_agent_collaborator", agentId=chief, agentVersion="DRAFT",
            agentDescriptor={"aliasArn": alias["agentAliasArn"]}, collaboratorName=name,
            collaborationInstruction="For orders.", relayConversationHistory=relay,
        )  # fmt: skip
        return chief, alias["agentAliasArn"]

    def group(self, agent_id: str, *functions: dict[str, Any], who: Any = None, **more: Any) -> str:
        asked = {"actionGroupName": "orders", "functionSchema": {"functions": list(functions)},
                 "actionGroupExecutor": {"customControl": "RETURN_CONTROL"}, **more}  # fmt: skip
        made = self.do(
            "create_agent_action_group", who, agentId=agent_id, agentVersion="DRAFT", **asked
        )
        return made["agentActionGroup"]["actionGroupId"]

    def asks_user(self, agent_id: str) -> None:
        """Give it the function that asks the user, and prepare it anew."""
        self.do(
            "create_agent_action_group", agentId=agent_id, agentVersion="DRAFT",
            actionGroupName="user", parentActionGroupSignature="AMAZON.UserInput",
        )  # fmt: skip
        self.do("prepare_agent", agentId=agent_id)

    async def ask(self, agent_id: str, said: str = "", who: Any = None, **more: Any) -> list[Any]:
        """The events of one turn with the draft."""
        req = {"agentId": agent_id, "agentAliasId": "TSTALIASID", "sessionId": "s1",
               "inputText": said, **more}  # fmt: skip
        answer = await self.invocations.invoke_agent(who or caller("invoke_agent"), req)
        return [event async for event in answer["completion"]]


def caller(name: str = "x", account: str = ONE, marking: str = "U") -> Any:
    return call(f"bedrock-agent.{name}", account, marking)


def function(name: str, *required: str, confirm: bool = False, **optional: str) -> dict[str, Any]:
    """With parameters of type string, or of the type that is named."""
    parameters = {one: {"type": "string", "required": True} for one in required}
    parameters |= {one: {"type": kind} for one, kind in optional.items()}
    return {
        "name": name, "description": f"Does {name}.", "parameters": parameters,
        "requireConfirmation": "ENABLED" if confirm else "DISABLED",
    }  # fmt: skip


def returned(events: list[Any]) -> dict[str, Any]:
    """The control that the turn ended with."""
    return events[-1]["returnControl"]


def answer(events: list[Any]) -> str:
    return events[-1]["chunk"]["bytes"].decode()


def given(control: dict[str, Any], *bodies: str, **more: Any) -> dict[str, Any]:
    """The session state that hands back a result for each call, in their order."""
    results = []
    for one, body in zip(control["invocationInputs"], bodies, strict=True):
        asked = one["functionInvocationInput"]
        results.append({
            "functionResult": {
                "actionGroup": asked["actionGroup"], "function": asked["function"],
                "responseBody": {"TEXT": {"body": body}}, **more,
            }
        })  # fmt: skip
    return {
        "invocationId": control["invocationId"], "returnControlInvocationResults": results
    }  # fmt: skip
