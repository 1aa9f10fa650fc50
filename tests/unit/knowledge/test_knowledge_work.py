"""The one thread of knowledge bases: nothing that goes wrong in a round ends it."""

import pytest
from tests.waiting import eventually

from bastide.kernel.errors import Unavailable
from bastide.knowledge import work as module
from bastide.knowledge.work import Task, Work


@pytest.fixture
def work(monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    made = Work()
    yield made
    made.close()


def task(name, steps, given_up=lambda: None):
    return Task(("111111111111", name), steps, given_up)


def does(done, name):
    def steps():
        done.append(name)
        yield

    return task(name, steps)


def fails(error, given_up=lambda: None):
    def steps():
        raise error
        yield

    return task("bad", steps, given_up)


def test_a_round_that_fails_is_tried_again(work):
    done, troubles = [], [KeyError("a row that nobody can read"), Unavailable("the database")]

    def wanted():
        if troubles:
            raise troubles.pop()
        return [] if done else [does(done, "one")]

    work.wanted = wanted
    work.start()
    eventually(lambda: done == ["one"])


def test_one_that_cannot_even_be_given_up_takes_nobodys_turn(work):
    done, tried = [], []

    def give_up():
        tried.append("bad")
        if len(tried) < 3:
            raise Unavailable("the database")

    def wanted():
        bad = [] if len(tried) >= 3 else [fails(KeyError("ours"), give_up)]
        return [*bad, *([] if done else [does(done, "other")])]

    work.wanted = wanted
    work.start()
    eventually(lambda: done == ["other"] and len(tried) == 3)
