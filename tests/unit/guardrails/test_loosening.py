"""What is looser than what: everything that stops less, and nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guardrails_kit import both, rules

from bastide.guardrails.loosening import looser
from bastide.guardrails.model import (
    Action,
    Filter,
    Grounding,
    Pii,
    Regex,
    Rules,
    Sides,
    Source,
    Strength,
    Topic,
    Word,
)

_SOURCES = list(Source)
ACTIONS = st.sampled_from([None, *Action])
SIDES = st.builds(Sides, ACTIONS, ACTIONS)
STRENGTHS = st.sampled_from(list(Strength))


def some(made, key):
    return st.lists(made, max_size=3, unique_by=key).map(tuple)


RULES = st.builds(
    Rules,
    blocked_input=st.just("No."),
    blocked_output=st.sampled_from(["No.", "Never."]),
    words=some(st.builds(Word, st.sampled_from("ab"), SIDES), lambda one: one.text),
    managed=st.one_of(st.just({}), SIDES.map(lambda sides: {"PROFANITY": sides})),
    regexes=some(
        st.builds(Regex, st.sampled_from("xy"), st.sampled_from(["a+", "b+"]), SIDES),
        lambda one: one.name,
    ),
    pii=some(st.builds(Pii, st.sampled_from(["NAME", "EMAIL"]), SIDES), lambda one: one.type),
    filters=some(
        st.builds(Filter, st.sampled_from(["HATE", "SEXUAL"]), STRENGTHS, STRENGTHS, SIDES),
        lambda one: one.type,
    ),
    topics=some(
        st.builds(Topic, st.just("t"), st.sampled_from(["d", "e"]), st.just(()), SIDES),
        lambda one: one.name,
    ),
    grounding=some(
        st.builds(
            Grounding,
            st.just("GROUNDING"),
            st.sampled_from([0.0, 0.5, 0.9]),
            st.sampled_from([None, Action.NONE, Action.BLOCK]),
        ),
        lambda one: one.type,
    ),
)


@given(RULES)
def test_nothing_is_looser_than_itself(one):
    assert looser(one, one) == []


@given(RULES, RULES, RULES)
def test_what_is_stricter_than_the_stricter_is(one, other, third):
    if not looser(one, other) and not looser(other, third):
        assert looser(one, third) == []


@given(RULES)
def test_to_take_everything_away_is_looser_unless_nothing_was_done(one):
    nothing = Rules(blocked_input="No.", blocked_output="No.")
    assert looser(nothing, one) == []
    sides = [each.sides for each in (*one.words, *one.regexes, *one.pii, *one.topics)] + list(
        one.managed.values()
    )
    filtered = [
        each.sides.at(source)
        for each in one.filters
        for source in _SOURCES
        if each.strength(source) is not Strength.NONE
    ]
    done = [side for each in sides for side in (each.input, each.output)]
    done += [*filtered, *(each.action for each in one.grounding)]
    strong = any(
        each.strength(source) is not Strength.NONE for each in one.filters for source in _SOURCES
    )
    assert bool(looser(one, nothing)) == (any(side is not None for side in done) or strong)


@given(RULES, st.data())
def test_to_lower_one_thing_is_looser(one, data):
    """Whichever entry goes, or does less."""
    entries = [
        (name, at)
        for name in ("words", "regexes", "pii", "topics")
        for at, each in enumerate(getattr(one, name))
        if each.sides.input is Action.BLOCK
    ]
    if not entries:
        return
    name, at = data.draw(st.sampled_from(entries))
    listed = list(getattr(one, name))
    if name == "regexes" and sum(each.pattern == listed[at].pattern for each in listed) > 1:
        return  # the other one says the same
    less = data.draw(st.sampled_from([Action.ANONYMIZE, Action.NONE, None]))
    lowered = replace(listed[at], sides=replace(listed[at].sides, input=less))
    for after in ([*listed[:at], lowered, *listed[at + 1 :]], [*listed[:at], *listed[at + 1 :]]):
        assert looser(one, replace(one, **{name: tuple(after)}))


@pytest.mark.parametrize(
    ("before", "after", "is_looser"),
    [
        (Strength.HIGH, Strength.MEDIUM, True),
        (Strength.LOW, Strength.HIGH, False),
        (Strength.NONE, Strength.LOW, False),
        (Strength.LOW, Strength.NONE, True),
    ],
)
def test_strengths(before, after, is_looser):
    def said(strength):
        return rules(filters=(Filter("HATE", strength, Strength.NONE, both()),))

    assert bool(looser(said(before), said(after))) is is_looser


def test_what_cannot_be_compared_is_looser():
    def topic(text, *examples):
        return rules(topics=(Topic("t", text, examples, both()),))

    assert looser(topic("Bets."), topic("Bets on horses."))
    assert looser(topic("Bets.", "a bet"), topic("Bets."))
    assert looser(rules(regexes=[("a+", "BLOCK")]), rules(regexes=[("a*", "BLOCK")]))


def test_a_lower_threshold_is_looser():
    def said(threshold, action=Action.BLOCK):
        return rules(grounding=(Grounding("GROUNDING", threshold, action),))

    assert looser(said(0.8), said(0.7))
    assert not looser(said(0.7), said(0.8))
    assert looser(said(0.7), said(0.9, Action.NONE))


def test_it_is_said_in_words():
    before = rules(words=["secret"], regexes=[("a+", "BLOCK")])
    after = rules(regexes=[("a+", "ANONYMIZE")])
    assert looser(before, after) == [
        "word secret, INPUT: BLOCK becomes nothing",
        "word secret, OUTPUT: BLOCK becomes nothing",
        "regex a+, INPUT: BLOCK becomes ANONYMIZE",
        "regex a+, OUTPUT: BLOCK becomes ANONYMIZE",
    ]
