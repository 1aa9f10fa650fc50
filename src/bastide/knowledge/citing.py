"""An answer as it is told: its text, and which part of it rests on which passages.

Spans are of characters of the text, their end exclusive: `text[start:end]` is the part itself.
Where the answer is above what its agency keeps unmarked, it is marked as a document is: a banner
first, and before each part its portion's mark.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bastide.kernel.labels.label import Label, joined
from bastide.knowledge.search import Passage, located
from bastide.knowledge.sentences import Sentence, telling_words


@dataclass(frozen=True, slots=True)
class Part:
    """`text` is `whole[start:end]`."""

    start: int
    text: str
    sources: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(slots=True, kw_only=True)
class Telling:
    """Puts sentences together. `label` is that of the answer: the join of all that the model was
    shown. `banner` is "" where nothing is marked. `before`: what it was told in earlier answers."""

    passages: Sequence[Passage]
    label: Label
    banner: str = ""
    before: str = ""
    text: str = ""
    parts: list[Part] = field(default_factory=list)
    words: dict[int, set[str]] = field(default_factory=dict)  # of passages, as they are asked for

    def begin(self) -> str:
        """What stands before the first sentence."""
        self.text = f"{self.banner}\n\n" if self.banner else ""
        return self.text

    def add(self, sentence: Sentence) -> tuple[str, Part]:
        """What is added to the text, and the part that it is."""
        before = " " if self.parts else ""
        rests_on = tuple(n for n in sentence.sources if self._says(n, sentence.text))
        mark = f"({self._mark(sentence.text, rests_on)}) " if self.banner else ""
        part = Part(len(self.text) + len(before), mark + sentence.text, rests_on)
        self.text += before + part.text
        self.parts.append(part)
        return before + part.text, part

    def _says(self, number: int, text: str) -> bool:
        """A passage that shares no word with a sentence is not what that rests on."""
        return bool(telling_words(text) & self._words_of(number)) or not telling_words(text)

    def _mark(self, text: str, rests_on: Sequence[int]) -> str:
        """Of the portions that it rests on, and of those that a word of it is from: which a model
        names, a document may have told it. What rests on none may rest on all of them."""
        unsaid = telling_words(text).difference(*map(self._words_of, rests_on))
        portions = [
            passage.portion
            for number, passage in enumerate(self.passages)
            if number in rests_on or unsaid & self._words_of(number)
        ]
        told = bool(rests_on) and not unsaid & telling_words(self.before)
        return ((joined(portions) if told else None) or self.label).text

    def _words_of(self, number: int) -> set[str]:
        if number not in self.words:
            self.words[number] = telling_words(self.passages[number].text)
        return self.words[number]

    def citation(self, part: Part) -> dict[str, Any]:
        return {
            "generatedResponsePart": {
                "textResponsePart": {
                    "text": part.text,
                    "span": {"start": part.start, "end": part.end},
                }
            },
            "retrievedReferences": [reference(self.passages[n]) for n in part.sources],
        }


def reference(passage: Passage) -> dict[str, Any]:
    return {
        "content": {"type": "TEXT", "text": passage.text},
        "location": located(passage),
        "metadata": dict(passage.metadata),
    }
