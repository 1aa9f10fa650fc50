"""One text against the rules of a guardrail, as it arrives; pure but for the detectors it asks.

There is one way to judge: by windows (`windows.py`). A whole text is a stream of one part, so that
what is found, what is hidden and what is stopped does not depend on how the text came.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bastide.guardrails import regexes
from bastide.guardrails.folding import paired, seen
from bastide.guardrails.managed_words import LISTS
from bastide.guardrails.model import Action, Rules, Sides, Source, Strength
from bastide.guardrails.ports import Detectors
from bastide.guardrails.windows import Window, Windows
from bastide.guardrails.words import WordFinder

PROMPT_ATTACK = "PROMPT_ATTACK"
# How sure a score is: LOW from the first figure on, and so on.
LEVELS = ((0.8, Strength.HIGH), (0.5, Strength.MEDIUM), (0.3, Strength.LOW))
ABOUT = 0.5  # a text is about a topic from here on
_STOPPED_BY = {  # the confidences that a filter of each strength stops
    Strength.NONE: frozenset[Strength](),
    Strength.LOW: frozenset({Strength.HIGH}),
    Strength.MEDIUM: frozenset({Strength.HIGH, Strength.MEDIUM}),
    Strength.HIGH: frozenset({Strength.HIGH, Strength.MEDIUM, Strength.LOW}),
}
# The least score that a filter of each strength stops.
LINES = {
    strength: min(least for least, level in LEVELS if level in stopped)
    for strength, stopped in _STOPPED_BY.items()
    if stopped
}


@dataclass(frozen=True, slots=True)
class Matchers:
    """The rules of one version, ready to be asked. Made once."""

    rules: Rules
    words: WordFinder
    managed: dict[str, WordFinder]

    @classmethod
    def of(cls, rules: Rules) -> "Matchers":
        managed = {name: WordFinder(LISTS[name]) for name in rules.managed}
        return cls(rules, WordFinder(word.text for word in rules.words), managed)


@dataclass(frozen=True, slots=True)
class Rule:
    """Which one it was: `policy` is the list of an assessment that it belongs to."""

    policy: str
    name: str


Place = tuple[Rule, int, int, Action]
SPANS_MAX = 1_000  # that are told of one judgement; what is stopped and hidden has no such bound


@dataclass(frozen=True, slots=True)
class Span:
    """What was found at a place."""

    rule: Rule
    start: int
    end: int
    action: Action
    match: str


@dataclass(frozen=True, slots=True)
class Score:
    """What was found of a whole text, or how far it was not. `level` is for filters, `value` and
    `threshold` for grounding."""

    rule: Rule
    action: Action
    detected: bool
    level: Strength = Strength.NONE
    strength: Strength = Strength.NONE
    value: float = 0.0
    threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class Grounds:
    """What an answer is held against."""

    source: str = ""
    query: str = ""


class _Before:
    """What the last window said of the place that this one begins with. One look tells, however
    much it was: a pattern may match every letter."""

    def __init__(self, spans: list[Span], start: int) -> None:
        self.spans = {one for one in spans if one.end > start}
        self._ends: dict[Rule, int] = {}
        for one in self.spans:
            self._ends[one.rule] = max(one.end, self._ends.get(one.rule, 0))

    def reaches(self, span: Span) -> bool:
        return self._ends.get(span.rule, 0) > span.start


@dataclass(slots=True)
class Judge:
    """`spans` (the first `spans_max`) and `scores` are what was found so far."""

    matchers: Matchers
    source: Source
    detectors: Detectors
    grounds: Grounds = Grounds()
    spans_max: int = SPANS_MAX
    spans: list[Span] = field(default_factory=list)
    scores: dict[Rule, Score] = field(default_factory=dict)
    is_blocked: bool = False
    is_masked: bool = False
    _windows: Windows = field(default_factory=Windows)
    _near: list[Span] = field(default_factory=list)  # those of the last window
    _hidden: list[Span] = field(default_factory=list)  # what is to be hidden and was not let go
    _held: str = ""  # what was not let go yet
    _gone: int = 0  # how much was
    _judged_to: int = 0  # the end of the last window
    _read: list[str] = field(default_factory=list)

    def add(self, part: str) -> str:
        """What may be let go with this part, with what is to be hidden hidden."""
        self._held += part
        self._read.append(part)
        return "".join(self._judged(window) for window in self._windows.add(part))

    def end(self) -> str:
        """The rest."""
        rest = self._judged(self._windows.end())
        if self.matchers.rules.grounding and self.source is Source.OUTPUT and self.grounds.source:
            self._ground(paired("".join(self._read)))
        return rest

    def _judged(self, window: Window) -> str:
        before, self._near = _Before(self._near, window.start), []
        for span in self._found(window):
            self._keep(span, window, before)
        self._judged_to = window.end
        if window.text.strip():
            for score in self._scored(paired(window.text)):
                held = self.scores.get(score.rule)
                self._score(score if held is None else _worse(held, score))
        return "" if self.is_blocked else self._let_go(window.settled)

    def _keep(self, span: Span, window: Window, before: "_Before") -> None:
        """What touches an end of a window is the other window's to say, but where it is longer
        than they overlap: then it goes on. `before`: what the last window said of this place."""
        if not window.is_last and span.end == window.end and span.start > window.settled:
            return  # one that begins right at it is dropped there: nobody says what stood before
        is_cut = span.start == window.start and span.end <= self._judged_to
        if is_cut and not before.reaches(span):
            return
        if span not in before.spans:
            if len(self.spans) < self.spans_max:
                self.spans.append(span)
            if span.action is Action.ANONYMIZE:
                self._hidden.append(span)
        self._near.append(span)
        self.is_blocked |= span.action is Action.BLOCK
        self.is_masked |= span.action is Action.ANONYMIZE

    def _score(self, score: Score) -> None:
        self.scores[score.rule] = score
        self.is_blocked |= score.detected and score.action is Action.BLOCK

    def _let_go(self, settled: int) -> str:
        """Up to `settled`, but not a part of what is to be hidden."""
        for one in sorted(self._hidden, key=lambda one: one.start, reverse=True):
            if one.start < settled < one.end:
                settled = one.start
        if settled <= self._gone:
            return ""
        here = [one for one in self._hidden if one.start < settled]
        self._hidden = [one for one in self._hidden if one.start >= settled]
        text, start = self._held[: settled - self._gone], self._gone
        self._held, self._gone = self._held[settled - self._gone :], settled
        return masked(text, start, sorted(here, key=lambda one: (one.start, -one.end)))

    def _found(self, window: Window) -> Iterator[Span]:
        """Everything with a place, in the words of the whole text."""
        for rule, start, end, action in (*self._words(window.text), *self._sensitive(window.text)):
            match = window.text[start:end]
            yield Span(rule, window.start + start, window.start + end, action, match)

    def _words(self, text: str) -> Iterator[Place]:
        rules = self.matchers.rules
        for hit in self.matchers.words.find(text):
            word = rules.words[hit.word]
            if action := self._action(word.sides):
                yield Rule("customWords", word.text), hit.start, hit.end, action
        for name, finder in self.matchers.managed.items():
            if action := self._action(rules.managed[name]):
                for hit in finder.find(text):
                    yield Rule("managedWordLists", name), hit.start, hit.end, action

    def _sensitive(self, text: str) -> Iterator[Place]:
        """In what a reader sees; a pattern may also ask for what none sees."""
        rules, shown = self.matchers.rules, seen(text)
        for regex in rules.regexes:
            if action := self._action(regex.sides):
                places = {
                    shown.span(*found): None for found in regexes.find(regex.pattern, shown.text)
                }
                if shown.text != text:
                    places |= dict.fromkeys(regexes.find(regex.pattern, text))
                for start, end in places:
                    yield Rule("regexes", regex.name), start, end, action
        wanted = {one.type: action for one in rules.pii if (action := self._action(one.sides))}
        if wanted and shown.text.strip():
            for found in self.detectors.find_pii(shown.text, wanted.keys()):
                if (kind := found.kind) in wanted:
                    yield (
                        Rule("piiEntities", kind),
                        *shown.span(found.start, found.end),
                        wanted[kind],
                    )

    def _scored(self, text: str) -> Iterator[Score]:
        yield from self._contents(text)
        for topic in self.matchers.rules.topics:
            if action := self._action(topic.sides):
                value = self.detectors.is_about(topic, text)
                yield Score(Rule("topics", topic.name), action, value >= ABOUT, value=value)

    def _contents(self, text: str) -> Iterator[Score]:
        asked = [one for one in self.matchers.rules.filters if self._action(one.sides)]
        asked = [one for one in asked if one.strength(self.source) is not Strength.NONE]
        if not asked:
            return
        values: dict[str, float] = {}
        if any(one.type != PROMPT_ATTACK for one in asked):
            values |= self.detectors.content_scores(text)
        if any(one.type == PROMPT_ATTACK for one in asked):
            values[PROMPT_ATTACK] = self.detectors.prompt_attack_score(text)
        for one in asked:
            action, strength = self._action(one.sides), one.strength(self.source)
            assert action is not None
            value = values[one.type]  # a detector that leaves one out has not judged it
            held = self.scores.get(Rule("filters", one.type))
            if held is None or not held.detected:  # else nothing is left to be settled
                value = self.detectors.settled(one.type, value, LINES[strength], text)
            level = level_of(value)
            yield Score(
                Rule("filters", one.type), action, level in _STOPPED_BY[strength], level, strength,
                value,
            )  # fmt: skip

    def _ground(self, answer: str) -> None:
        grounds = self.grounds
        values = self.detectors.grounding(grounds.source, grounds.query, answer)
        by_type = dict(zip(("GROUNDING", "RELEVANCE"), values, strict=True))
        for one in self.matchers.rules.grounding:
            if one.action is None or (one.type == "RELEVANCE" and not grounds.query):
                continue
            value = by_type[one.type]
            rule, found = Rule("grounding", one.type), value < one.threshold
            self._score(Score(rule, one.action, found, value=value, threshold=one.threshold))

    def _action(self, sides: Sides) -> Action | None:
        return sides.at(self.source)


def level_of(value: float) -> Strength:
    return next((level for least, level in LEVELS if value >= least), Strength.NONE)


def masked(text: str, start: int, spans: list[Span]) -> str:
    """`text`, which stands at `start`, with a name for what the spans cover: where they overlap,
    they are one, with the first one's."""
    out, done = [], start
    for span in spans:
        if span.start >= done:
            out += [text[done - start : span.start - start], f"{{{span.rule.name}}}"]
        done = max(done, span.end)
    return "".join([*out, text[done - start :]])


def _worse(one: Score, other: Score) -> Score:
    return other if (other.detected, other.value) > (one.detected, one.value) else one
