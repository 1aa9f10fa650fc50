"""Agents, joined to models, to roles and to the store."""

from dataclasses import dataclass

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
from bastide.agents.ports import DocumentReader, Executors, Interpreter, Retriever
from bastide.agents.preparing import Preparing
from bastide.agents.receipting import Receipting
from bastide.agents.remembering import Remembering
from bastide.agents.routing import Routing
from bastide.agents.sessions import Sessions
from bastide.agents.tags import AgentTags
from bastide.agents.tracing import Tracing
from bastide.agents.turn_desk import Desk
from bastide.agents.turns import Turns
from bastide.agents.versions import Versions
from bastide.agents.workers import Schemas, Workers
from bastide.app.bedrock import Bedrock
from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.requests import RequestReader
from bastide.app.store import Store
from bastide.audit.receipts import Receipts
from bastide.db.marks import Marks
from bastide.guardrails.applying import Applying
from bastide.logs.sink import LogSink
from bastide.wire.model import Catalogue
from bastide.wire.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentService:
    handlers: dict[str, list[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What agents stand on beside the core, roles and the store."""

    bedrock: Bedrock
    retriever: Retriever
    executors: Executors
    interpreter: Interpreter
    reader: DocumentReader
    receipts: Receipts
    applying: Applying
    catalogue: Catalogue


def open_agents(core: Core, identity: Identity, store: Store, needs: Needs) -> AgentService:
    marks = Marks(labelling=identity.labelling, in_use=core.labels)
    book = Book(database=core.database, marks=marks, clock=core.clock, ids=core.ids)
    workers = Workers(
        roles=identity.roles, permits=identity.authorizer, models=needs.bedrock.models
    )
    sessions = Sessions(core.database, core.keyring, core.clock, core.ids)
    routing, threads = Routing(book=book), needs.bedrock.threads
    collaborating = Collaborating(routing=routing, workers=workers, sessions=sessions, ids=core.ids)
    consulting = Consulting(conversations=needs.bedrock.conversations, clock=core.clock)
    memories = Memories(database=core.database, sealer=core.keyring, clock=core.clock)
    turns = _turns(core, needs, collaborating, consulting)
    remembering = Remembering(
        workers=workers,
        sessions=sessions,
        memories=memories,
        consulting=consulting,
        threads=threads,
    )
    attaching = Attaching(permits=identity.authorizer, objects=store.space, reader=needs.reader)
    desk = Desk(
        workers=workers,
        sessions=sessions,
        turns=turns,
        attaching=attaching,
        tracing=_tracing(core, threads),
        receipting=Receipting(
            receipts=needs.receipts, cores=core.settings.engines.threads, clock=core.clock
        ),
        threads=threads,
    )
    schemas = Schemas(workers=workers, objects=store.space)
    for kind in ("agent", "agent-alias"):
        identity.resources.labelled[f"bedrock:{kind}"] = lambda who, arn, _: book.label(who, arn)
        identity.resources.tagged[f"bedrock:{kind}"] = lambda who, arn, _: book.tags(who, arn)
    return AgentService(
        handlers={
            "bedrock-agent": [
                Agents(book=book, roles=identity.roles),
                ActionGroups(book=book),
                KnowledgeBases(book=book),
                Collaborators(book=book),
                Preparing(
                    book=book,
                    workers=workers,
                    schemas=schemas,
                    collaborating=collaborating,
                    executors=needs.executors,
                ),
                Versions(book=book),
                Aliases(book=book),
                AgentTags(book=book),
            ],
            "bedrock-agent-runtime": [
                Invocations(
                    book=book,
                    routing=routing,
                    workers=workers,
                    desk=desk,
                    remembering=remembering,
                    threads=threads,
                ),
                AgentMemories(book=book, routing=routing, memories=memories),
                InlineInvocations(book=book, schemas=schemas, desk=desk),
            ],
        }
    )


def _tracing(core: Core, threads: Pool) -> Tracing:
    lines = LogSink(database=core.database, labels=core.labels, clock=core.clock)
    return Tracing(lines=lines, threads=threads, clock=core.clock)


def _turns(core: Core, needs: Needs, asked: Collaborating, consulting: Consulting) -> Turns:
    threads = needs.bedrock.threads
    return Turns(
        consulting=consulting,
        sessions=asked.sessions,
        looking_up=LookingUp(retriever=needs.retriever, workers=asked.workers, threads=threads),
        collaborating=asked,
        executing=Executing(executors=needs.executors),
        orchestrating=_orchestrating(core, needs, consulting),
        interpreting=Interpreting(
            interpreter=needs.interpreter,
            database=core.database,
            sealer=core.keyring,
            clock=core.clock,
            threads=threads,
        ),
        threads=threads,
        clock=core.clock,
        ids=core.ids,
    )


def _orchestrating(core: Core, needs: Needs, consulting: Consulting) -> Orchestrating:
    methods = {
        "bedrock-runtime.Converse": needs.bedrock.conversations.converse,
        "bedrock-runtime.ApplyGuardrail": needs.applying.apply_guardrail,
    }
    return Orchestrating(
        executors=needs.executors,
        consulting=consulting,
        requests=RequestReader(catalogue=needs.catalogue, methods=methods),
        guarding=Guarding(applier=needs.applying, threads=needs.bedrock.threads),
        clock=core.clock,
    )
