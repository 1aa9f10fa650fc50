"""Processes of our own code that answer questions from inside a cage, one at a time each.

What parses a stranger's document, or runs a model over a stranger's text, belongs in one: it can be
stopped in the middle of anything, it reaches no network, no file and no other process, and when it
dies nothing else does. A module says `begin(settings) -> answer`, and `answer` maps bytes to bytes.
"""

import logging
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import msgspec

from bastide.jobs.cage import NoCage, Room, Walls

logger = logging.getLogger(__name__)
MAIN = "bastide.jobs.worker_main"
SIZE = struct.Struct(">BI")  # how it went, and how much follows
ANSWERED, BEGUN, FAILED = range(3)
FRAME_BYTES_MAX = 256 << 20
SCRATCH_BYTES_MAX = 256 << 20
MEMORY_BYTES = 4 << 30
WAITING_MAX = 64
START_TIMEOUT_S = 120.0
BLOCK_BYTES = 1 << 20
WORDS_MAX = 4096  # of a failure
NOBODY = ""


class WorkerFailed(Exception):
    """There is no answer; the text says why in words that quote nothing of the question."""


class Worker:
    """`count` processes of `module`, each started when it is first needed, and again after it died.

    `settings` reach the module's `begin` as JSON; `reads` are the paths that it sees, `writes`
    those that it changes too, each file up to `out_bytes_max`. Thread-safe.
    """

    def __init__(  # noqa: PLR0913 - all but two have a default
        self,
        *,
        walls: Walls,
        module: str,
        settings: Mapping[str, Any] | None = None,
        reads: Sequence[str] = (),
        writes: Sequence[str] = (),
        count: int = 1,
        memory_bytes: int = MEMORY_BYTES,
        out_bytes_max: int = SCRATCH_BYTES_MAX,
    ) -> None:
        self._walls = walls
        self._module = module
        self._settings = msgspec.json.encode(dict(settings or {}))
        self._room = Room(
            out_bytes_max=out_bytes_max,
            memory_bytes=memory_bytes,
            reads=reads,
            writes=writes,
            cpu_s=None,
        )
        # A thread for each process, as long as it lives: the kernel ends one whose starter ends.
        self._threads = ThreadPoolExecutor(count, module.rpartition(".")[2])
        self._own = threading.local()
        self._waiting = threading.Semaphore(count + WAITING_MAX)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def ask(self, question: bytes, timeout_s: float, *, whose: str = NOBODY) -> bytes:
        """The answer, within `timeout_s` of now: a process that takes longer is ended. What is
        somebody's own is asked of a process that has heard nobody else's: a document that takes
        over what reads it meets no other's there. Raises WorkerFailed."""
        if not self._waiting.acquire(blocking=False):
            raise WorkerFailed("too many wait already")
        try:
            deadline = time.monotonic() + timeout_s
            asked: Future[bytes] = self._threads.submit(self._ask, question, deadline, whose)
        except RuntimeError:  # closed
            self._waiting.release()
            raise WorkerFailed("it has ended") from None
        asked.add_done_callback(lambda _: self._waiting.release())
        try:
            return asked.result(timeout_s)
        except TimeoutError:
            if asked.cancel():  # others' questions took all of its time
                raise WorkerFailed("it is busy") from None
            return asked.result()  # it is asked, and ends in time of its own
        except CancelledError:
            raise WorkerFailed("it has ended") from None

    def close(self) -> None:
        """End every process; who waits hears that it failed."""
        self._closed = True
        for process in list(self._running):
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in list(self._running):
            self._forget(process)

    def _ask(self, question: bytes, deadline: float, whose: str) -> bytes:
        if self._closed or time.monotonic() >= deadline:
            raise WorkerFailed("it is busy")
        process = self._process(deadline, whose)
        with ExitStack() as undo:
            undo.callback(self._end, process)  # whatever is half said makes the next answer a lie
            how, answer = _exchange(process, question, deadline)
            undo.pop_all()
        if how != ANSWERED:
            raise WorkerFailed(answer[:WORDS_MAX].decode("utf-8", "replace"))
        return answer

    def _process(self, deadline: float, whose: str) -> "subprocess.Popen[bytes]":
        """This thread's process, begun."""
        process: subprocess.Popen[bytes] | None = getattr(self._own, "process", None)
        if process is not None and process.poll() is None and self._own.heard == whose:
            return process
        if process is not None:
            self._end(process)
        process = self._own.process = self._started()
        self._own.heard = whose
        with ExitStack() as undo:
            undo.callback(self._end, process)
            begun = time.monotonic() + START_TIMEOUT_S  # not the question's time: models are loaded
            how, said = _exchange(process, self._settings, max(deadline, begun))
            if how != BEGUN:
                words = said[:WORDS_MAX].decode("utf-8", "replace")
                logger.error("%s did not begin: %s", self._module, words)
                raise WorkerFailed("it did not begin")
            undo.pop_all()
        return process

    def _started(self) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-I", "-m", MAIN, self._module]
        with ExitStack() as stack:
            program: int | None = None
            if self._walls.seccomp is not None:
                program = os.open(self._walls.seccomp, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, program)
            try:
                command = self._walls.command(0, argv, self._room, program)
            except NoCage as error:
                raise WorkerFailed(str(error)) from error
            process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # a traceback may quote what was asked
                bufsize=0,
                pass_fds=[] if program is None else [program],
            )
        self._running.add(process)
        if self._closed:  # it was closed while this one was on its way
            process.kill()
        return process

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        self._forget(process)

    def _forget(self, process: "subprocess.Popen[bytes]") -> None:
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._running.discard(process)


def _exchange(
    process: "subprocess.Popen[bytes]", question: bytes, deadline: float
) -> tuple[int, bytes]:
    """Say one frame and hear one. Raises WorkerFailed."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        _write(process.stdin.fileno(), SIZE.pack(0, len(question)) + question, deadline)
        how, size = SIZE.unpack(_read(process.stdout.fileno(), SIZE.size, deadline))
        if size > FRAME_BYTES_MAX:
            raise WorkerFailed("it says more than there is to say")
        return how, _read(process.stdout.fileno(), size, deadline)
    except TimeoutError:  # an OSError too
        raise WorkerFailed("it took too long") from None
    except (EOFError, OSError):
        raise WorkerFailed("it died") from None


def _write(pipe: int, data: bytes, deadline: float) -> None:
    os.set_blocking(pipe, False)
    rest = memoryview(data)
    while rest:
        _wait(pipe, select.POLLOUT, deadline)
        rest = rest[os.write(pipe, rest[:BLOCK_BYTES]) :]


def _read(pipe: int, size: int, deadline: float) -> bytes:
    found = bytearray()
    while len(found) < size:
        _wait(pipe, select.POLLIN, deadline)
        block = os.read(pipe, min(size - len(found), BLOCK_BYTES))
        if not block:
            raise EOFError
        found += block
    return bytes(found)


def _wait(pipe: int, what: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(pipe, what)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError
