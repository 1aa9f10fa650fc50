"""The detectors as a worker's program (jobs/worker.py): each question is JSON, and so is its
answer."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from bastide.guardrails.detect.attack import prompt_attack_score
from bastide.guardrails.detect.content import content_scores
from bastide.guardrails.detect.grounding import grounding
from bastide.guardrails.detect.pii import find_pii
from bastide.guardrails.detect.topics import topic_score


class Question(msgspec.Struct, frozen=True):
    """`ask` names one of ASKED; `given` are its arguments."""

    ask: str
    given: dict[str, Any]


ASKED: Mapping[str, Callable[..., Any]] = {
    "pii": find_pii,
    "content": content_scores,
    "prompt_attack": prompt_attack_score,
    "grounding": grounding,
    "topic": topic_score,
}


def begin(settings: Mapping[str, Any]) -> Callable[[bytes], bytes]:
    """Loads everything once, so that the first question takes as long as any other."""
    find_pii("Nobody.")
    content_scores("Nothing.")
    return answer


def answer(question: bytes) -> bytes:
    asked = msgspec.json.decode(question, type=Question)
    return msgspec.json.encode(ASKED[asked.ask](**asked.given))
