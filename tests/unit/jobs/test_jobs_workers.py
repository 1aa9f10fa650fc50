"""Threads that agencies share: none takes them from the others."""

import threading

import pytest

from bastide.jobs.workers import Workers

WAIT_S = 30.0


@pytest.fixture
def pool():
    """Makes pools, and ends them: tasks that wait for `ends` end then."""
    made, ends = [], threading.Event()

    def make(count):
        made.append(Workers(count, "test"))
        made[-1].start()
        return made[-1], ends

    yield make
    ends.set()
    for workers in made:
        workers.close(WAIT_S)


def test_long_tasks_of_one_agency_hold_off_no_other(pool):
    workers, ends = pool(4)
    begun, done = threading.Semaphore(0), threading.Event()

    def long():
        begun.release()
        assert ends.wait(WAIT_S)

    for _ in range(40):
        workers.submit("one", long)
    assert begun.acquire(timeout=WAIT_S)
    assert begun.acquire(timeout=WAIT_S)
    workers.submit("other", done.set)
    assert done.wait(WAIT_S)


def test_an_agency_s_tasks_are_done_in_their_order_and_one_that_fails_costs_no_thread(pool, caplog):
    workers, _ = pool(2)  # of which it has one
    seen, last = [], threading.Event()
    for number in range(50):
        workers.submit("one", lambda number=number: seen.append(number))
        workers.submit("one", lambda: 1 / 0)
    workers.submit("one", last.set)
    assert last.wait(WAIT_S)
    assert seen == list(range(50))
    assert caplog.text.count("a task failed") == 50
