"""One engine process: start it, know when it is ready, know when and why it ended."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "PATH": ""}
TAIL_LINES = 40
LINE_BYTES_MAX = 1 << 16
STOP_GRACE_S = 5.0


class LoadFailed(Exception):
    """The engine did not come up; the text is for the operator's log, not for callers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOrder:
    """What one engine is to run."""

    model: Path
    key: str
    threads: int
    slots: int
    context_tokens: int


class _Ready(msgspec.Struct):
    address: str


@dataclass(slots=True)
class EngineProcess:
    process: Process
    address: str = ""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    reading: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        return self.process.returncode is not None

    @property
    def pid(self) -> int:
        return self.process.pid

    async def stop(self) -> None:
        """The end of its standard input ends it; else it is killed."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_GRACE_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        if self.reading is not None:
            await self.reading


async def start(order: EngineOrder, timeout_s: float) -> EngineProcess:
    """A process whose model is loaded. Raises LoadFailed with the end of its error output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "bastide.inference.engine_main",
        stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=LINE_BYTES_MAX,
        env=ENVIRONMENT, start_new_session=True,
    )  # fmt: skip
    engine = EngineProcess(process)
    engine.reading = asyncio.create_task(_follow(process, engine.tail))
    try:
        engine.address = await asyncio.wait_for(_ready(process, order), timeout_s)
    except BaseException as error:  # whatever ended the wait, no process stays behind
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await engine.stop()
        if isinstance(error, OSError | TimeoutError | msgspec.DecodeError):
            reason = " | ".join(engine.tail) or type(error).__name__
            raise LoadFailed(reason) from error
        raise
    return engine


async def _ready(process: Process, order: EngineOrder) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    task = {
        "model": str(order.model),
        "api_key": order.key,
        "threads": order.threads,
        "slots": order.slots,
        "context_tokens": order.context_tokens,
    }
    process.stdin.write(msgspec.json.encode(task) + b"\n")
    await process.stdin.drain()
    return msgspec.json.decode(await process.stdout.readline(), type=_Ready).address


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
