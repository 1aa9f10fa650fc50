"""One process of bare Python in a cage, as a uid of its agency's: it is asked one thing at a time.

What it says is a stranger's word: bounded in size and time, and read with what it prints, so that
neither waits for the other. It ends with the thread that started it, so it has one of its own.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bastide.functions import bootstrap
from bastide.functions.bootstrap import HEAD, TASK
from bastide.jobs import cgroups, proctree
from bastide.jobs.cage import Group, NoCage, Room, Walls
from bastide.kernel.errors import Unavailable

SAID_MAX = 1024 * 1024
PAYLOAD_MAX = 24 * 1024 * 1024
LOGGED_MAX = 256 * 1024  # bytes of one answer's time
BLOCK = 64 * 1024
TMP_BYTES = 512 * 1024 * 1024
SPARE_BYTES = 256 * 1024 * 1024  # of address space that is mapped and not used
FREEZE_PASSES = 8  # over its processes, of which one may have made another meanwhile
RUNTIME = "/var/runtime/bootstrap.py"


class Died(Exception):
    """It ended, or said what cannot be; `how` in AWS's words."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class TimedOut(Exception):
    """It had its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What a process is shut in with, and what it may take. `task`: the folder that it runs."""

    walls: Walls
    cgroups: cgroups.Hierarchies
    name: str
    task: Path
    memory_bytes: int
    cpus: float
    pids_max: int = 64


@dataclass(slots=True)
class _Talk:
    """One question under way: what is still to be written, and what was heard."""

    question: memoryview
    heard: bytearray = field(default_factory=bytearray)

    def answer(self) -> tuple[bytes, bytes] | None:
        """Once it is whole. Raises Died for one that is too large."""
        if len(self.heard) < HEAD.size:
            return None
        said, payload = HEAD.unpack_from(self.heard)
        if said > SAID_MAX or payload > PAYLOAD_MAX:
            raise Died("it says more than there is to say")
        end = HEAD.size + said
        if len(self.heard) < end + payload:
            return None
        return bytes(self.heard[HEAD.size : end]), bytes(self.heard[end : end + payload])


class Caged:
    """`logged` is what it has printed since it was taken last."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._thread = ThreadPoolExecutor(1, "function")
        self._group = cgroups.Group(cell.cgroups, cell.name)
        self._logged, self._dropped = bytearray(), 0
        try:
            self._process = self._thread.submit(self._started).result()
        except BaseException:
            self._thread.shutdown()
            raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, said: bytes, payload: bytes, deadline_s: float) -> tuple[bytes, bytes]:
        """Raises Died and TimedOut, after which there is nothing more to ask."""
        question = HEAD.pack(len(said), len(payload)) + said + payload
        talk = _Talk(memoryview(question))
        try:
            while (answer := talk.answer()) is None:
                self._go_on(talk, deadline_s)
        except OSError:
            self._print()
            raise Died(self._how()) from None
        self._print()
        return answer

    def kill(self) -> None:
        """From any thread: whoever asks it hears that it died."""
        self._process.kill()

    def freeze(self) -> bool:
        """Nothing of it computes until it is thawed. False where it does not come to rest: then it
        is to be ended. One that has its SIGSTOP makes no child any more."""
        if self._group.freeze(frozen=True):
            return True
        stopped: set[int] = set()
        for _ in range(FREEZE_PASSES):
            new = self._pids() - stopped
            if not new:
                return True
            if not _signalled(new, signal.SIGSTOP):
                return False
            stopped |= new
        return False

    def thaw(self) -> None:
        if not self._group.freeze(frozen=False):
            _signalled(self._pids(), signal.SIGCONT)

    def _pids(self) -> set[int]:
        pid = self._process.pid
        return {pid, *self._group.pids(), *proctree.descendants(pid)}

    def logged(self) -> str:
        """What was printed, once."""
        text = self._logged.decode("utf-8", "replace")
        if self._dropped:
            text += f"\n({self._dropped} more bytes were printed and are not kept)\n"
        self._logged, self._dropped = bytearray(), 0
        return text

    def end(self) -> None:
        self._group.kill()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._thread.shutdown()
        self._remove_group()

    def _remove_group(self) -> None:
        """What it holds is reaped by whoever took it over, which takes a moment."""
        for _ in range(100):
            if self._group.remove():
                return
            select.poll().poll(5)

    def _started(self) -> "subprocess.Popen[bytes]":
        cell, program = self._cell, None
        with ExitStack() as stack:
            if cell.walls.seccomp is not None:
                program = os.open(cell.walls.seccomp, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, program)
            argv = [os.path.realpath(sys.executable), "-I", "-S", RUNTIME]
            try:
                command = cell.walls.command(0, argv, _room(cell), program)
            except NoCage as error:
                raise Unavailable(str(error)) from error
            return subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=[] if program is None else [program],
            )

    def _go_on(self, talk: _Talk, deadline_s: float) -> None:
        """Whatever can be read or written next. Raises TimedOut, and OSError at its end."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        into, out, err = (each.fileno() for each in (process.stdin, process.stdout, process.stderr))
        poll = select.poll()
        poll.register(out, select.POLLIN)
        poll.register(err, select.POLLIN)
        if talk.question:
            os.set_blocking(into, False)
            poll.register(into, select.POLLOUT)
        left_ms = (deadline_s - time.monotonic()) * 1000
        ready = poll.poll(left_ms) if left_ms > 0 else []  # one that prints is always ready
        if not ready:
            self._print()
            raise TimedOut
        for descriptor, _ in ready:
            if descriptor == into:
                talk.question = talk.question[os.write(into, talk.question[:BLOCK]) :]
            elif descriptor == out:
                talk.heard += _some(out)
            else:
                self._keep(_some(err))

    def _print(self) -> None:
        """What was printed before now."""
        assert self._process.stderr is not None
        err = self._process.stderr.fileno()
        os.set_blocking(err, False)
        for _ in range(LOGGED_MAX // BLOCK + 1):
            try:
                block = os.read(err, BLOCK)
            except OSError:
                return
            if not block:
                return
            self._keep(block)

    def _keep(self, block: bytes) -> None:
        room = LOGGED_MAX - len(self._logged)
        self._logged += block[:room]
        self._dropped += max(0, len(block) - room)

    def _how(self) -> str:
        """Why it is not there any more. One that only closed its pipe is ended."""
        killed = self._group.memory_kills()
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if killed or code in (-9, 137):
            return "signal: killed"
        return f"exit status {code}"


def _signalled(pids: Collection[int], number: int) -> bool:
    """False where one may not be signalled; one that has ended is no such one."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        except PermissionError:
            return False
    return True


def _some(descriptor: int) -> bytes:
    block = os.read(descriptor, BLOCK)
    if not block:
        raise OSError("it is closed")
    return block


def _room(cell: Cell) -> Room:
    bounded = "memory" in cell.cgroups.folders
    return Room(
        out_bytes_max=TMP_BYTES,
        memory_bytes=cell.memory_bytes + (8 * SPARE_BYTES if bounded else SPARE_BYTES),
        cpu_s=None,
        bare=True,
        shown={RUNTIME: bootstrap.__file__, TASK: str(cell.task)},
        tmp_bytes=TMP_BYTES,
        group=Group(
            name=cell.name,
            folders=cell.cgroups.folders,
            unified=cell.cgroups.unified,
            memory_bytes=cell.memory_bytes,
            pids_max=cell.pids_max,
            cpus=cell.cpus,
        ),
    )
