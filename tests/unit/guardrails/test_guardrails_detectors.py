"""Asking the detectors: through the program's own answers, and where there is none."""

from dataclasses import dataclass

import pytest

from bastide.guardrails.detect import program
from bastide.guardrails.detect.finding import Finding
from bastide.guardrails.detectors import Detectors
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


@pytest.mark.parametrize("number", range(5))
def test_without_an_answer_nothing_passes(number):
    with pytest.raises(Unavailable):
        every_question(Detectors(Dead()))[number]()
