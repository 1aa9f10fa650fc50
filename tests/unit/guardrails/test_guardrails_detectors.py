"""Asking the detectors: through the program's own answers, and where there is none."""

import threading
from dataclasses import dataclass, replace

import msgspec
import pytest
from tests.labels_kit import at
from tests.policy_kit import OTHER, principal

from bastide.guardrails.detect import program
from bastide.guardrails.detect.finding import Finding
from bastide.guardrails.detectors import Detectors, Queue
from bastide.jobs.worker import WorkerFailed
from bastide.kernel.errors import Unavailable


class InProcess:
    """The program without its cage."""

    def ask(self, question: bytes, timeout_s: float) -> bytes:
        return program.answer(question)


class Dead:
    def ask(self, question: bytes, timeout_s: float) -> bytes:
        raise WorkerFailed("it died")


@dataclass(frozen=True)
class Topic:
    name: str = "Weather"
    definition: str = "Forecasts of weather"
    examples: tuple[str, ...] = ("Will it rain tomorrow?",)


def every_question(detectors):
    return [
        lambda: detectors.find_pii("mail a@example.org", {"EMAIL"}),
        lambda: detectors.content_scores("Hello."),
        lambda: detectors.prompt_attack_score("Hello."),
        lambda: detectors.is_about(Topic(), "will it rain tomorrow"),
        lambda: detectors.grounding("It rains.", "", "It rains."),
    ]


def test_each_question_has_the_answer_of_its_kind():
    found, harm, attack, about, grounded = (ask() for ask in every_question(Detectors(InProcess())))
    assert found == [Finding(5, 18, "EMAIL", 0.99)]
    assert set(harm) == {"HATE", "INSULTS", "SEXUAL", "VIOLENCE", "MISCONDUCT"}
    assert 0 <= attack < 0.5 < about <= 1
    assert grounded == (1.0, 1.0)


class Held:
    """Answers nothing before it may."""

    def __init__(self):
        self.asked, self.go = [], threading.Event()

    def ask(self, question: bytes, timeout_s: float) -> bytes:
        self.asked.append(msgspec.json.decode(question)["given"]["text"])
        assert self.go.wait(60)
        return b"0.5"


def asking(detectors, texts):
    threads = [threading.Thread(target=detectors.prompt_attack_score, args=(t,)) for t in texts]
    for thread in threads:
        thread.start()
    return threads


def test_one_agency_leaves_every_other_turn_to_another():
    worker = Held()
    first = Detectors(worker).of(principal())
    second = first.of(principal(account=OTHER))
    threads = asking(first, ["held"])
    while not worker.asked:
        pass
    threads += [*asking(first, ["a"] * 6), *asking(second, ["b"] * 2)]
    while sum(first.queue._turns._waiting.values()) < 8:
        pass
    worker.go.set()
    for thread in threads:
        thread.join()
    assert worker.asked[0] == "held"
    assert sorted(worker.asked[1:3]) == ["a", "b"]
    assert sorted(worker.asked[3:5]) == ["a", "b"]


@pytest.mark.parametrize(
    "other", [principal(account=OTHER), replace(principal(), **at("S"))], ids=["agency", "label"]
)
def test_one_agency_at_a_label_waits_with_its_share_and_no_more(other):
    worker = Held()
    first = replace(Detectors(worker), queue=Queue(4)).of(principal())
    threads = asking(first, ["a", "b"])
    while first.queue._line.free > 2:
        pass
    with pytest.raises(Unavailable):
        first.prompt_attack_score("c")
    threads += asking(first.of(other), ["d"])
    while first.queue._line.free > 1:
        pass
    worker.go.set()
    for thread in threads:
        thread.join()
    assert sorted(worker.asked) == ["a", "b", "d"]
    assert first.queue._line.free == 4


@pytest.mark.parametrize("number", range(5))
def test_without_an_answer_nothing_passes(number):
    with pytest.raises(Unavailable):
        every_question(Detectors(Dead()))[number]()
