"""A text as pieces to be embedded: spans of it, by AWS's strategies.

https://docs.aws.amazon.com/bedrock/latest/userguide/kb-chunking.html

A token is a run of up to six letters or digits, or a single sign: near enough to what embedding
models count, and the same for all of them.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

from bastide.kernel.errors import invalid
from bastide.knowledge.reading import Unreadable

if TYPE_CHECKING:
    from bastide.knowledge.ports import Vectors

DEFAULT_TOKENS = 300
DEFAULT_OVERLAP = 20  # per cent
SENTENCES_MAX = 5_000  # of a text that is split where its meaning turns
_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?]+|\n+|$)")  # no letter is looked at twice
Span = tuple[int, int]
Embed = Callable[[Sequence[str]], "Vectors"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What is embedded; `parent`: what is answered in its place."""

    start: int
    end: int
    parent: Span | None = None


def check_chunking(wanted: Mapping[str, Any]) -> None:
    """ValidationException unless the strategy has the configuration that goes with it."""
    strategy = wanted.get("chunkingStrategy", "FIXED_SIZE")
    members = {
        "FIXED_SIZE": "fixedSizeChunkingConfiguration",
        "HIERARCHICAL": "hierarchicalChunkingConfiguration",
        "SEMANTIC": "semanticChunkingConfiguration",
    }
    own = members.get(strategy)
    for member in members.values():
        if member in wanted and member != own:
            raise invalid(f"{member} does not go with the strategy {strategy}.")
    if wanted and own and own not in wanted:
        raise invalid(f"{own} must be given for the strategy {strategy}.")
    if strategy == "HIERARCHICAL" and own:
        parents, children = (each["maxTokens"] for each in wanted[own]["levelConfigurations"])
        if children > parents or wanted[own]["overlapTokens"] >= children:
            raise invalid("Children are no larger than parents, and overlap by less than one.")


def pieces(text: str, span: Span, wanted: Mapping[str, Any], embed: Embed) -> Iterator[Piece]:
    """The pieces of one part of a text. `embed` is asked where the strategy is SEMANTIC."""
    strategy = wanted.get("chunkingStrategy", "FIXED_SIZE")
    if strategy == "NONE":
        yield from _whole(text, span)
    elif strategy == "HIERARCHICAL":
        yield from _families(text, span, wanted["hierarchicalChunkingConfiguration"])
    elif strategy == "SEMANTIC":
        yield from _turns(text, span, wanted["semanticChunkingConfiguration"], embed)
    else:
        fixed = wanted.get("fixedSizeChunkingConfiguration") or {}
        size = fixed.get("maxTokens", DEFAULT_TOKENS)
        share = fixed.get("overlapPercentage", DEFAULT_OVERLAP)
        for start, end in windows(text, span, size, size * share // 100):
            yield Piece(start, end)


def windows(text: str, span: Span, tokens_max: int, overlap: int) -> Iterator[Span]:
    """Runs of at most so many tokens that end with a sentence where one ends in their second
    half; each begins `overlap` tokens before the end of the last."""
    starts, ends = array("L"), array("L")
    for match in _TOKEN.finditer(text, *span):
        starts.append(match.start())
        ends.append(match.end())
    first, count = 0, len(starts)
    while first < count:
        last = min(first + tokens_max, count)
        if last < count:
            last = _sentence_end(text, (starts, ends), first + tokens_max // 2, last)
        yield starts[first], ends[last - 1]
        if last == count:
            return
        first = max(last - overlap, first + 1)


def _sentence_end(
    text: str, tokens: tuple["array[int]", "array[int]"], least: int, last: int
) -> int:
    """How many tokens there are up to the last sentence's end behind `least`; else `last`."""
    starts, ends = tokens
    for at in range(last, max(least, 0), -1):
        between = text[ends[at - 1] : starts[at]]
        if "\n" in between or (text[ends[at - 1] - 1] in ".!?" and between):
            return at
    return last


def _whole(text: str, span: Span) -> Iterator[Piece]:
    start, end = _stripped(text, span)
    if start < end:
        yield Piece(start, end)


def _stripped(text: str, span: Span) -> Span:
    start, end = span
    body = text[start:end]
    start += len(body) - len(body.lstrip())
    return start, start + len(body.strip())


def _families(text: str, span: Span, wanted: Mapping[str, Any]) -> Iterator[Piece]:
    parents, children = (each["maxTokens"] for each in wanted["levelConfigurations"])
    overlap = wanted["overlapTokens"]
    for parent in windows(text, span, parents, overlap):
        for start, end in windows(text, parent, children, overlap):
            yield Piece(start, end, parent)


def _turns(text: str, span: Span, wanted: Mapping[str, Any], embed: Embed) -> Iterator[Piece]:
    """Split where one sentence is further from the next than the given share of all is."""
    stripped = (_stripped(text, m.span()) for m in _SENTENCE.finditer(text, *span))
    told = ((start, end) for start, end in stripped if start < end)
    sentences = list(islice(told, SENTENCES_MAX + 1))
    if len(sentences) > SENTENCES_MAX:
        raise Unreadable(f"It has more than {SENTENCES_MAX} sentences: too many for SEMANTIC.")
    if not sentences:
        return
    near = wanted["bufferSize"]
    around = [
        text[sentences[max(at - near, 0)][0] : sentences[min(at + near, len(sentences) - 1)][1]]
        for at in range(len(sentences))
    ]
    breaks = _breaks(embed(around), wanted["breakpointPercentileThreshold"])
    for first, last in zip([0, *breaks], [*breaks, len(sentences)], strict=True):
        run = sentences[first][0], sentences[last - 1][1]
        for start, end in windows(text, run, wanted["maxTokens"], 0):
            yield Piece(start, end)


def _breaks(vectors: "Vectors", percentile: int) -> list[int]:
    """Before which sentences the meaning turns."""
    distances = sorted(_distances(vectors))
    if not distances:
        return []
    bound = distances[min(len(distances) * percentile // 100, len(distances) - 1)]
    first = bisect_left(distances, bound)
    if first == 0 and distances[-1] == bound:  # all are alike: nothing turns
        return []
    return [at + 1 for at, each in enumerate(_distances(vectors)) if each >= bound]


def _distances(vectors: "Vectors") -> list[float]:
    found = []
    for one, other in pairwise(vectors):
        size = float((one @ one) ** 0.5 * (other @ other) ** 0.5)
        found.append(1.0 - float(one @ other) / size if size else 0.0)
    return found
