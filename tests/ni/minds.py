"""One history of all that thinks: knowledge bases, agents, Converse, guardrails and profiles.

At the doors of the contexts, over one database, the real index and the real places of engines: a
whole region would take hours for two thousand pairs. The model's answer is a digest of all that it
was shown, so whatever reaches it from above is seen in what it says. Ids are drawn anew from each
step's own seed: what is drawn above moves none below.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from bastide.db import Database
from bastide.guardrails.guardrails import Guardrails
from bastide.guardrails.loosening import Holding
from bastide.guardrails.shelf import Shelf
from bastide.inference.converse import Conversations
from bastide.inference.lease import Lease
from bastide.inference.model import Endpoint, EngineTask
from bastide.inference.places import Asker, Places
from bastide.inference.replies import Choice, Completion, Message, PromptDetails, Usage
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import SeededIds
from bastide.knowledge.retrieve_and_generate import RetrieveAndGenerate
from bastide.knowledge.sessions import Sessions
from bastide.models.application_profiles import ApplicationProfiles
from bastide.models.inference_profiles import InferenceProfiles
from tests.agents_kit import INSTRUCTION, MODEL, Desk
from tests.index_kit import index_at
from tests.inference_kit import STUB, AnyThread, conversations, models_at
from tests.knowledge_kit import base_request
from tests.knowledge_world import World
from tests.labels_kit import marks
from tests.ni.apart import apart
from tests.officers_kit import Agreed
from tests.sagefakes import REGION, ROLE, call

HIGH = ("S", "TS//SI")
WORDS = ("convoy", "river", "bridge", "depot", "fuel", "north", "radio", "dawn")
NAMES = ("one", "two", "three")
TITLES = tuple(f"the-{n}" for n in range(8))
SLOTS = 2  # fewer than there are labels at work: what is above takes a place from what is below
MEMORY = {
    "enabledMemoryTypes": ["SESSION_SUMMARY"],
    "sessionSummaryConfiguration": {"maxRecentSessions": 2},
}
MESSAGES = {"blockedInputMessaging": "No.", "blockedOutputsMessaging": "No."}


def digest(shown: Any) -> str:
    return hashlib.sha256(json.dumps(shown, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass
class Placed:
    """`Engines` of one engine of our own, with the real places of it."""

    places: Places = field(default_factory=Places)
    task: EngineTask = field(default_factory=EngineTask)

    def __post_init__(self) -> None:
        self.places.join("engine", SLOTS)

    async def acquire(self, _: Any, owner: str, label: str, *, begins: str, tokens: int) -> Lease:
        place, warm = await self.places.take(Asker(owner, label, begins, tokens))
        endpoint = Endpoint(
            url="", key="", model="stub", socket="here", slot=place.number, warm=warm
        )
        return Lease(
            endpoint, lambda: self.places.give_back(place), lambda: self.places.remember(place)
        )

    def context_tokens(self, _: Any) -> int:
        return 4096


@dataclass
class Engine:
    """`EngineClient`, to llama.cpp as it keeps a prompt in each place: a word is a token."""

    kept: dict[int, list[str]] = field(default_factory=dict)

    async def complete(self, endpoint: Endpoint, body: dict[str, Any]) -> Completion:
        words = _words(body["messages"])
        before = self.kept.get(body["id_slot"], []) if body["cache_prompt"] else []
        same = next(
            (n for n, (a, b) in enumerate(zip(words, before, strict=False)) if a != b),
            min(len(words), len(before)),
        )
        self.kept[body["id_slot"]] = words
        said = Choice(message=Message(content=digest(words)), finish_reason="stop")
        usage = Usage(
            prompt_tokens=len(words), completion_tokens=1,
            prompt_tokens_details=PromptDetails(cached_tokens=same),
        )  # fmt: skip
        return Completion(choices=[said], usage=usage)

    async def count(self, endpoint: Endpoint, messages: Any) -> int:
        return len(_words(messages))


def _words(messages: Any) -> list[str]:
    return " ".join(f"{one['role']}: {one['content']}" for one in messages).split()


class Telling:
    """The model of knowledge bases: it says a digest of what it was shown, and cites the first."""

    async def converse(self, _: Any, req: Any) -> dict[str, Any]:
        said = {"sentences": [{"text": f"Seen: {digest(req)}.", "sources": [1]}]}
        message = {"role": "assistant", "content": [{"text": json.dumps(said)}]}
        return {"output": {"message": message}, "stopReason": "end_turn"}


class Script(list):  # type: ignore[type-arg]
    """The model of agents: the same."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def pop(self, _: Any = 0) -> Any:
        return [{"text": digest(self.desk.model.seen.pop())}]


class Minds:
    """All of it, made empty, and then a round for each pair; `above` seeds what is done above, ""
    for nothing."""

    def __init__(self, folder: Path, seed: str, above: str) -> None:
        folder.mkdir()
        self.seed, self.above, self.sessions = seed, above, [""]
        self.done: set[tuple[str, str]] = set()  # what was not refused, and at which label
        self.database = Database(f"sqlite:///{folder}/region.db")
        self.database.start(create=True)
        self.runner = asyncio.Runner()
        self.world, self.desk = World(self.database), Desk(self.database)
        self.index = index_at(folder)
        joined(self.world, self.index, self.world.embedder)
        self.world.make()
        self.desk.model.script = Script(self.desk)
        self.ids = SeededIds()
        mine = {
            "region": REGION, "database": self.database, "clock": self.world.clock,
            "ids": self.ids, "marks": marks(self.database),
        }  # fmt: skip
        own = ApplicationProfiles(**mine)
        models = models_at(folder, remote_ids=(STUB,), own=own)
        self.talk: Conversations = conversations(models, Placed(), Engine())  # type: ignore[arg-type]
        self.profiles = InferenceProfiles(models=models, own=own)
        shelf = Shelf(**mine)
        holding = Holding(database=self.database, approvals=Agreed(agreed=False), arn=shelf.arn)
        self.guardrails = Guardrails(shelf=shelf, holding=holding)
        self.answers = RetrieveAndGenerate(
            search=self.world.search, conversations=Telling(), threads=AnyThread(),
            sessions=Sessions(shelf=self.world.shelf, sealer=self.world.sealer),
        )  # fmt: skip
        custom = {"type": "CUSTOM"}
        self.by_hand = self.world.sources.create_data_source(
            call("bedrock-agent.CreateDataSource"),
            self._ids(name="by-hand", dataSourceConfiguration=custom),
        )["dataSource"]["dataSourceId"]
        self.agent = self.desk.agent(memoryConfiguration=MEMORY)

    def close(self) -> None:
        self.runner.close()
        self.index.close()
        self.database.close()

    def round(self, number: int) -> list[Any]:
        """What is done above, then what the observer does, and all that it is told."""
        self.world.clock.advance(1.0)
        self.desk.clock.advance(1.0)
        for label in HIGH if self.above else ():
            high = Random(f"{self.seed}/{number}/{self.above}/{label}")
            for _ in range(high.randint(0, 2)):
                self._done(high.choice(DOINGS), high, label)
        low = Random(f"{self.seed}/{number}")
        return [self._done(each, low, "U") for each in low.choices((*DOINGS, *LOOKS), k=3)]

    def end(self, number: int) -> list[Any]:
        """Everything is done above, and then everything below: what is found needs no luck."""
        for label in HIGH if self.above else ():
            high = Random(f"{self.seed}/{number}/{self.above}/{label}")
            for each in DOINGS * 3:
                self._done(each, high, label)
        low = Random(f"{self.seed}/{number}")
        return [self._done(each, low, "U") for each in (*DOINGS, *LOOKS) * 2]

    def _done(self, doing: "Doing", random: Random, label: str) -> list[Any]:
        for ids in (self.ids, self.world.shelf.ids, self.desk.book.ids):
            ids._random.seed(random.random())
        try:
            told = doing(self, random, label)
            self.done.add((doing.__name__, label))
        except ServiceError as error:
            told = [error.code, str(error)]
        return [doing.__name__, json.loads(json.dumps(told, default=str))]

    def _ids(self, **more: Any) -> dict[str, Any]:
        return {"knowledgeBaseId": self.world.base, **more}

    # What is done, at either level.

    def syncs(self, random: Random, label: str) -> Any:
        key = f"{label[0]}-{random.choice(NAMES)}.txt"
        self.world.put(key, _text(random), label)
        job = self.world.synced(label)
        return [job["status"], job["statistics"], job.get("failureReasons")]

    def hands_in(self, random: Random, label: str) -> Any:
        inline = {"type": "TEXT", "textContent": {"data": _text(random)}}
        custom = {
            "customDocumentIdentifier": {"id": random.choice(NAMES)},
            "sourceType": "IN_LINE",
            "inlineContent": inline,
        }
        document = {"content": {"dataSourceType": "CUSTOM", "custom": custom}}
        asked = self._ids(dataSourceId=self.by_hand, documents=[document])
        who = call("bedrock-agent.IngestKnowledgeBaseDocuments", marking=label)
        told = self.world.documents.ingest_knowledge_base_documents(who, asked)
        self.world.work.settle()
        return told

    def takes_back(self, random: Random, label: str) -> Any:
        named = {"dataSourceType": "CUSTOM", "custom": {"id": random.choice(NAMES)}}
        asked = self._ids(dataSourceId=self.by_hand, documentIdentifiers=[named])
        who = call("bedrock-agent.DeleteKnowledgeBaseDocuments", marking=label)
        told = self.world.documents.delete_knowledge_base_documents(who, asked)
        self.world.work.settle()
        return told

    def makes_a_base(self, random: Random, label: str) -> Any:
        who = call("bedrock-agent.CreateKnowledgeBase", marking=label)
        return self.world.bases.create_knowledge_base(
            who, base_request(ROLE, random.choice(TITLES))
        )

    def makes_an_agent(self, random: Random, label: str) -> Any:
        asked = {"agentName": random.choice(TITLES), "foundationModel": MODEL,
                 "instruction": INSTRUCTION, "agentResourceRoleArn": ROLE}  # fmt: skip
        who = call("bedrock-agent.CreateAgent", marking=label)
        return self.desk.do("create_agent", who, **asked)

    def makes_a_guardrail(self, random: Random, label: str) -> Any:
        words = {"wordsConfig": [{"text": random.choice(WORDS)}]}
        asked = {"name": random.choice(TITLES), **MESSAGES, "wordPolicyConfig": words}
        who = call("bedrock.CreateGuardrail", marking=label)
        return self.guardrails.create_guardrail(who, asked)

    def makes_a_profile(self, random: Random, label: str) -> Any:
        asked = {
            "inferenceProfileName": random.choice(TITLES),
            "clientRequestToken": random.choice(TITLES),
            "modelSource": {"copyFrom": STUB},
        }
        who = call("bedrock.CreateInferenceProfile", marking=label)
        return self.profiles.create_inference_profile(who, asked)

    def talks(self, random: Random, label: str) -> Any:
        """Over a long beginning that others have too, up to a point."""
        system = [{"text": " ".join(WORDS * 8)}, {"cachePoint": {"type": "default"}}]
        message = {"role": "user", "content": [{"text": _text(random)}]}
        asked = {"modelId": STUB, "messages": [message], "system": system}
        who = call("bedrock-runtime.Converse", marking=label)
        told = self.runner.run(self.talk.converse(who, asked))
        return [told["output"], told["usage"], told["stopReason"]]

    def asks_an_agent(self, random: Random, label: str) -> Any:
        """A session and a memory that others have by the same ids."""
        session, memory = random.choice(NAMES), random.choice(NAMES)
        who = call("bedrock-agent-runtime.InvokeAgent", marking=label)
        more = {"sessionId": session, "memoryId": memory}
        told = self.runner.run(self.desk.ask(self.agent, _text(random), who, **more))
        if random.random() < 0.5:
            told += self.runner.run(self.desk.ask(self.agent, "", who, endSession=True, **more))
        return told

    def asks_a_base(self, random: Random, label: str) -> Any:
        about = {"knowledgeBaseId": self.world.base, "modelArn": "some.model"}
        session = random.choice(("", self.sessions[-1]))
        asked = {
            "input": {"text": _text(random)},
            "retrieveAndGenerateConfiguration": {
                "type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": about
            },
            **({"sessionId": session} if session else {}),
        }  # fmt: skip
        who = call("bedrock-agent-runtime.RetrieveAndGenerate", marking=label)
        told = self.runner.run(self.answers.retrieve_and_generate(who, asked))
        if label == "U":  # those above try it too
            self.sessions.append(told["sessionId"])
        return [told, who.notes.label]

    # What only the observer does.

    def makes_a_source(self, random: Random, label: str) -> Any:
        """From above it is refused: a source is at the label of its base."""
        asked = self._ids(name=random.choice(NAMES), dataSourceConfiguration={"type": "CUSTOM"})
        who = call("bedrock-agent.CreateDataSource", marking=label)
        return self.world.sources.create_data_source(who, asked)

    def finds(self, random: Random, label: str) -> Any:
        return self.world.found(_text(random), label, numberOfResults=random.randint(1, 5))

    def lists_documents(self, random: Random, label: str) -> Any:
        who = call("bedrock-agent.ListKnowledgeBaseDocuments", marking=label)
        most = random.randint(1, 3)
        return [
            self.world.documents.list_knowledge_base_documents(
                who, self._ids(dataSourceId=source, maxResults=most)
            )
            for source in (self.world.source, self.by_hand)
        ]

    def lists_jobs(self, random: Random, label: str) -> Any:
        asked = self._ids(dataSourceId=self.world.source, maxResults=random.randint(1, 3))
        who = call("bedrock-agent.ListIngestionJobs", marking=label)
        return self.world.jobs.list_ingestion_jobs(who, asked)

    def lists_bases(self, random: Random, label: str) -> Any:
        asked = {"maxResults": random.randint(1, 3)}
        who = call("bedrock-agent.ListKnowledgeBases", marking=label)
        return self.world.bases.list_knowledge_bases(who, asked)

    def lists_sources(self, random: Random, label: str) -> Any:
        asked = self._ids(maxResults=random.randint(1, 3))
        who = call("bedrock-agent.ListDataSources", marking=label)
        return self.world.sources.list_data_sources(who, asked)

    def lists_agents(self, random: Random, label: str) -> Any:
        who = call("bedrock-agent.ListAgents", marking=label)
        return self.desk.do("list_agents", who, maxResults=random.randint(1, 3))

    def lists_guardrails(self, random: Random, label: str) -> Any:
        who = call("bedrock.ListGuardrails", marking=label)
        return self.guardrails.list_guardrails(who, {"maxResults": random.randint(1, 3)})

    def lists_profiles(self, random: Random, label: str) -> Any:
        asked = {"typeEquals": "APPLICATION", "maxResults": random.randint(1, 3)}
        who = call("bedrock.ListInferenceProfiles", marking=label)
        return self.profiles.list_inference_profiles(who, asked)

    def remembers(self, random: Random, label: str) -> Any:
        who = call("bedrock-agent-runtime.GetAgentMemory", marking=label)
        return self.desk.do(
            "get_agent_memory", who, agentId=self.agent, agentAliasId="TSTALIASID",
            memoryType="SESSION_SUMMARY", memoryId=random.choice(NAMES),
        )  # fmt: skip


Doing = Callable[[Minds, Random, str], Any]
DOINGS: tuple[Doing, ...] = (
    Minds.syncs, Minds.hands_in, Minds.takes_back, Minds.makes_a_base,
    Minds.makes_an_agent, Minds.makes_a_guardrail, Minds.makes_a_profile, Minds.talks,
    Minds.asks_an_agent, Minds.asks_a_base,
)  # fmt: skip
LOOKS: tuple[Doing, ...] = (
    Minds.makes_a_source, Minds.finds, Minds.lists_documents, Minds.lists_jobs,
    Minds.lists_bases, Minds.lists_sources,
    Minds.lists_agents, Minds.lists_guardrails, Minds.lists_profiles, Minds.remembers,
)  # fmt: skip


def _text(random: Random) -> str:
    return " ".join(random.choices(WORDS, k=random.randint(3, 8)))


def joined(world: World, index: Any, embedder: Any) -> None:
    """The real index in place of the twin."""
    preparer = replace(world.preparer, embedder=embedder)
    indexing = replace(world.sync.indexing, index=index, preparer=preparer)
    world.sync = replace(world.sync, indexing=indexing)
    world.tasks = replace(
        world.tasks, index=index, sync=world.sync,
        handed=replace(world.tasks.handed, indexing=indexing),
    )  # fmt: skip
    world.work.wanted = world.tasks.wanted
    world.search = replace(world.search, index=index, embedder=embedder)
    world.retrieve = replace(world.retrieve, search=world.search)


def difference(folder: Path, seed: str, rounds: int) -> str:
    """The first thing that an observer is told in one of two histories and not in the other; ""
    for none. Each round is one more pair, and the end another."""
    quiet, loud = Minds(folder / "quiet", seed, ""), Minds(folder / "loud", seed, "above")
    try:
        for number in range(rounds):
            one, other = quiet.round(number), loud.round(number)
            if one != other:
                return f"seed {seed}, round {number}: {apart(one, other)}"
        one, other = quiet.end(rounds), loud.end(rounds)
        if one != other:
            return f"seed {seed}, at its end: {apart(one, other)}"
        for labels in (("U",), HIGH):
            done = {name for name, label in loud.done if label in labels}
            assert done >= {each.__name__ for each in DOINGS}, f"{labels} did only {done}"
        return ""
    finally:
        quiet.close()
        loud.close()
