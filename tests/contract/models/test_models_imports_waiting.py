"""Imports that wait: for engines, for their turn, for the region."""

import threading

import pytest
from tests.imports_world import FakeBucket, api_of, working_at
from tests.inference_kit import ACCOUNT, OTHER, call
from tests.waiting import eventually

from bastide.kernel.errors import Unavailable
from bastide.models.import_work import UNDER_WAY_MAX
from bastide.models.importer import BUSY_MAX_S, TRIES_MAX, WAITS_MAX_MS

THIRD = "333333333333"


@pytest.fixture
def api(database, tmp_path):
    return api_of(database, tmp_path / "imported")


def view(who):
    return who.account, str(who.session)


def test_one_that_is_ready_waits_while_the_engines_are_busy_and_is_not_begun_again(api):
    api.running.busy = 3 * TRIES_MAX
    read = []
    api.work.importer = api.importer(reading=lambda who: read.append(1) or FakeBucket(api.objects))
    assert api.brought()["status"] == "Completed"
    assert (len(read), api.running.busy) == (1, 0)


def test_it_does_not_wait_for_ever(api):
    api.running.busy = 1 << 30
    arn = api.begin()
    api.work.settle()
    api.pass_by(BUSY_MAX_S - 1)
    assert api.shown(arn)["status"] == "InProgress"
    api.pass_by(1)
    told = api.shown(arn)["failureMessage"]
    assert told == "The engines were busy for 1 h. Start it again."
    assert api.left() == []


def test_what_waits_for_an_engine_keeps_no_thread_from_another_agency(api):
    """Two wait, as many as there are threads; a third's comes to its end meanwhile."""
    api.running.busy_for = {ACCOUNT, OTHER}
    waiting = [(api.begin(by=one), one) for one in (call(), call(account=OTHER))]
    api.work.settle()
    theirs = call(account=THIRD)
    third = api.begin(by=theirs)
    api.work.settle()
    assert api.shown(third, theirs)["status"] == "Completed"
    assert [api.shown(arn, by)["status"] for arn, by in waiting] == ["InProgress"] * 2
    api.running.busy_for.clear()
    api.pass_by()
    assert [api.shown(arn, by)["status"] for arn, by in waiting] == ["Completed"] * 2


def test_threads_that_gather_go_on_while_all_that_ask_engines_wait(api):
    api.running.gate = threading.Event()
    agencies = [call(account=one) for one in (ACCOUNT, OTHER, THIRD)]
    arns = [api.begin(by=one) for one in agencies]
    api.work.start()
    try:
        eventually(lambda: len(api.left()) == 3)  # the third's weights are there too
        eventually(lambda: not any("partial" in one for one in api.left()))
        assert api.running.asked == []
        api.running.gate.set()
        eventually(
            lambda: (
                [api.shown(*one)["status"] for one in zip(arns, agencies, strict=True)]
                == ["Completed"] * 3
            )
        )
    finally:
        api.running.gate.set()
        api.work.close()


def test_agencies_and_labels_take_turns(api):
    """Who has many waits behind who has one, and what is above holds up nothing below."""
    for number in range(3):
        api.begin(f"m{number}")
        api.clock.advance(1)
    api.begin("high", working_at("TS"))
    api.begin("theirs", call(account=OTHER))
    order = []
    api.work.importer = api.importer(
        reading=lambda who: order.append(view(who)) or FakeBucket(api.objects)
    )
    api.work.settle()
    mine, high, theirs = (ACCOUNT, "U"), (ACCOUNT, "TS"), (OTHER, "U")
    assert order[0] == mine
    assert set(order[1:3]) == {high, theirs}
    assert order[3:] == [mine, mine]


def test_no_more_are_begun_than_the_disk_is_to_hold(api):
    agencies = [call(account=str(111111111111 + n)) for n in range(UNDER_WAY_MAX + 1)]
    api.running.busy = 1 << 30
    for one in agencies:
        api.begin(by=one)
    api.work.settle()
    assert len(api.left()) == UNDER_WAY_MAX
    api.running.busy = 0
    api.pass_by()
    assert len(api.left()) == UNDER_WAY_MAX + 1


def test_what_waits_when_the_region_ends_is_no_try(api):
    api.running.busy = 1 << 30
    arn = api.begin()
    for _ in range(2 * TRIES_MAX):
        api.new_work().settle()
    assert (api.shown(arn)["status"], api.running.asked) == ("InProgress", [])
    api.running.busy = 0
    api.new_work().settle()
    assert api.shown(arn)["status"] == "Completed"


def test_what_cannot_be_done_for_a_day_fails(api):
    def busy(who):
        raise Unavailable("busy")

    api.work.importer = api.importer(reading=busy)
    arn = api.begin()
    api.clock.advance(WAITS_MAX_MS / 1000 + 1)
    api.work.settle()
    assert "no time for it for a day" in api.shown(arn)["failureMessage"]
