"""A function, really run: at the label of whoever has it run, where what it prints is kept too.

Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.functions import packages
from bastide.functions.caged import TimedOut
from bastide.functions.fleet import Answer, Fleet, Order
from bastide.functions.functions import SERVICE, group_of
from bastide.functions.model import LATEST, Function
from bastide.functions.ports import Logs, Roles
from bastide.functions.shelf import Shelf
from bastide.kernel.call import Principal
from bastide.kernel.errors import ServiceError

TAIL_BYTES = 4 * 1024
LINES_MAX = 2_000  # of one invocation, that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """`failure`: AWS's error object, {} if it answered. `tail`: the end of its log."""

    payload: bytes
    failure: Mapping[str, Any]
    tail: bytes

    @property
    def answer(self) -> bytes:
        return json.dumps(self.failure).encode() if self.failure else self.payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoking:
    """`missing`: why nothing may run on this machine, "" if it may."""

    shelf: Shelf
    fleet: Fleet
    roles: Roles
    logs: Logs
    missing: str = ""

    def check(self, who: Principal, one: Function) -> None:
        """ServiceError unless it can run at the session's label. What it reads there, its role has
        to be cleared for."""
        if self.missing:
            raise ServiceError("ValidationException", self.missing)
        self.roles.assume_for_service(
            who.account, one.asked["Role"], SERVICE, self.shelf.marks.own(who)
        )

    def run(self, who: Principal, one: Function, payload: bytes, request_id: str) -> Ran:
        """Blocks for as long as it takes, which is its Timeout at most."""
        self.check(who, one)
        marking, data = self.shelf.marks.own(who), self.shelf.package(one)
        memory_mib, timeout_s = int(one.asked["MemorySize"]), float(one.asked["Timeout"])

        def unpack(folder: Path) -> None:
            packages.unpack(data, folder)

        def told(process: str) -> dict[str, Any]:
            return {
                "function_name": one.name,
                "function_version": LATEST,
                "invoked_function_arn": one.arn,
                "memory_limit_in_mb": memory_mib,
                "aws_request_id": request_id,
                "log_group_name": group_of(one.name),
                "log_stream_name": self._stream(process),
                "deadline_ms": self.shelf.now_ms() + int(timeout_s * 1000),
            }

        order = Order(
            account=one.account, label=marking,
            key=(one.account, one.label, one.name, one.revision, marking), unpack=unpack,
            handler=one.asked["Handler"], env=self._env(one),
            memory_mib=memory_mib, timeout_s=timeout_s,
        )  # fmt: skip
        answer = self.fleet.ask(order, told, payload)
        failure = _failure(answer, request_id, timeout_s)
        log = _log(answer, failure, request_id, memory_mib)
        self._keep(marking, one, self._stream(answer.process), log)
        return Ran(payload=answer.payload, failure=failure, tail=log.encode()[-TAIL_BYTES:])

    def _env(self, one: Function) -> dict[str, str]:
        region, name = self.shelf.region.name, one.name
        return {
            **self.shelf.env(one),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "HOME": "/tmp",  # noqa: S108 - the cage's own
            "_HANDLER": one.asked["Handler"],
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{one.asked['Runtime']}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": LATEST,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(one.asked["MemorySize"]),
            "AWS_LAMBDA_LOG_GROUP_NAME": group_of(name),
            "LAMBDA_TASK_ROOT": "/var/task",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
        }

    def _stream(self, process: str) -> str:
        day = self.shelf.clock.now().strftime("%Y/%m/%d")
        return f"{day}/[{LATEST}]{process}"

    def _keep(self, marking: str, one: Function, stream: str, log: str) -> None:
        at, lines = self.shelf.now_ms(), log.splitlines()
        events = [(at, line) for line in lines[:LINES_MAX]]
        if len(lines) > LINES_MAX:
            events.append((at, f"({len(lines) - LINES_MAX} more lines are not kept)"))
        self.logs.put(one.account, marking, group_of(one.name), stream, events)


def _failure(answer: Answer, request_id: str, timeout_s: float) -> Mapping[str, Any]:
    if answer.ended is None:
        return answer.failure
    if isinstance(answer.ended, TimedOut):
        kind, said = "Sandbox.Timedout", f"Task timed out after {timeout_s:.2f} seconds"
    else:
        kind = "Runtime.ExitError"
        said = f"Runtime exited with error: {answer.ended.how}"
    return {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {said}"}


def _log(answer: Answer, failure: Mapping[str, Any], request_id: str, memory_mib: int) -> str:
    """As AWS frames it; what it took of memory is not known for each invocation."""
    took_ms = answer.took_s * 1000
    lines = [f"START RequestId: {request_id} Version: {LATEST}", answer.logged.rstrip("\n")]
    if failure:
        lines.append(f"[ERROR] {failure['errorType']}: {failure['errorMessage']}")
    lines += [
        f"END RequestId: {request_id}",
        f"REPORT RequestId: {request_id}\tDuration: {took_ms:.2f} ms\tMemory Size: {memory_mib} MB",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def tail_of(ran: Ran) -> str:
    return base64.b64encode(ran.tail).decode()
