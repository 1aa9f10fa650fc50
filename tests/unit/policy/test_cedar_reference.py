"""Cedar with the shipped policies beside the rules in plain Python: random decisions, no mismatch.
A failure prints its seed."""

import random
from collections import Counter

import pytest
from tests.cedar_kit import Oracle, Worlds, engine


def compared(seed, count):
    """How often each policy decided; fails where the two do not agree."""
    worlds, asked, decided = Worlds(random.Random(seed)), engine(), Counter()
    for number in range(count):
        question = worlds.question()
        verdict = asked.decide_anew(question)
        assert not verdict.errors, verdict.errors
        wanted = worlds.oracle.allows(question)
        assert verdict.allowed == wanted, f"seed {seed}, number {number}: {question} {verdict}"
        decided.update(verdict.policies)
        decided[("allowed", question.mode)] += verdict.allowed
    return decided


def every_rule_decided(decided):
    names = {*engine().slices.shipped.names}
    assert names <= decided.keys(), "a rule that no random question meets is not tested"


def test_5000_random_decisions():
    decided = compared(20, 5_000)
    every_rule_decided(decided)
    assert sum(n for key, n in decided.items() if key[0] == "allowed") > 250


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_200000_random_decisions(seed):
    every_rule_decided(compared(seed, 20_000))


def test_the_oracle_is_told_apart():
    """A rule that is left out of the oracle is a mismatch within the 5,000."""

    class Lax(Oracle):
        def _is_its_own(self, who, what, mode):
            return True

    worlds, asked = Worlds(random.Random(20), Lax()), engine()
    questions = (worlds.question() for _ in range(5_000))
    assert any(asked.decide_anew(each).allowed != worlds.oracle.allows(each) for each in questions)
