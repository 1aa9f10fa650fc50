"""What a model that was brought in must be able to do before anybody is served by it: to answer at
all. It is no examination: whether an answer is true is its users' affair."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bastide.inference.engine_client import EngineClient
from bastide.inference.engines import CannotLoad, Engines
from bastide.inference.replies import Choice
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.models.model import ModelCard

PROMPTS = (
    "Say hello.",
    "Count from 1 to 10, with commas.",
    "What is the capital of France?",
)
TOKENS = 24
SAME_MIN = 8  # a shorter answer may well be one word again and again
UNREADABLE_MAX = 0.3  # of an answer's letters
SURE_MIN = math.log(0.02)  # of its own next token; who chooses at random is less
FITS_NOT = "ServiceUnavailableException"
BUSY = ("ModelNotReadyException", "ThrottlingException")


@dataclass(frozen=True, slots=True)
class Canary:
    engines: Engines
    client: EngineClient

    async def reason_against(self, card: ModelCard, owner: str, label: str) -> str:
        """Why it cannot be served, or "". Raises Unavailable where it cannot be tried now: the
        engines are busy with others."""
        try:
            return reason_against(await self._answers(card, owner, label))
        except CannotLoad:
            return "The engine could not load the model."
        except ServiceError as error:
            if error.code == FITS_NOT:
                return "The model does not fit into the memory that this site gives to models."
            if error.code in BUSY:
                raise Unavailable(error.message) from error
            return f"The model did not answer: {error.message}"

    async def _answers(self, card: ModelCard, owner: str, label: str) -> list[Choice]:
        found = []
        async with await self.engines.acquire(card, owner, label) as lease:
            for prompt in PROMPTS:
                body: dict[str, Any] = {
                    "model": lease.endpoint.model,
                    "messages": [{"role": "user", "content": prompt}],
                    "temperature": 0.0,
                    "max_tokens": TOKENS,
                    "logprobs": True,
                    "top_logprobs": 1,
                    "cache_prompt": False,
                    "id_slot": lease.endpoint.slot,
                }
                found.append((await self.client.complete(lease.endpoint, body)).choices[0])
        return found


def reason_against(answers: Sequence[Choice]) -> str:
    scores = [one for each in answers if each.logprobs for one in each.logprobs.content]
    text = "".join(each.message.content or "" for each in answers)
    if any(one.logprob is None or math.isnan(one.logprob) for one in scores):
        return "The model computes what is no number."
    if not scores or not text.strip():
        return "The model answers nothing."
    if all(_repeats(each) for each in answers):
        return "The model says one token again and again, whatever it is asked."
    unreadable = sum(_is_unreadable(letter) for letter in text)
    if unreadable > UNREADABLE_MAX * len(text):
        return "The model writes what is no text."
    sure = sum(max(one.logprob or 0.0, -100.0) for one in scores) / len(scores)
    return "" if sure >= SURE_MIN else "The model says its tokens as if at random."


def _repeats(answer: Choice) -> bool:
    tokens = [one.token for one in answer.logprobs.content] if answer.logprobs else []
    return len(tokens) >= SAME_MIN and len(set(tokens)) == 1


def _is_unreadable(letter: str) -> bool:
    if letter in "\n\r\t":
        return False
    return letter == "\ufffd" or unicodedata.category(letter) in ("Cc", "Cn", "Co", "Cs")
