"""What a day may betray has a bound, whoever agrees to it."""

from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import pytest
from tests.transfer_kit import HIGH, LOW, Crowd, Held, gate_of, made

from bastide.kernel.clock import ManualClock
from bastide.transfer.descents import Descents
from bastide.transfer.filters.model import Seen
from bastide.transfer.gate import agreed
from bastide.transfer.model import Refused

SEEN = Seen(table="0" * 64, data="1" * 64)
DAY_S = 24 * 3600


@dataclass
class PassingLine:
    """A line that everything passed as it was."""

    def passed(self, bundle):
        return SimpleNamespace(first=SEEN, told=SimpleNamespace(emitted=SEEN), chain=bundle.digest)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def crowd():
    return Crowd(people=["ann", "bob", "eve"])


@pytest.fixture
def descents(tmp_path, clock, crowd):
    return Descents(
        folder=tmp_path / "down", line=PassingLine(), clock=clock, agree=partial(agreed, crowd),
        bytes_per_day=10,
    )  # fmt: skip


@pytest.fixture
def bundle(tmp_path):
    high = gate_of(tmp_path / "high", HIGH, "S")

    def make(size):
        return made(high, Held("a.txt", b"x" * size), to=LOW)

    return make


def seen(descents, bundle):
    descents.shown(bundle, 0)
    return bundle


def test_a_day_has_a_budget_and_the_next_day_another(descents, bundle, clock, crowd):
    assert descents.clear(seen(descents, bundle(6))).people == ["ann", "bob", "eve"]
    second = seen(descents, bundle(5))
    with pytest.raises(Refused, match="6 bytes went down today"):
        descents.clear(second)
    assert len(crowd.used) == 1  # nobody's agreement was spent on it
    descents.clear(seen(descents, bundle(4)))
    clock.advance(DAY_S)
    descents.clear(second)


def test_what_was_cleared_is_sent_again_without_being_counted_again(descents, bundle, crowd):
    first = seen(descents, bundle(10))
    assert descents.clear(first) == descents.clear(first)
    assert len(crowd.used) == 1


def test_what_no_reviewer_saw_stays(descents, bundle):
    with pytest.raises(Refused, match="no reviewer has seen items 0"):
        descents.clear(bundle(1))


def test_one_person_in_two_roles_is_one(descents, bundle, crowd):
    crowd.people[:] = ["ann", "bob", "bob"]
    with pytest.raises(Refused, match="3 different people"):
        descents.clear(seen(descents, bundle(1)))
