"""Pairs of histories of one knowledge base that differ only above U: does U see the same?

Over the real index, with a model that counts words. The same question as tests/ni, at the door of
the context, so that many pairs take seconds: 40 for each of two seeds.
"""

import json
from dataclasses import replace
from random import Random

import pytest
from tests.index_kit import index_at
from tests.knowledge_kit import base_request
from tests.knowledge_world import World
from tests.labels_kit import US
from tests.sagefakes import ROLE, call

from bastide.db import Database
from bastide.kernel.errors import ServiceError
from bastide.knowledge import records

PAIRS, SEEDS = 40, 2
HIGH = ("S", "TS//SI")
WORDS = ("convoy", "river", "bridge", "depot", "fuel", "north", "radio", "dawn")
KEYS = tuple(f"{n}.txt" for n in range(4))
LEAKS = ("ranked over all labels", "a hidden name is taken", "documents above are listed")


class History:
    """One of the two; `above` seeds what is done above, "" for nothing."""

    def __init__(self, folder, seed, above):
        folder.mkdir()
        self.database = Database(f"sqlite:///{folder}/region.db")
        self.database.start(create=True)
        self.world = World(self.database)
        index = index_at(folder)
        self.close_index = index.close
        world = self.world
        _join(world, index)
        world.make()
        self.seed, self.above = seed, above

    def close(self):
        self.close_index()
        self.database.close()

    def round(self, number):
        self.world.clock.advance(1.0)  # jobs of one moment are told in the order of random ids
        if self.above:
            for label in HIGH:
                random = Random(f"{self.seed}/{number}/{self.above}/{label}")
                if random.random() < 0.3:
                    self._change(random, label)
        random = Random(f"{self.seed}/{number}")
        job = self._change(random, "U") if random.random() < 0.3 else {}
        return [
            [job.get("status"), job.get("statistics"), job.get("failureReasons")],
            self._look(random),
        ]

    def _change(self, random, label):
        """A document at a label, or none any more, and a job there; a knowledge base's name."""
        world, key = self.world, f"{label[0]}-{random.choice(KEYS)}"
        if random.random() < 0.2 and ("111122223333", "papers", key) in world.objects.held:
            world.gone(key)
        else:
            world.put(key, " ".join(random.choices(WORDS, k=random.randint(1, 12))), label)
        name = f"base-{random.randint(1, 9)}"
        self._made(name, label)
        return world.synced(label)

    def _made(self, name, label="U"):
        asked = call("bedrock-agent.CreateKnowledgeBase", marking=label)
        try:
            self.world.bases.create_knowledge_base(asked, base_request(ROLE, name))
        except ServiceError as error:
            return str(error)
        return "made"

    def _look(self, random):
        world, question = self.world, " ".join(random.choices(WORDS, k=3))
        found = world.found(question, numberOfResults=random.randint(1, 5))
        ids = {"knowledgeBaseId": world.base, "dataSourceId": world.source}
        listed = world.documents.list_knowledge_base_documents(
            call("bedrock-agent.ListKnowledgeBaseDocuments"), ids
        )["documentDetails"]
        jobs = world.jobs.list_ingestion_jobs(call("bedrock-agent.ListIngestionJobs"), ids)
        bases = world.bases.list_knowledge_bases(call("bedrock-agent.ListKnowledgeBases"), {})
        return json.loads(json.dumps([
            found,
            [(each["identifier"], each["status"]) for each in listed],
            [each["statistics"] for each in jobs["ingestionJobSummaries"]],
            sorted(each["name"] for each in bases["knowledgeBaseSummaries"]),
            self._made(f"base-{random.randint(1, 9)}"),
        ]))  # fmt: skip


def _join(world, index):
    """The real index in place of the twin."""
    indexing = replace(world.sync.indexing, index=index)
    world.sync = replace(world.sync, indexing=indexing)
    world.tasks = replace(
        world.tasks, index=index, sync=world.sync,
        handed=replace(world.tasks.handed, indexing=indexing),
    )  # fmt: skip
    world.work.wanted = world.tasks.wanted
    world.search = replace(world.search, index=index)
    world.retrieve = replace(world.retrieve, search=world.search)


def difference(folder, seed, pairs=PAIRS):
    """The first thing that differs; "" for none."""
    histories = [History(folder / name, seed, above) for name, above in (("a", ""), ("b", "b"))]
    try:
        for number in range(pairs):
            one, other = (each.round(number) for each in histories)
            if one != other:
                return f"seed {seed}, round {number}: {_apart(one, other)}"
        return ""
    finally:
        for each in histories:
            each.close()


def _apart(one, other):
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next(_apart(a, b) for a, b in zip(one, other, strict=True) if a != b)
    return f"{one!r} and {other!r}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_is_above_is_not_seen_below(tmp_path, seed):
    assert difference(tmp_path, seed) == ""


def _all(view):
    hidden = (US.parse(label).text for label in HIGH)
    return replace(view, seen=(*view.seen, *(h for h in hidden if h not in view.seen)))


def _plant(monkeypatch, leak):
    if leak == LEAKS[0]:
        _plant_ranking(monkeypatch)
        return
    name = "add_base" if leak == LEAKS[1] else "list_documents"
    real, at = getattr(records, name), -1 if leak == LEAKS[1] else 2

    def wide(*args):
        given = list(args)
        given[at] = _all(given[at])
        return real(*given)

    monkeypatch.setattr(records, name, wide)


def _plant_ranking(monkeypatch):
    """All labels are ranked together, and what is hidden is taken out afterwards."""
    from bastide.knowledge.index.index import Index

    real = Index.search

    def search(index, query):
        every = (*query.sees, *(US.parse(label).text for label in HIGH))
        hits = real(index, replace(query, sees=tuple(dict.fromkeys(every))))
        return [hit for hit in hits if hit.chunk.label in query.sees]

    monkeypatch.setattr(Index, "search", search)


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_found(tmp_path, monkeypatch, leak):
    _plant(monkeypatch, leak)
    assert difference(tmp_path, "leak")
