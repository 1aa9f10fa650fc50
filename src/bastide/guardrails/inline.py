"""A guardrail inline, in a conversation with a model: `inference.ports.Guards`.

In AWS's words the input has one assessment and each text of the output has one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bastide.guardrails.applying import assessed, check_size
from bastide.guardrails.judging import Grounds, Judge
from bastide.guardrails.model import Action, Source
from bastide.guardrails.ports import Detectors
from bastide.guardrails.shelf import Applied, Shelf
from bastide.guardrails.verdicts import Content, Verdict, evaluate, verdict_of
from bastide.inference.ports import Said
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    shelf: Shelf
    detectors: Detectors
    clock: Clock

    def guard(self, call: Call, config: Mapping[str, Any]) -> "Guard":
        identifier, version = config["guardrailIdentifier"], config["guardrailVersion"]
        applied = self.shelf.applied(call.principal, identifier, version)
        return Guard(call, applied, self.detectors.of(call.principal), self.clock)


@dataclass(slots=True)
class Guard:
    call: Call
    applied: Applied
    detectors: Detectors
    clock: Clock
    grounds: Grounds = field(default_factory=Grounds)
    before: Verdict | None = None  # of the input
    before_ms: int = 0
    judges: list["OutputJudge"] = field(default_factory=list)

    @property
    def message_in(self) -> str:
        return self.applied.matchers.rules.blocked_input

    @property
    def message_out(self) -> str:
        return self.applied.matchers.rules.blocked_output

    @property
    def settles_late(self) -> bool:
        return bool(self.applied.matchers.rules.grounding and self.grounds.source)

    @property
    def hides(self) -> bool:
        rules = self.applied.matchers.rules
        sides = [*(one.sides for one in rules.regexes), *(one.sides for one in rules.pii)]
        return any(one.at(Source.OUTPUT) is Action.ANONYMIZE for one in sides)

    def judge_input(self, said: Said) -> Sequence[str] | None:
        self.call.notes.audit["guardrail"] = f"{self.applied.id}:{self.applied.version}"
        check_size(said.texts)
        began = self.clock.monotonic_s()
        self.grounds = Grounds("\n".join(said.sources), "\n".join(said.queries))
        contents = [Content(text) for text in said.texts]
        self.before = evaluate(self.applied.matchers, Source.INPUT, contents, self.detectors)
        self.before_ms = int((self.clock.monotonic_s() - began) * 1000)
        self._note(self.before.reason)
        return None if self.before.blocked else self.before.texts

    def judge(self) -> "OutputJudge":
        made = OutputJudge(
            Judge(self.applied.matchers, Source.OUTPUT, self.detectors, self.grounds), self.clock
        )
        self.judges.append(made)
        return made

    def intervened(self) -> bool:
        return any(each.verdict().intervened for each in self.judges)

    def close(self) -> None:
        for each in self.judges:
            if each.verdict().intervened:
                self._note(each.verdict().reason)

    def trace(self, *, full: bool) -> dict[str, Any]:
        found: dict[str, Any] = {}
        key, before = self.applied.id, self.before
        if before is not None:
            told = assessed(self.applied, before, self.before_ms, full=full)
            found["inputAssessment"] = {key: told}
        outputs = [
            assessed(self.applied, one.verdict(), one.took_ms, full=full) for one in self.judges
        ]
        if outputs:
            found["outputAssessments"] = {key: outputs}
        verdicts = [*([before] if before else []), *(one.verdict() for one in self.judges)]
        if reasons := [one.reason for one in verdicts if one.intervened]:
            found["actionReason"] = reasons[-1]
        return found

    def _note(self, reason: str) -> None:
        """What it did, in the call's record; never to what. The last word stands."""
        self.call.notes.audit["guardrail_action"] = reason


@dataclass(slots=True)
class OutputJudge:
    """One text of an answer."""

    judge: Judge
    clock: Clock
    heard: int = 0
    took_ms: int = 0

    def add(self, part: str) -> str:
        began = self.clock.monotonic_s()
        self.heard += len(part)
        passed = self.judge.add(part)
        self.took_ms += int((self.clock.monotonic_s() - began) * 1000)
        return passed

    def end(self) -> str:
        began = self.clock.monotonic_s()
        passed = self.judge.end()
        self.took_ms += int((self.clock.monotonic_s() - began) * 1000)
        return passed

    @property
    def is_blocked(self) -> bool:
        return self.judge.is_blocked

    def verdict(self) -> Verdict:
        rules = self.judge.matchers.rules
        return verdict_of(rules, Source.OUTPUT, [self.judge], (), self.heard, self.heard)
