"""What the model is held to: sentences, each with the numbers of the passages that it rests on.

The schema makes every number one that there is; it is checked here all the same. Sentences are read
as they arrive.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SENTENCES_MAX = 40
LETTERS_MAX = 600  # of a sentence: a small model finds no end by itself
FORMAT = """\
Answer as JSON: {"sentences": [{"text": "one sentence", "sources": [numbers of the results that \
say it]}]}"""
_OPENING = '"sentences"'
_WORD = re.compile(r"\w{4,}|\d+")


@dataclass(frozen=True, slots=True)
class Sentence:
    """`sources` are places in the list of passages, from 0."""

    text: str
    sources: tuple[int, ...]


def telling_words(text: str) -> set[str]:
    """Those by which two texts are held against each other."""
    return {word.lower() for word in _WORD.findall(text)}


def schema(passages: int) -> dict[str, Any]:
    """Of an answer that may rest on so many passages."""
    numbers = {"type": "integer", "enum": list(range(1, passages + 1))}
    sentence = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": LETTERS_MAX},
            "sources": {"type": "array", "items": numbers, "maxItems": passages},
        },
        "required": ["text", "sources"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "sentences": {
                "type": "array",
                "items": sentence,
                "minItems": 1,
                "maxItems": SENTENCES_MAX,
            }
        },
        "required": ["sentences"],
        "additionalProperties": False,
    }


@dataclass(slots=True)
class SentenceReader:
    """`read` answers the sentences that are whole by now. What does not fit the schema is left
    out: a number that names no passage, an object that is none."""

    passages: int
    _text: str = ""
    _at: int = 0
    _begun: bool = False
    _decoder: json.JSONDecoder = field(default_factory=json.JSONDecoder)

    def read(self, more: str) -> list[Sentence]:
        self._text += more
        found: list[Sentence] = []
        if not self._begun and not self._begin():
            return found
        while (at := self._text.find("{", self._at)) >= 0:
            try:
                said, self._at = self._decoder.raw_decode(self._text, at)
            except (ValueError, RecursionError):  # not whole yet, or never
                return found
            if (sentence := self._sentence(said)) is not None:
                found.append(sentence)
        return found

    def _begin(self) -> bool:
        """Behind the bracket that opens the list."""
        named = self._text.find(_OPENING)
        bracket = self._text.find("[", named + len(_OPENING)) if named >= 0 else -1
        if bracket >= 0:
            self._begun, self._at = True, bracket + 1
        return self._begun

    def _sentence(self, said: Any) -> Sentence | None:
        text = said.get("text")
        numbers = said.get("sources")
        if not isinstance(text, str) or not text.strip() or not isinstance(numbers, list):
            return None
        return Sentence(" ".join(text.split()), _known(numbers, self.passages))


def whole(text: str, passages: int) -> list[Sentence]:
    """Those of an answer that is all there, though a guardrail hid something in it; none where the
    guardrail says something instead of it."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return []
    return SentenceReader(passages=passages).read(text)


def _known(numbers: Sequence[Any], passages: int) -> tuple[int, ...]:
    """Each once, in order; those that name no passage are none."""
    good = {n for n in numbers if type(n) is int and 1 <= n <= passages}
    return tuple(sorted(n - 1 for n in good))
