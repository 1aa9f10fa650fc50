"""Asks Cedar. One function says what an answer means: yes only where nothing failed.

Cedar skips a policy whose evaluation fails, a forbid too: an answer "Allow" with errors is a no.
"""

import itertools
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import partial

from cedarpy import AuthzResult, Entities, Schema, is_authorized

from bastide.kernel.labels.label import Label
from bastide.policy.cedar import facts
from bastide.policy.cedar.slices import Slice, Slices
from bastide.policy.kept import Kept
from bastide.policy.questions import TWO_PERSON, Question, Subject, Verdict

KEPT_MAX = 65_536
LABELS_MAX = 4_096
PEOPLE_MAX = 4_096
_Known = tuple[frozenset[Label], tuple[Subject, ...]]


def allowed(result: AuthzResult) -> bool:
    """The only reading of an answer."""
    return bool(result.allowed) and not result.diagnostics.errors


@dataclass(frozen=True, slots=True)
class CedarEngine:
    """Implements policy's MandatoryEngine. The agency of the caller and that of the resource must
    both allow: who shares a resource still narrows who may read it."""

    slices: Slices
    _kept: Kept[Hashable, Verdict] = field(default_factory=partial(Kept, KEPT_MAX))
    _labels: Kept[frozenset[Label], Entities] = field(default_factory=partial(Kept, LABELS_MAX))
    _people: Kept[_Known, Entities] = field(default_factory=partial(Kept, PEOPLE_MAX))

    def decide(self, question: Question) -> Verdict:
        """As `decide_anew`, from memory where the same was asked of the same label before."""
        slices = tuple(self.slices_of(question))
        key = kept_by(question, slices)
        if key is None:
            return self.decided(question, slices)
        return self._kept.get(key) or self._kept.keep(key, self.decided(question, slices))

    def decide_anew(self, question: Question) -> Verdict:
        return self.decided(question, tuple(self.slices_of(question)))

    def by_class(self, question: Question) -> bool:
        """Whether no policy looks at which resource of its kind and label it is, nor at the time:
        all of them are decided alike."""
        slices = tuple(self.slices_of(question))
        return may_be_kept(question, slices) and not any(s.asks_arn for s in slices)

    def forget(self, account: str) -> None:
        """The agency's policies have changed."""
        self.slices.forget(account)

    def slices_of(self, question: Question) -> Iterator[Slice]:
        yield self.slices.of(question.subject.account)
        if question.target.account != question.subject.account:
            yield self.slices.of(question.target.account)

    def decided(self, question: Question, slices: tuple[Slice, ...]) -> Verdict:
        """What these policies say, which need not be stored."""
        try:
            entities = self._entities(question, slices[0].schema)
        except ValueError as error:  # a fact of the wrong type: no policy was asked
            return Verdict(False, errors=(str(error),))
        request = facts.request(question)
        verdicts = [_asked(request, entities, each) for each in slices]
        refusals = (each for each in verdicts if not each.allowed)
        reasons = itertools.chain.from_iterable(each.policies for each in verdicts)
        return next(refusals, Verdict(True, tuple(dict.fromkeys(reasons))))

    def _entities(self, question: Question, schema: Schema) -> Entities:
        """The few entities of one question. Labels and people come again, and are read once."""
        known = facts.labels_in(question), facts.people_in(question)
        people = self._people.get(known) or self._people.keep(known, self._read(known, schema))
        return people.with_added_json_str(facts.thing(question), schema)

    def _read(self, known: _Known, schema: Schema) -> Entities:
        named, people = known
        labels = self._labels.get(named)
        if labels is None:
            labels = self._labels.keep(named, Entities.from_json_str(facts.labels(named), schema))
        return labels.with_added_json_str(facts.people(people), schema)


def may_be_kept(question: Question, slices: tuple[Slice, ...]) -> bool:
    """Whether one person asks, for whom no policy of these slices looks at the time."""
    if question.mode in TWO_PERSON or question.digest is not None:
        return False
    if question.approval or question.second or question.requester:
        return False
    return not any(each.asks_time for each in slices)


def kept_by(question: Question, slices: tuple[Slice, ...]) -> Hashable | None:
    """What a decision may be kept by: every fact that a policy of these slices can read, so that
    two questions of one key have one answer. None: it may not be kept."""
    if not may_be_kept(question, slices):
        return None
    target = question.target
    return (
        tuple(each.version for each in slices),
        question.subject,
        question.mode,
        target.account,
        target.kind,
        target.label,
        target.shared_with,
        target.delivered,
        question.ceiling,
        target.arn if any(each.asks_arn for each in slices) else None,
        question.operation if any(each.asks_operation for each in slices) else None,
        question.guardrail if any(each.asks_guardrail for each in slices) else None,
    )


def _asked(request: facts.Json, entities: Entities, slice_: Slice) -> Verdict:
    result = is_authorized(request, slice_.policies, entities, slice_.schema)
    found = result.diagnostics
    names = sorted(slice_.names[each] for each in found.reasons)
    return Verdict(allowed(result), tuple(names), tuple(map(str, found.errors)))
