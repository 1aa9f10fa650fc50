"""Whose turn it is to have texts read, in which parts, and what a failure is to a caller."""

import threading
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.inference_kit import ACCOUNT, OTHER, call
from tests.labels_kit import at

from bastide.inference.embedder import TEXTS_PER_TURN, WAITING_MAX, Embedder
from bastide.inference.embedding_worker import Question, Reply
from bastide.jobs.worker import WorkerFailed
from bastide.kernel.errors import ServiceError
from bastide.kernel.turns import Turns
from bastide.models.model import ModelCard, ModelKind, NotAdmitted

CARD = ModelCard(
    name="v", model_id="test.v-v1:0", title="V", provider="T", sha256="ab",
    kind=ModelKind.EMBEDDING, dimensions=2,
)  # fmt: skip
WHO = call().principal


class Scripted:
    """Reads a text as its length and one."""

    def __init__(self):
        self.asked = []
        self.closed = False
        self.go = threading.Event()
        self.go.set()
        self.fails = False

    def ask(self, question, timeout_s):
        self.go.wait(30)
        if self.fails:
            raise WorkerFailed("it died")
        texts = msgspec.msgpack.decode(question, type=Question).texts
        self.asked.append(texts)
        vectors = np.array([[len(text), 1] for text in texts], "<f4")
        ones = [1] * len(texts)
        return msgspec.msgpack.encode(
            Reply(vectors=vectors.tobytes(), dimensions=2, tokens=ones, read_to=ones)
        )

    def close(self):
        self.closed = True


@pytest.fixture
def process():
    return Scripted()


@pytest.fixture
def embedder(process):
    return Embedder(launch=lambda card: process)


def test_in_parts_and_in_order(embedder, process):
    texts = ["x" * n for n in range(1, 2 * TEXTS_PER_TURN + 2)]
    found = embedder.embedded(WHO, CARD, texts)
    assert [len(part) for part in process.asked] == [TEXTS_PER_TURN, TEXTS_PER_TURN, 1]
    assert found.raw[:, 0].tolist() == [len(text) for text in texts]
    assert np.allclose(np.linalg.norm(embedder.embed(WHO, CARD, texts), axis=1), 1)
    embedder.close()
    assert process.closed


def test_nothing_and_half_a_letter(embedder, process):
    assert embedder.embed(WHO, CARD, []).shape == (0, 2)
    embedder.embed(WHO, CARD, ["a\ud800b"])
    assert process.asked == [["a?b"]]


def test_the_zero_vector_stays_one():
    class Zero(Scripted):
        def ask(self, question, timeout_s):
            return msgspec.msgpack.encode(
                Reply(vectors=bytes(8), dimensions=2, tokens=[1], read_to=[-1])
            )

    assert Embedder(launch=lambda card: Zero()).embed(WHO, CARD, ["a"]).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("card", "code"),
    [(msgspec.structs.replace(CARD, kind=ModelKind.TEXT), "ValidationException")],
)
def test_another_kind(embedder, card, code):
    with pytest.raises(ServiceError) as caught:
        embedder.embed(WHO, card, ["a"])
    assert caught.value.code == code


def test_a_process_that_fails_and_files_that_were_changed(embedder, process):
    process.fails = True
    with pytest.raises(ServiceError) as caught:
        embedder.embed(WHO, CARD, ["a"])
    assert caught.value.code == "ModelErrorException"
    process.fails = False
    assert len(embedder.embed(WHO, CARD, ["a"])) == 1, "nothing is held by what failed"

    def changed(card):
        raise NotAdmitted("its sha256 is another")

    with pytest.raises(ServiceError) as caught:
        Embedder(launch=changed).embed(WHO, CARD, ["a"])
    assert caught.value.code == "ModelErrorException"


def test_nobody_waits_with_more_than_a_share(embedder, process):
    process.go.clear()
    threads = [
        threading.Thread(target=embedder.embed, args=(WHO, CARD, ["a"]))
        for _ in range(WAITING_MAX // 2)
    ]
    for thread in threads:
        thread.start()
    while embedder._line.free > WAITING_MAX // 2:
        pass
    with pytest.raises(ServiceError) as caught:
        embedder.embed(WHO, CARD, ["a"])
    assert caught.value.code == "ThrottlingException"
    process.go.set()
    assert len(embedder.embed(call(account=OTHER).principal, CARD, ["b"])) == 1
    assert len(embedder.embed(replace(WHO, **at("S")), CARD, ["c"])) == 1, "at another label"
    for thread in threads:
        thread.join()
    assert embedder._line.free == WAITING_MAX


def test_turns_go_round():
    """Of two agencies, the one with a long line has every other turn, not all of them."""
    turns, served, started = Turns(), [], threading.Barrier(7)

    def ask(who):
        started.wait()
        with turns.turn(who, 30):
            served.append(who)

    with turns.turn("first", 30):
        threads = [threading.Thread(target=ask, args=(who,)) for who in [ACCOUNT] * 4 + [OTHER] * 2]
        for thread in threads:
            thread.start()
        started.wait()
        while sum(turns._waiting.values()) < 6:
            pass
    for thread in threads:
        thread.join()
    assert sorted(served[:2]) == [ACCOUNT, OTHER]
    assert sorted(served[2:4]) == [ACCOUNT, OTHER]


def test_a_turn_that_does_not_come():
    turns = Turns()
    with turns.turn("a", 1), pytest.raises(TimeoutError), turns.turn("b", 0):
        pass
    with turns.turn("b", 0):
        assert not turns._waiting
