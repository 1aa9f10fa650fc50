"""What a guardrail says of several texts, and how AWS tells it.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bastide.guardrails.judging import SPANS_MAX, Grounds, Judge, Matchers, Score, Span
from bastide.guardrails.model import Action, Rules, Source
from bastide.guardrails.ports import Detectors

Told = dict[str, Any]
UNIT = 1_000  # characters
_DONE = {Action.BLOCK: "BLOCKED", Action.ANONYMIZE: "ANONYMIZED", Action.NONE: "NONE"}
_SPANS = {  # where an assessment has them
    "customWords": "wordPolicy",
    "managedWordLists": "wordPolicy",
    "piiEntities": "sensitiveInformationPolicy",
    "regexes": "sensitiveInformationPolicy",
}
_LISTS = {
    "wordPolicy": ("customWords", "managedWordLists"),
    "sensitiveInformationPolicy": ("piiEntities", "regexes"),
}


@dataclass(frozen=True, slots=True)
class Content:
    """One text. One that is not guarded passes, and may be what an answer is held against."""

    text: str
    guarded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`texts`: what passes, one for each that was guarded; what is blocked is not among them."""

    rules: Rules
    source: Source
    blocked: bool
    masked: bool
    texts: tuple[str, ...]
    spans: tuple[Span, ...]
    scores: tuple[Score, ...]
    guarded: int
    total: int
    grounds: int = 0  # characters that it was held against

    @property
    def intervened(self) -> bool:
        return self.blocked or self.masked

    @property
    def action(self) -> str:
        return "GUARDRAIL_INTERVENED" if self.intervened else "NONE"

    @property
    def reason(self) -> str:
        if self.blocked:
            return "Guardrail blocked."
        return "Guardrail masked." if self.masked else "No action."

    @property
    def message(self) -> str:
        return self.rules.message(self.source)


def evaluate(
    matchers: Matchers,
    source: Source,
    contents: Sequence[Content],
    detectors: Detectors,
    grounds: Grounds = Grounds(),  # noqa: B008 - it is frozen
) -> Verdict:
    """Every guarded text against every rule."""
    judges, texts, left = [], [], SPANS_MAX
    for content in contents:
        if content.guarded:
            judge = Judge(matchers, source, detectors, grounds, left)
            texts.append(judge.add(content.text) + judge.end())
            left -= len(judge.spans)
            judges.append(judge)
    guarded = sum(len(one.text) for one in contents if one.guarded)
    total = sum(len(one.text) for one in contents)
    return verdict_of(matchers.rules, source, judges, tuple(texts), guarded, total)


def verdict_of(
    rules: Rules,
    source: Source,
    judges: Sequence[Judge],
    texts: tuple[str, ...],
    guarded: int,
    total: int,
) -> Verdict:
    scores: dict[Any, Score] = {}
    for judge in judges:
        for rule, score in judge.scores.items():
            held = scores.get(rule)
            if held is None or (score.detected, score.value) > (held.detected, held.value):
                scores[rule] = score
    blocked = any(judge.is_blocked for judge in judges)
    grounds = judges[0].grounds if judges else Grounds()
    return Verdict(
        rules=rules,
        source=source,
        blocked=blocked,
        masked=not blocked and any(judge.is_masked for judge in judges),
        texts=() if blocked else texts,
        spans=tuple(span for judge in judges for span in judge.spans),
        scores=tuple(scores.values()),
        guarded=guarded,
        total=total,
        grounds=len(grounds.source) + len(grounds.query) if grounds.source else 0,
    )


def usage(verdict: Verdict) -> Told:
    """Units of a thousand characters, by policy."""
    rules = verdict.rules
    units = -(-verdict.guarded // UNIT)
    grounded = verdict.source is Source.OUTPUT and bool(rules.grounding) and verdict.grounds
    return {
        "topicPolicyUnits": units if rules.topics else 0,
        "contentPolicyUnits": units if rules.filters else 0,
        "wordPolicyUnits": units if rules.words or rules.managed else 0,
        "sensitiveInformationPolicyUnits": units if rules.pii else 0,
        "sensitiveInformationPolicyFreeUnits": units if rules.regexes else 0,
        "contextualGroundingPolicyUnits": (
            -(-(verdict.guarded + verdict.grounds) // UNIT) if grounded else 0
        ),
    }


def coverage(verdict: Verdict) -> Told:
    return {"textCharacters": {"guarded": verdict.guarded, "total": verdict.total}}


def assessment(verdict: Verdict, *, full: bool) -> Told:
    """The policies that found something; `full`: and those that did not."""
    told: Told = {}
    for one in dict.fromkeys(_span(span, verdict.rules) for span in verdict.spans):
        policy, member, entry = one
        told.setdefault(policy, {name: [] for name in _LISTS[policy]})[member].append(dict(entry))
    if full:
        _add_absent_pii(told, verdict)
    for policy, member, which in (
        ("topicPolicy", "topics", "topics"),
        ("contentPolicy", "filters", "filters"),
        ("contextualGroundingPolicy", "filters", "grounding"),
    ):
        scores = [one for one in verdict.scores if one.rule.policy == which]
        shown = [_score(one) for one in scores if full or one.detected or which == "grounding"]
        if shown:
            told[policy] = {member: shown}
    return told


def _span(span: Span, rules: Rules) -> tuple[str, str, tuple[tuple[str, Any], ...]]:
    """Equal ones are told once."""
    kind, name = span.rule.policy, span.rule.name
    entry: Told = {"match": span.match}
    if kind == "regexes":
        pattern = next(one.pattern for one in rules.regexes if one.name == name)
        entry |= {"name": name, "regex": pattern}
    elif kind != "customWords":
        entry["type"] = name
    entry |= {"action": _DONE[span.action], "detected": True}
    return _SPANS[kind], kind, tuple(entry.items())


def _add_absent_pii(told: Told, verdict: Verdict) -> None:
    found = {span.rule.name for span in verdict.spans if span.rule.policy == "piiEntities"}
    absent = [
        {"match": "", "type": one.type, "action": "NONE", "detected": False}
        for one in verdict.rules.pii
        if one.sides.at(verdict.source) and one.type not in found
    ]
    if absent:
        lists = told.setdefault("sensitiveInformationPolicy", {"piiEntities": [], "regexes": []})
        lists["piiEntities"] += absent


def _score(score: Score) -> Told:
    done = _DONE[score.action] if score.detected else "NONE"
    common = {"action": done, "detected": score.detected}
    match score.rule.policy:
        case "topics":
            return {"name": score.rule.name, "type": "DENY", **common}
        case "filters":
            told = {"type": score.rule.name, "confidence": str(score.level), **common}
            return {**told, "filterStrength": str(score.strength)}
        case _:
            told = {"type": score.rule.name, "threshold": score.threshold, "score": score.value}
            return {**told, **common}
