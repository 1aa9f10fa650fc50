"""A worker is a real process in a real cage; what it is asked here is a script of the test's."""

import socket
import sys
import threading
from dataclasses import dataclass

import pytest
from tests.waiting import eventually

from bastide.jobs.cage import Walls
from bastide.jobs.host import find_bwrap
from bastide.jobs.worker import WAITING_MAX, Worker, WorkerFailed

SCRIPT = """
import sys, types
from bastide.jobs import worker_main

def answer(question):
    word, _, rest = question.partition(b" ")
    if word == b"die":
        import os; os._exit(3)
    if word == b"spin":
        while True: pass
    if word == b"raise":
        raise ValueError(rest.decode())
    if word == b"keep":
        import builtins
        before, builtins.kept = getattr(builtins, "kept", b"nothing"), rest
        return before
    if word == b"print":
        print("this is no answer", flush=True)
    if word == b"call":
        import socket
        try:
            socket.create_connection(("127.0.0.1", int(rest)), 10)
        except OSError as error:
            return type(error).__name__.encode()
        return b"connected"
    if word == b"open":
        try:
            open(rest)
        except OSError as error:
            return type(error).__name__.encode()
        return b"opened"
    if word == b"eat":
        try:
            bytearray(int(rest))
        except MemoryError:
            return b"MemoryError"
        return b"eaten"
    return question.upper()

def begin(settings):
    if settings.get("broken"):
        raise RuntimeError("nothing to begin with")
    return answer

module = types.ModuleType("scripted")
module.begin = begin
sys.modules["scripted"] = module
worker_main.main("scripted")
"""


@dataclass(frozen=True)
class Scripted:
    """The real cage, with the test's script in place of the worker's own."""

    walls: Walls
    seccomp = None

    def command(self, number, argv, room, seccomp_fd):
        return self.walls.command(number, [sys.executable, "-I", "-c", SCRIPT], room, seccomp_fd)


def scripted(**wanted) -> Worker:
    walls = Walls(bwrap=find_bwrap(), seccomp=None, uid_first=None)
    return Worker(walls=Scripted(walls), module="scripted", **wanted)


@pytest.fixture(scope="module")
def worker():
    made = scripted()
    yield made
    made.close()


def test_it_answers_again_and_again(worker: Worker) -> None:
    assert worker.ask(b"one", 60) == b"ONE"
    assert worker.ask(b"", 60) == b""
    large = b"x" * (9 << 20)
    assert worker.ask(large, 60) == large.upper()


def test_what_is_somebodys_own_meets_nothing_of_others_in_its_process(worker: Worker) -> None:
    """A process that a document has taken over would read, or change, what comes after it."""
    assert worker.ask(b"keep one", 60, whose="1 CUI") == b"nothing"
    assert worker.ask(b"keep two", 60, whose="1 CUI") == b"one"
    assert worker.ask(b"keep three", 60, whose="1 SECRET") == b"nothing"
    assert worker.ask(b"keep four", 60, whose="2 SECRET") == b"nothing"
    assert worker.ask(b"keep five", 60, whose="1 CUI") == b"nothing"
    assert len(worker._running) == 1


def test_what_a_library_prints_is_no_answer(worker: Worker) -> None:
    assert worker.ask(b"print it", 60) == b"PRINT IT"


def test_a_failure_is_told_by_its_kind_and_quotes_nothing(worker: Worker) -> None:
    with pytest.raises(WorkerFailed, match=r"^ValueError$"):
        worker.ask(b"raise a secret", 60)
    assert worker.ask(b"one", 60) == b"ONE"


def test_one_that_dies_is_started_again(worker: Worker) -> None:
    with pytest.raises(WorkerFailed, match="died"):
        worker.ask(b"die", 60)
    assert worker.ask(b"one", 60) == b"ONE"


def test_one_that_takes_too_long_is_ended_in_the_middle_of_it(worker: Worker) -> None:
    assert worker.ask(b"one", 60) == b"ONE"
    with pytest.raises(WorkerFailed, match="too long"):
        worker.ask(b"spin", 3)
    assert worker.ask(b"one", 60) == b"ONE"


def test_inside_is_no_network_and_no_file_of_the_machine(worker: Worker, tmp_path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert worker.ask(b"call %d" % port, 60) in (b"ConnectionRefusedError", b"OSError")
    for path in (str(secret), "/etc/passwd", "/root/.bashrc"):
        assert worker.ask(b"open " + path.encode(), 60) == b"FileNotFoundError"


def test_it_sees_what_it_is_shown_and_may_take_no_more_memory(tmp_path) -> None:
    shown = tmp_path / "shown"
    shown.write_text("s")
    worker = scripted(reads=[str(shown)], memory_bytes=1 << 30)
    try:
        assert worker.ask(b"open " + str(shown).encode(), 60) == b"opened"
        assert worker.ask(b"eat " + str(2 << 30).encode(), 60) == b"MemoryError"
    finally:
        worker.close()


def test_one_that_cannot_begin_says_so() -> None:
    worker = scripted(settings={"broken": True})
    try:
        with pytest.raises(WorkerFailed, match="did not begin"):
            worker.ask(b"one", 60)
    finally:
        worker.close()


def test_without_bubblewrap_nothing_is_asked() -> None:
    bare = Worker(walls=Walls(bwrap=None, seccomp=None, uid_first=None), module="x")
    try:
        with pytest.raises(WorkerFailed, match="bubblewrap"):
            bare.ask(b"one", 60)
    finally:
        bare.close()


def test_who_waits_hears_that_it_has_ended() -> None:
    worker, heard = scripted(), []
    worker.ask(b"one", 60)

    def ask() -> None:
        with pytest.raises(WorkerFailed) as told:
            worker.ask(b"spin", 600)
        heard.append(str(told.value))

    asking = threading.Thread(target=ask)
    asking.start()
    worker.close()
    asking.join(60)
    assert heard
    with pytest.raises(WorkerFailed, match="ended"):
        worker.ask(b"one", 60)


def spinning(worker: Worker) -> threading.Thread:
    def ask() -> None:
        with pytest.raises(WorkerFailed):
            worker.ask(b"spin", 600)

    asking = threading.Thread(target=ask)
    asking.start()
    return asking


def test_two_processes_answer_two_at_once() -> None:
    worker = scripted(count=2)
    asking = spinning(worker)
    try:
        assert worker.ask(b"one", 60) == b"ONE"
    finally:
        worker.close()
        asking.join(60)


def test_who_waits_for_others_waits_no_longer_than_it_said() -> None:
    worker = scripted()
    worker.ask(b"one", 60)
    asking = spinning(worker)
    eventually(lambda: len(worker._running) == 1 and worker._waiting._value < 1 + WAITING_MAX)
    try:
        with pytest.raises(WorkerFailed, match="busy"):
            worker.ask(b"one", 0.5)
    finally:
        worker.close()
        asking.join(60)
