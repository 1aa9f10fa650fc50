"""What is looser than what, and that two persons agree to it.

Of two configurations, the second is looser where anything that the first one does is not done any
more, or done to less. Whatever cannot be compared counts as looser.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from bastide.db.database import Database
from bastide.guardrails.model import (
    Action,
    Filter,
    Guardrail,
    Rules,
    Sides,
    Source,
    Strength,
    Version,
)
from bastide.guardrails.ports import Approvals
from bastide.guardrails.rules import rules_of
from bastide.kernel.approvals import Kind
from bastide.kernel.call import Call

T = TypeVar("T")
TOLD_MAX = 100
_HARDNESS: Mapping[Action | None, int] = {
    None: 0, Action.NONE: 1, Action.ANONYMIZE: 2, Action.BLOCK: 3,
}  # fmt: skip
_STRENGTHS = list(Strength)


def looser(before: Rules, after: Rules) -> list[str]:
    """What is looser, in words; nothing where nothing is."""
    return [
        *_by_name("word", _words(before), _words(after)),
        *_by_name("managed list", before.managed, after.managed),
        *_by_name("regex", _regexes(before), _regexes(after)),
        *_by_name("PII entity", _pii(before), _pii(after)),
        *_by_name("topic", _topics(before), _topics(after)),
        *_filters(before, after),
        *_grounding(before, after),
    ]


def _words(rules: Rules) -> dict[str, Sides]:
    found: dict[str, Sides] = {}
    for word in rules.words:
        held = found.get(word.text)
        found[word.text] = word.sides if held is None else _harder(held, word.sides)
    return found


def _regexes(rules: Rules) -> dict[str, Sides]:
    """By their patterns: a name is for the reader."""
    found: dict[str, Sides] = {}
    for one in rules.regexes:
        held = found.get(one.pattern)
        found[one.pattern] = one.sides if held is None else _harder(held, one.sides)
    return found


def _pii(rules: Rules) -> dict[str, Sides]:
    return {one.type: one.sides for one in rules.pii}


def _topics(rules: Rules) -> dict[str, Sides]:
    """With all that says what it is about: another definition is another topic."""
    return {f"{one.name}: {one.definition} {list(one.examples)}": one.sides for one in rules.topics}


def _by_name(noun: str, before: Mapping[str, Sides], after: Mapping[str, Sides]) -> Iterator[str]:
    for name, sides in before.items():
        yield from _sides(f"{noun} {name}", sides, after.get(name, Sides(None, None)))


def _sides(what: str, before: Sides, after: Sides) -> Iterator[str]:
    for source in Source:
        one, other = before.at(source), after.at(source)
        if _HARDNESS[other] < _HARDNESS[one]:
            yield f"{what}, {source}: {one} becomes {other or 'nothing'}"


def _harder(one: Sides, other: Sides) -> Sides:
    return Sides(
        max(one.input, other.input, key=_HARDNESS.__getitem__),
        max(one.output, other.output, key=_HARDNESS.__getitem__),
    )


def _filters(before: Rules, after: Rules) -> Iterator[str]:
    left = {one.type: one for one in after.filters}
    for one in before.filters:
        nothing = Filter(one.type, Strength.NONE, Strength.NONE, Sides(None, None))
        other = left.get(one.type, nothing)
        for source in Source:
            was, now = one.strength(source), other.strength(source)
            if was is Strength.NONE:
                continue
            if _STRENGTHS.index(now) < _STRENGTHS.index(was):
                yield f"filter {one.type}, {source}: {was} becomes {now}"
            elif _HARDNESS[other.sides.at(source)] < _HARDNESS[one.sides.at(source)]:
                done = other.sides.at(source) or "nothing"
                yield f"filter {one.type}, {source}: {one.sides.at(source)} becomes {done}"


def _grounding(before: Rules, after: Rules) -> Iterator[str]:
    left = {one.type: one for one in after.grounding}
    for one in before.grounding:
        other = left.get(one.type)
        action, threshold = (other.action, other.threshold) if other else (None, 0.0)
        if _HARDNESS[action] < _HARDNESS[one.action]:
            yield f"{one.type}: {one.action} becomes {action or 'nothing'}"
        elif one.action is not None and threshold < one.threshold:
            yield f"{one.type}: a threshold of {one.threshold} becomes {threshold}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Carries changes out; the loosening ones when two officers have signed."""

    database: Database
    approvals: Approvals
    arn: Callable[[str, str], str]

    def replace(
        self,
        call: Call,
        before: Version,
        config: Mapping[str, Any],
        work: Callable[[Any, Version], T],
    ) -> T:
        """Another draft for this one."""
        found = looser(rules_of(json.loads(before.config)), rules_of(config))
        if not found:
            return self.database.write(lambda c: work(c, before))
        whole = json.dumps(config, sort_keys=True, separators=(",", ":"))
        said = {
            "looser": [text[: TOLD_MAX * 5] for text in found[:TOLD_MAX]],
            "looser_in_all": len(found),
            "from_sha256": before.digest,
            "to_sha256": sha256(whole.encode()).hexdigest(),
        }
        action = self._action(call, before.guardrail_id, "UpdateGuardrail", said)
        return self._carried_out(call, action, lambda c: work(c, before))

    def delete(self, call: Call, one: Guardrail, number: int, work: Callable[[Any], None]) -> None:
        """A version, or all of it. What nobody published, its maker may take back."""
        if not one.made:
            self.database.write(work)
            return
        said = {"version": number or "all"}
        action = self._action(call, one.id, "DeleteGuardrail", said)
        self._carried_out(call, action, work)

    def _action(self, call: Call, id_: str, deed: str, said: Mapping[str, Any]) -> dict[str, Any]:
        named = {"action": f"bedrock:{deed}", "account": call.account}
        label = call.principal.session.text
        return {**named, "guardrail": self.arn(call.account, id_), "label": label, **said}

    def _carried_out(self, call: Call, action: Mapping[str, Any], effect: Callable[[Any], T]) -> T:
        return self.approvals.carry_out(
            Kind.GUARDRAIL_LOOSENING, action, call.principal.arn, effect
        )
