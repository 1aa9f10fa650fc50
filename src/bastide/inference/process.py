"""One engine process: start it, know when it is ready, know when and why it ended."""

import asyncio
import contextlib
import os
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bastide.inference.engine_main import SOCKET
from bastide.inference.walls import ENVIRONMENT, Walls
from bastide.jobs import folders, proctree

ENGINE = [sys.executable, "-I", "-m", "bastide.inference.engine_main"]
TAIL_LINES = 40
LINE_BYTES_MAX = 1 << 16
STOP_GRACE_S = 5.0


class LoadFailed(Exception):
    """The engine did not come up; the text is for the operator's log, not for callers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOrder:
    """What one engine is to run. `place` is a folder for it alone, which ends with it;
    `memory_mib` is more than it needs."""

    model: Path
    place: Path
    walls: Walls
    memory_mib: int
    key: str
    threads: int
    slots: int
    context_tokens: int


class _Ready(msgspec.Struct):
    listening: str


@dataclass(slots=True)
class EngineProcess:
    """`process` is bwrap's where there are walls, `pid` always the engine's. `held` keeps the
    socket that it opened, so that whatever lies in its folder later is never connected to."""

    process: Process
    place: Path
    pid: int = 0
    held: int = -1
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    reading: asyncio.Task[None] | None = None

    @property
    def socket(self) -> str:
        """A path to connect to, as long as it is held."""
        return f"/proc/self/fd/{self.held}"

    def hold(self) -> None:
        """Raises OSError when what is there is no socket."""
        self.held = os.open(self.place / SOCKET, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not stat.S_ISSOCK(os.fstat(self.held).st_mode):
            raise OSError(f"{SOCKET} is no socket")
        self.pid = next(reversed(proctree.descendants(self.process.pid)), self.process.pid)

    async def ended_within(self, timeout_s: float) -> bool:
        try:
            await asyncio.wait_for(self.process.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def cpu_ticks(self) -> int:
        """The processor time that the engine has used."""
        return proctree.cpu_ticks(self.pid)

    async def stop(self) -> None:
        """The end of its standard input ends it; else it is killed."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        if not await self.ended_within(STOP_GRACE_S):
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        if self.reading is not None:
            await self.reading
        self.forget()

    def forget(self) -> None:
        """Let go of what a process that has ended had on this machine."""
        if self.held >= 0:
            os.close(self.held)
            self.held = -1
        with contextlib.suppress(OSError):
            folders.remove(self.place)


async def start(order: EngineOrder, timeout_s: float) -> EngineProcess:
    """A process whose model is loaded. Raises LoadFailed with the end of its error output."""
    process = await _spawned(order)
    engine = EngineProcess(process, order.place)
    engine.reading = asyncio.create_task(_follow(process, engine.tail))
    try:
        await asyncio.wait_for(_ready(process, order), timeout_s)
        engine.hold()
    except BaseException as error:  # whatever ended the wait, no process stays behind
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await engine.stop()
        if isinstance(error, OSError | TimeoutError | msgspec.DecodeError):
            reason = " | ".join(engine.tail) or type(error).__name__
            raise LoadFailed(reason) from error
        raise
    return engine


async def _spawned(order: EngineOrder) -> Process:
    walls, place = order.walls, order.place
    place.mkdir(mode=0o700)
    walls.own(place, order.model)
    program = -1 if walls.seccomp is None else os.open(walls.seccomp, os.O_RDONLY)
    try:
        return await asyncio.create_subprocess_exec(
            *walls.command(ENGINE, place, order.model, program),
            stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=LINE_BYTES_MAX,
            env=ENVIRONMENT, start_new_session=True, pass_fds=(program,) if program >= 0 else (),
        )  # fmt: skip
    finally:
        if program >= 0:
            os.close(program)


async def _ready(process: Process, order: EngineOrder) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    place, model = order.walls.seen(order.place, order.model)
    task = {
        "place": place,
        "model": model,
        "memory_mib": order.memory_mib,
        "uid": order.walls.uid,
        "api_key": order.key,
        "threads": order.threads,
        "slots": order.slots,
        "context_tokens": order.context_tokens,
    }
    process.stdin.write(msgspec.json.encode(task) + b"\n")
    await process.stdin.drain()
    msgspec.json.decode(await process.stdout.readline(), type=_Ready)


async def _follow(process: Process, tail: deque[str]) -> None:
    """Read its error output to the end, so that it never blocks on a full pipe."""
    assert process.stderr is not None
    rest = b""
    while block := await process.stderr.read(LINE_BYTES_MAX):
        *lines, rest = (rest + block).split(b"\n")
        rest = rest[-LINE_BYTES_MAX:]
        tail.extend(line.decode(errors="replace")[:500] for line in lines)
    if rest:
        tail.append(rest.decode(errors="replace")[:500])
