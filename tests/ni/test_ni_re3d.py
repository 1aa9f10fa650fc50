"""Three analysts ask the same of re3d's defence reports: each is told what its clearance allows.

Dstl's re3d (Relationship and Entity Extraction Evaluation Dataset), https://github.com/dstl/re3d.
Each of its sources is at a label of its own, one of them in a need-to-know category. The golden
file says which documents each analyst finds and cites, by ids and digests, and how answers are
marked; it holds no text. It is of vectors that count words, the same on each machine; with MiniLM's
own, whose numbers are not, each question still has to find the document that answers it.
"""

import asyncio
import hashlib
import json
import os
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bastide.db import Database
from bastide.inference import embedding_worker
from bastide.kernel.labels.label import joined as joined_labels
from bastide.knowledge.retrieve_and_generate import RetrieveAndGenerate
from bastide.knowledge.sessions import Sessions
from tests.golden.goldens import check
from tests.index_kit import index_at
from tests.inference_kit import AnyThread
from tests.knowledge_world import FaultyEmbedder, World
from tests.labels_kit import US
from tests.live import cache_home, data_home
from tests.ni.minds import joined
from tests.sagefakes import call

DATA = data_home() / "missions" / "sensitive" / "re3d"
MINILM = cache_home() / "models" / "minilm-l6-v2"
GOLDEN = Path(__file__).with_name("re3d.txt")
SOURCES = {"Wikipedia": "U", "UK_Government": "CUI//SP-LEI", "CENTCOM": "S"}
ANALYSTS = {
    "U": {"Wikipedia"},
    "S": {"Wikipedia", "CENTCOM"},
    "S//SP-LEI": {"Wikipedia", "UK_Government", "CENTCOM"},
}
# What is asked, and the document that answers it.
QUESTIONS = {
    "Who had a safehouse in the village of Hibhib?": "Wikipedia/0388FEF6",
    "What is the Samarra Barrage?": "Wikipedia/2ED27E1C",
    "Who was head of the Syrian Computer Society?": "Wikipedia/22BCFA25",
    "Which marines fought in Operation Steel Curtain?": "Wikipedia/7EA8D40D",
    "What did the minister say of the attack in Karrada, Baghdad?": "UK_Government/09FF200C",
    "Who liberated Sinjar from ISIL?": "UK_Government/C66A9E77",
    "What budget deal did Iraq make with the Kurdistan Regional Government?":
        "UK_Government/33A216AD",
    "How many gas masks did Peshmerga and Iraqi forces get?": "CENTCOM/D21D5CC3",
    "How did Abu Jandal al-Kuwaiti die?": "CENTCOM/28829CF8",
    "Which exercise do the U.S. and Jordan commence?": "CENTCOM/C044623A",
}  # fmt: skip
FOUND = 5


class MiniLM(FaultyEmbedder):
    """The real model, in this process."""

    def embed(self, who, model_arn, dimensions, texts):
        answer = _minilm()(msgspec.msgpack.encode(embedding_worker.Question(texts=list(texts))))
        reply = msgspec.msgpack.decode(answer, type=embedding_worker.Reply)
        raw = np.frombuffer(reply.vectors, np.float32).reshape(len(texts), -1)
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)


@cache
def _minilm():
    files = {"model": str(MINILM / "model.onnx"), "tokenizer": str(MINILM / "tokenizer.json")}
    return embedding_worker.begin({**files, "tokens_max": 256})


class Quoting:
    """A model that says the first sentence of each passage, and names it."""

    def __init__(self):
        self.texts = []

    async def converse(self, _, req):
        said = [
            {"text": text.partition(". ")[0], "sources": [n]}
            for n, text in enumerate(self.texts, 1)
        ]
        content = [{"text": json.dumps({"sentences": said})}]
        return {"output": {"message": {"content": content}}, "stopReason": "end_turn"}


class Desk:
    """re3d, read in at its labels."""

    def __init__(self, folder, embedder=FaultyEmbedder):
        self.database = Database(f"sqlite:///{folder}/region.db")
        self.database.start(create=True)
        self.index, self.world, self.digests = index_at(folder), World(self.database), {}
        joined(self.world, self.index, embedder())
        self.world.make()
        for source, label in SOURCES.items():
            self._put(source, label)
        counts = [self.world.synced(label)["statistics"] for label in SOURCES.values()]
        assert [each["numberOfDocumentsFailed"] for each in counts] == [0, 0, 0], counts
        self.model = Quoting()
        world = self.world
        sessions = Sessions(shelf=world.shelf, sealer=world.sealer)
        self.answers = RetrieveAndGenerate(
            threads=AnyThread(), search=world.search, sessions=sessions, conversations=self.model
        )

    def _put(self, source, label):
        lines = (DATA / source / "documents.json").read_text("utf-8-sig").splitlines()
        for one in (json.loads(line) for line in lines if line.strip()):
            text = f"{one['title']}\n\n{one['text']}"
            key = f"{source}/{one['_id'][:8]}"
            self.digests[key] = hashlib.sha256(text.encode()).hexdigest()[:16]
            self.world.put(f"{key}.txt", text, label)

    def close(self):
        self.index.close()
        self.database.close()

    def found(self, analyst, question):
        return self.world.found(question, analyst, numberOfResults=FOUND)

    def told(self, analyst, question):
        """One answer, as the golden file has it."""
        hits = self.found(analyst, question)
        self.model.texts = [hit["content"]["text"] for hit in hits]
        who = call("bedrock-agent-runtime.RetrieveAndGenerate", marking=analyst)
        about = {"knowledgeBaseId": self.world.base, "modelArn": "some.model"}
        about["retrievalConfiguration"] = {"vectorSearchConfiguration": {"numberOfResults": FOUND}}
        kind = {"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": about}
        asked = {"input": {"text": question}, "retrieveAndGenerateConfiguration": kind}
        answer = asyncio.run(self.answers.retrieve_and_generate(who, asked))
        text, label = answer["output"]["text"], who.notes.label
        assert text.startswith(f"{label}\n\n") == (label != "U"), "its banner"
        return {
            "found": [_key(hit) for hit in hits],
            "label": label,
            "cited": [
                (_mark(each["generatedResponsePart"]["textResponsePart"]["text"]), _cited(each))
                for each in answer["citations"]
            ],
        }


def _cited(citation):
    return sorted({_key(one) for one in citation["retrievedReferences"]})


def _mark(text):
    return text[: text.index(")") + 1] if text.startswith("(") else ""


def _key(found):
    return found["location"]["s3Location"]["uri"].removeprefix("s3://papers/").removesuffix(".txt")


def _sources(hits):
    return {_key(hit).partition("/")[0] for hit in hits}


@pytest.fixture(scope="module", autouse=True)
def data():
    if not DATA.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{DATA} is not here; CI must have it")
        pytest.skip(f"no data at {DATA}: set BASTIDE_DATA")


def desk_of(folder, *embedder):
    desk = Desk(folder, *embedder)
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    yield from desk_of(tmp_path_factory.mktemp("re3d"))


@pytest.fixture(scope="module")
def real_desk(tmp_path_factory):
    if not MINILM.exists():
        pytest.skip(f"no {MINILM.name} in the cache")
    yield from desk_of(tmp_path_factory.mktemp("re3d-minilm"), MiniLM)


def test_the_golden_answers(desk):
    lines = []
    for question in QUESTIONS:
        for analyst, sources in ANALYSTS.items():
            told = desk.told(analyst, question)
            _hold(told, sources)
            lines.append(f"{question} {analyst}: {told['label']}")
            lines += [f"  found {key} {desk.digests[key]}" for key in told["found"]]
            lines += [
                f"  cited {mark or 'unmarked'} {' '.join(keys)}" for mark, keys in told["cited"]
            ]
    check(GOLDEN, "\n".join(lines) + "\n")


def _hold(told, sources):
    """What is true of each answer, whatever was found."""
    labels = {SOURCES[key.partition("/")[0]] for key in told["found"]}
    assert labels <= {SOURCES[each] for each in sources}
    assert told["label"] == joined_labels([US.parse(each) for each in sorted(labels)]).text
    for mark, keys in told["cited"]:
        assert set(keys) <= set(told["found"])
        rests_on = [US.parse(SOURCES[key.partition("/")[0]]) for key in keys]
        if told["label"] != "U":
            assert US.parse(mark[1:-1]).dominates(joined_labels(rests_on)), (mark, keys)


@pytest.mark.parametrize("analyst", ANALYSTS)
def test_who_is_cleared_finds_the_answer_and_who_is_not_finds_no_source_above(real_desk, analyst):
    missed = []
    for question, document in QUESTIONS.items():
        hits = real_desk.found(analyst, question)
        assert _sources(hits) <= ANALYSTS[analyst]
        if document.partition("/")[0] in ANALYSTS[analyst]:
            missed += [] if document in map(_key, hits) else [document]
    assert missed == []
