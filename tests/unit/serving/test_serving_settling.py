"""What is to be looked at later is looked at once."""

import threading
from types import SimpleNamespace

from bastide.serving.settling import Settler


def test_many_who_fail_start_one_look():
    """Each call that the database refuses asks for one, as long as it is away."""
    jobs = SimpleNamespace(watch=lambda kind, listener: None)
    settler = Settler(database=None, clock=None, jobs=jobs, routes=None, load=None)
    before = set(threading.enumerate())
    for _ in range(50):
        settler.look_again(("1", "one", "U"))
        settler.look_again(("1", "two", "U"))
    started = set(threading.enumerate()) - before
    assert len(started) == 2
    assert {settler._queue.get(timeout=30) for _ in started} == {
        ("1", "one", "U"),
        ("1", "two", "U"),
    }
    for timer in started:
        timer.join()
    assert settler._queue.empty()
    settler.look_again(("1", "one", "U"))
    assert settler._queue.get(timeout=30) == ("1", "one", "U"), "and another time again"
