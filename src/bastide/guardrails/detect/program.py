"""The detectors as a worker's program (jobs/worker.py): each question is JSON, and so is its
answer."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from bastide.guardrails.detect.pii import find_pii


class Question(msgspec.Struct, frozen=True):
    """`ask` names one of ASKED; `given` are its arguments."""

    ask: str
    given: dict[str, Any]


ASKED: Mapping[str, Callable[..., Any]] = {
    "pii": find_pii,
}


def begin(settings: Mapping[str, Any]) -> Callable[[bytes], bytes]:
    """Loads everything once, so that the first question takes as long as any other."""
    find_pii("Nobody.")
    return answer


def answer(question: bytes) -> bytes:
    asked = msgspec.json.decode(question, type=Question)
    return msgspec.json.encode(ASKED[asked.ask](**asked.given))
