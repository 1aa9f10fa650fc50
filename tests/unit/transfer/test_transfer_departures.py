"""What a day may betray has a bound, whoever agrees to it."""

from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import pytest
from tests.transfer_kit import HIGH, LOW, Crowd, Held, gate_of, made

from bastide.app.transfer import _asked as asked
from bastide.kernel.clock import ManualClock
from bastide.policy.two_persons import roles_for
from bastide.transfer.departures import STATEMENT, Departures
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
def departures(tmp_path, clock, crowd):
    return Departures(
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


def down(departures, bundle, way="spool /one"):
    return departures.clear(bundle, way, is_down=True)


def seen(departures, bundle):
    for number, _ in enumerate(bundle.statement.predicate.items):
        departures.shown(bundle, str(number))
    departures.shown(bundle, STATEMENT)
    return bundle


def test_a_day_has_a_budget_and_the_next_day_another(departures, bundle, clock, crowd):
    first = down(departures, seen(departures, bundle(40_000)))
    assert first.people == ["ann", "bob", "eve"]
    second = seen(departures, bundle(50_000))
    with pytest.raises(Refused, match=f"{first.bytes} bytes went down today"):
        down(departures, second)
    assert len(crowd.used) == 1  # nobody's agreement was spent on it
    down(departures, seen(departures, bundle(30_000)))
    clock.advance(DAY_S)
    down(departures, second)


def test_what_was_cleared_is_sent_again_without_being_counted_again(departures, bundle, crowd):
    first = seen(departures, bundle(80_000))
    assert down(departures, first) == down(departures, first)
    assert len(crowd.used) == 1


def test_what_no_reviewer_saw_stays(departures, bundle):
    one = bundle(1)
    with pytest.raises(Refused, match="no reviewer has seen items 0"):
        down(departures, one)
    departures.shown(one, "0")
    with pytest.raises(Refused, match="no reviewer has seen its statement"):
        down(departures, one)
    departures.shown(one, STATEMENT)
    down(departures, one)


def test_what_is_said_of_empty_items_is_counted(departures, high):
    """A hundred objects without a byte, each with the metadata that an object may have."""
    empty = [Held(f"{n}.txt", b"", metadata={"m": f"{n:03}" + "x" * 2000}) for n in range(100)]
    with pytest.raises(Refused, match="it would be more than 100000"):
        down(departures, seen(departures, made(high, *empty, to=LOW)))


def test_one_person_in_two_roles_is_one(departures, bundle, crowd):
    crowd.people[:] = ["ann", "bob", "bob"]
    with pytest.raises(Refused, match="3 different people"):
        down(departures, seen(departures, bundle(1)))


def test_what_goes_up_is_released_by_two_for_one_way(departures, bundle, crowd):
    one = bundle(1)
    crowd.people[:] = ["ann"]
    with pytest.raises(Refused, match="2 people must approve it"):
        departures.clear(one, "spool /one", is_down=False)
    crowd.people[:] = ["ann", "bob"]
    cleared = departures.clear(one, "spool /one", is_down=False)
    assert cleared.people == ["ann", "bob"]
    assert crowd.used[0].facts["way"] == "spool /one"
    assert crowd.used[0].facts["direction"] == "up"
    assert crowd.used[0].facts["bundle"] == one.digest
    crowd.people.clear()
    assert departures.clear(one, "spool /one", is_down=False) == cleared
    for way, is_down in (("spool /home/me", False), ("udp 10.0.0.9:7000", False)):
        with pytest.raises(Refused, match="must approve"):
            departures.clear(one, way, is_down=is_down)
    with pytest.raises(Refused, match="no reviewer has seen"):
        down(departures, one)  # where the receiving region's ceiling was lowered meanwhile


def test_what_went_down_one_way_goes_no_other_alone(departures, bundle, crowd):
    one = seen(departures, bundle(1))
    down(departures, one)
    crowd.people.clear()
    with pytest.raises(Refused, match="3 people must approve"):
        down(departures, one, "spool /home/me")


@pytest.mark.parametrize(("is_down", "name", "roles"), [
    (False, "SendTransferUp", 2), (True, "SendTransferDown", 3),
])  # fmt: skip
def test_officers_are_told_the_way_and_as_many_sign_as_it_takes(
    departures, bundle, crowd, is_down, name, roles
):
    departures.clear(seen(departures, bundle(1)), "spool /one", is_down=is_down)
    (deed,) = crowd.used
    kind, action = asked(deed)
    assert (deed.name, action["direction"]) == (name, "down" if is_down else "up")
    assert len(roles_for(kind, action)) == deed.people == roles
