"""What a day may betray has a bound, whoever agrees to it."""

from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import pytest
from tests.transfer_kit import HIGH, LOW, Crowd, Held, gate_of, made

from bastide.kernel.clock import ManualClock
from bastide.transfer.descents import STATEMENT, Descents
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
        bytes_per_day=100_000,
    )  # fmt: skip


@pytest.fixture
def high(tmp_path):
    return gate_of(tmp_path / "high", HIGH, "S")


@pytest.fixture
def bundle(high):
    def make(size):
        return made(high, Held("a.txt", b"x" * size), to=LOW)

    return make


def seen(descents, bundle):
    for number, _ in enumerate(bundle.statement.predicate.items):
        descents.shown(bundle, str(number))
    descents.shown(bundle, STATEMENT)
    return bundle


def test_a_day_has_a_budget_and_the_next_day_another(descents, bundle, clock, crowd):
    first = descents.clear(seen(descents, bundle(40_000)))
    assert first.people == ["ann", "bob", "eve"]
    second = seen(descents, bundle(50_000))
    with pytest.raises(Refused, match=f"{first.bytes} bytes went down today"):
        descents.clear(second)
    assert len(crowd.used) == 1  # nobody's agreement was spent on it
    descents.clear(seen(descents, bundle(30_000)))
    clock.advance(DAY_S)
    descents.clear(second)


def test_what_was_cleared_is_sent_again_without_being_counted_again(descents, bundle, crowd):
    first = seen(descents, bundle(80_000))
    assert descents.clear(first) == descents.clear(first)
    assert len(crowd.used) == 1


def test_what_no_reviewer_saw_stays(descents, bundle):
    one = bundle(1)
    with pytest.raises(Refused, match="no reviewer has seen items 0"):
        descents.clear(one)
    descents.shown(one, "0")
    with pytest.raises(Refused, match="no reviewer has seen its statement"):
        descents.clear(one)
    descents.shown(one, STATEMENT)
    descents.clear(one)


def test_what_is_said_of_empty_items_is_counted(descents, high):
    """A hundred objects without a byte, each with the metadata that an object may have."""
    empty = [Held(f"{n}.txt", b"", metadata={"m": f"{n:03}" + "x" * 2000}) for n in range(100)]
    with pytest.raises(Refused, match="it would be more than 100000"):
        descents.clear(seen(descents, made(high, *empty, to=LOW)))


def test_one_person_in_two_roles_is_one(descents, bundle, crowd):
    crowd.people[:] = ["ann", "bob", "bob"]
    with pytest.raises(Refused, match="3 different people"):
        descents.clear(seen(descents, bundle(1)))
