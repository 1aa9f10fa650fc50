"""Warm processes: bounded for all and for each agency, and ended when they idle."""

import errno
from dataclasses import replace

import pytest
from tests.functions_kit import Machine, together
from tests.waiting import eventually

from bastide.functions.caged import Died, TimedOut
from bastide.functions.fleet import Order
from bastide.jobs import proctree
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.shares import view_of

TOLD = {
    "function_name": "f", "function_version": "1", "invoked_function_arn": "a",
    "memory_limit_in_mb": 1, "aws_request_id": "r", "log_group_name": "g", "log_stream_name": "s",
    "deadline_ms": 0,
}  # fmt: skip
SOURCE = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return event\n"


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    return Machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture
def fleet(machine, tmp_path):
    """With room for four small processes, of which one agency alone has two."""
    made = machine.fleet(tmp_path / "functions", 512)
    yield made
    made.close()


def unpack(folder):
    (folder / "app.py").write_text(SOURCE)
    (folder / "app.py").chmod(0o644)


def order(account="111122223333", key="k", label="U"):
    return Order(
        account=account, label=label, key=key, unpack=unpack, handler="app.handler", env={},
        memory_mib=128, timeout_s=60.0,
    )  # fmt: skip


def asked(fleet, one, seconds="0"):
    return fleet.ask(one, lambda name: TOLD, seconds.encode())


def test_a_process_that_idles_makes_room_for_another(fleet, tmp_path):
    first = asked(fleet, order(key="a"))
    assert asked(fleet, order(key="a")).process == first.process
    others = {asked(fleet, order(key=key)).process for key in "bcd"}
    assert len(others | {first.process}) == 4
    assert len(list((tmp_path / "functions").iterdir())) == 2
    assert asked(fleet, order(key="a")).process != first.process
    once = {asked(fleet, order(key=None)).process for _ in range(2)}
    assert len(once) == 2


def test_nobody_has_more_than_is_left_for_others(fleet):
    answers = []

    def ask(account):
        try:
            answers.append(asked(fleet, order(account), "1.5"))
        except ServiceError as error:
            answers.append(error.code)

    one, other = "111122223333", "444455556666"

    def ask_then():
        eventually(lambda: fleet._count[view_of(one, "U")] == 2)
        ask(other)

    together(*(lambda: ask(one) for _ in range(4)), ask_then)
    assert answers.count("TooManyRequestsException") == 2  # of the first, whose half two are
    done = [each for each in answers if not isinstance(each, str)]
    assert all(each.ended is None for each in done)


def test_what_is_held_above_refuses_nothing_below(fleet):
    """One agency at S has all that is its own; at U it may have as much, and no more."""
    high, answers = [order(key=None, label="S")] * 2, []

    def ask(one):
        answers.append(asked(fleet, one, "1.5").process)

    def below():
        eventually(lambda: len(fleet._busy) == 2)
        with pytest.raises(ServiceError, match="Rate Exceeded"):
            asked(fleet, high[0])
        answers.append(asked(fleet, order()).process)

    together(*(lambda one=one: ask(one) for one in high), below)
    assert len(set(answers)) == 3


def test_what_idles_is_ended_after_a_while(machine, tmp_path):
    fleet = machine.fleet(tmp_path / "functions", idle_s=0.05)
    asked(fleet, order())
    eventually(lambda: not list((tmp_path / "functions").iterdir()))
    fleet.close()


def test_with_the_region_all_of_them_end(machine, tmp_path):
    fleet = machine.fleet(tmp_path / "functions")
    asked(fleet, order(key="idle"))
    answers = []

    def close():
        eventually(lambda: len(fleet._busy) == 1)
        fleet.close()

    together(lambda: answers.append(asked(fleet, order(), "50")), close)
    (answer,) = answers
    assert isinstance(answer.ended, Died)
    assert list((tmp_path / "functions").iterdir()) == []
    with pytest.raises(Unavailable):
        asked(fleet, order())


FLOOD = """
import fcntl, os, time
def handler(event, context):
    fcntl.fcntl(2, 1031, 1 << 20)  # F_SETPIPE_SZ
    end = time.monotonic() + event
    for _ in range(3):
        if os.fork() == 0:
            while time.monotonic() < end:
                os.write(2, b"x" * 65536)
            os._exit(0)
    while time.monotonic() < end:
        os.write(2, b"x" * 65536)
"""


BUSY = """
import os, threading, time
made = 0
def count():
    global made
    while True:
        made += 1
def handler(event, context):
    if not made:
        threading.Thread(target=count, daemon=True).start()
        if os.fork() == 0:
            while True:
                pass
    before = made
    while made == before:
        time.sleep(0.001)
    return os.getpid()
"""


def sourced(one, source):
    def unpack(folder):
        (folder / "app.py").write_text(source)
        (folder / "app.py").chmod(0o644)

    return replace(one, unpack=unpack)


def test_who_prints_without_end_has_no_more_time_than_others(fleet):
    flooding = replace(sourced(order(key=None), FLOOD), timeout_s=0.5)
    assert isinstance(asked(fleet, flooding, "5").ended, TimedOut)


def test_who_may_have_no_more_ends_nothing_of_others(fleet):
    one, other = "111122223333", "444455556666"
    kept = asked(fleet, order(other, key="kept")).process
    answers = []

    def ask():
        try:
            answers.append(asked(fleet, order(one, key=None), "2").process)
        except ServiceError as error:
            answers.append(error.code)

    def ask_then():
        eventually(lambda: fleet._count[view_of(one, "U")] == 1)
        with pytest.raises(ServiceError, match="Rate Exceeded"):
            asked(fleet, replace(order(one, key=None), memory_mib=320))

    together(ask, ask_then)
    assert asked(fleet, order(other, key="kept")).process == kept


def pids_of(warm):
    first = warm.caged._process.pid
    return [first, *proctree.descendants(first)]


def test_nothing_of_a_function_computes_between_its_invocations(machine, tmp_path):
    fleet = machine.fleet(tmp_path / "functions")
    busy = sourced(order(key="busy"), BUSY)
    first = asked(fleet, busy)
    (warm,) = fleet._idle
    pids = pids_of(warm)
    assert len(pids) >= 4  # of bwrap, and two of Python

    def still():
        before = [proctree.cpu_ticks(pid) for pid in pids]
        asked(fleet, order(key=None))
        return [proctree.cpu_ticks(pid) for pid in pids] == before

    eventually(still)
    again = asked(fleet, busy)  # its thread goes on, or it would have no answer
    assert (again.process, again.payload) == (first.process, first.payload)
    fleet.close()
    assert [pid for pid in pids if proctree.start_time(pid) is not None] == []


def test_what_waits_frozen_is_forgotten_as_well(machine, tmp_path):
    fleet = machine.fleet(tmp_path / "functions")
    asked(fleet, sourced(order(key="busy"), BUSY))
    (warm,) = fleet._idle
    pids = pids_of(warm)
    fleet.forget(lambda each: True)
    assert [pid for pid in pids if proctree.start_time(pid) is not None] == []
    fleet.close()


def test_what_cannot_be_frozen_is_ended_and_its_room_free(machine, tmp_path):
    fleet = machine.fleet(tmp_path / "functions")
    asked(fleet, order(key="kept"))
    (warm,) = fleet._idle

    def no_descriptor_left():
        raise OSError(errno.EMFILE, "Too many open files")

    warm.caged.freeze = no_descriptor_left
    asked(fleet, order(key="kept"))
    assert (fleet._idle, fleet._busy, fleet._count.total()) == ([], {}, 0)
    assert not warm.caged.alive
    fleet.close()
