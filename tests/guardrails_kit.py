"""Guardrails for tests: rules in a line, and detectors that find what the text says they should."""

import re
from dataclasses import dataclass, field

from bastide.guardrails.grey_zone import GreyZone
from bastide.guardrails.judging import Judge, Matchers
from bastide.guardrails.model import Action, Regex, Rules, Sides, Source, Word
from bastide.guardrails.verdicts import Content, evaluate
from bastide.kernel.errors import Unavailable

MESSAGES = {"blocked_input": "No question.", "blocked_output": "No answer."}


@dataclass(frozen=True)
class Found:
    start: int
    end: int
    kind: str
    confidence: float = 1.0


@dataclass
class FakeDetectors:
    """`Ada Lovelace` is a NAME, an address with @ an EMAIL; `hate0.7` scores HATE by 0.7,
    `attack0.9` an attack; a topic is met where its name stands. `down`: what does not answer.
    `zone`: where a score near the line is not the last word."""

    down: set = field(default_factory=set)
    asked: list = field(default_factory=list)
    zone: GreyZone | None = None

    def of(self, who):
        return self

    def find_pii(self, text, kinds):
        self._ask("pii", text)
        found = [Found(*m.span(), "NAME") for m in re.finditer(r"Ada\s+Lovelace", text)]
        found += [Found(*m.span(), "EMAIL") for m in re.finditer(r"[\w.]+@[\w.]+\w", text)]
        return [one for one in sorted(found, key=lambda f: f.start) if one.kind in kinds]

    def content_scores(self, text):
        self._ask("content", text)
        names = ("HATE", "INSULTS", "SEXUAL", "VIOLENCE", "MISCONDUCT")
        return {name: _score(name.lower(), text) for name in names}

    def prompt_attack_score(self, text):
        self._ask("attack", text)
        return _score("attack", text)

    def settled(self, kind, score, line, text):
        return self.zone.settled(kind, score, line, text) if self.zone else score

    def is_about(self, topic, text):
        self._ask("topic", text)
        return float(topic.name.lower() in text.lower())

    def grounding(self, source, query, answer):
        self._ask("grounding", answer)
        return float(answer.strip() in source), float(any(w in answer for w in query.split()))

    def _ask(self, name, text):
        self.asked.append((name, text))
        if name in self.down:
            raise Unavailable(f"{name} is down")


def _score(name, text):
    return max((float(m) for m in re.findall(rf"\b{name}(\d\.\d+)", text)), default=0.0)


def both(action="BLOCK"):
    return Sides(Action(action), Action(action))


def rules(words=(), regexes=(), **more):
    """`regexes`: (pattern, action)."""
    return Rules(
        words=tuple(Word(text, both()) for text in words),
        regexes=tuple(Regex(f"r{n}", p, both(a)) for n, (p, a) in enumerate(regexes)),
        **{**MESSAGES, **more},
    )


def judged(said, *texts, source="INPUT", detectors=None, **more):
    contents = [text if isinstance(text, Content) else Content(text) for text in texts]
    return evaluate(
        Matchers.of(said), Source(source), contents, detectors or FakeDetectors(), **more
    )


def in_parts(said, parts, source="OUTPUT", detectors=None):
    """A judge that heard the parts, and what it let go."""
    judge = Judge(Matchers.of(said), Source(source), detectors or FakeDetectors())
    out = [judge.add(part) for part in parts]
    return judge, "".join([*out, judge.end()])
