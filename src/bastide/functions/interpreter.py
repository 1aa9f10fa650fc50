"""Code that a model wrote, run once in a fresh cage of the agency's: nothing of it stays but the
files that it leaves, which whoever asked for it keeps."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.functions import inside
from bastide.functions.caged import Died, TimedOut
from bastide.functions.fleet import Answer, Fleet, Order
from bastide.functions.model import Interpreted
from bastide.functions.ports import Threads
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.kernel.strangers import mended_in

MEMORY_MIB = 512
TIMEOUT_S = 30.0
NAME = re.compile(r"(?!\.)[\w .()-]{1,128}\Z")
_TEXT_MAX = inside.TEXT_MAX + 2_000  # with what is said of what was cut
_SILENT = dict.fromkeys(
    ("function_name", "function_version", "invoked_function_arn", "aws_request_id",
     "log_group_name", "log_stream_name"), "",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """`agents.ports.Interpreter`. `missing`: why nothing may run on this machine, "" if it may."""

    fleet: Fleet
    threads: Threads
    missing: str = ""
    timeout_s: float = TIMEOUT_S

    async def run(self, worker: Call, code: str, files: Mapping[str, bytes]) -> Interpreted:
        whose = worker.principal.whose
        return await self.threads.run(whose, self._run, worker, code, files)

    def _run(self, worker: Call, code: str, files: Mapping[str, bytes]) -> Interpreted:
        if self.missing:
            raise ServiceError("ValidationException", self.missing)
        order = Order(
            account=worker.account, label=worker.principal.session.text, key=None,
            unpack=_unpack, handler="inside.handler",
            env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"},  # noqa: S108
            memory_mib=MEMORY_MIB, timeout_s=self.timeout_s,
        )  # fmt: skip
        given = {name: base64.b64encode(data).decode() for name, data in files.items()}
        payload = json.dumps({"code": code, "files": given}).encode()
        told = {**_SILENT, "memory_limit_in_mb": MEMORY_MIB, "deadline_ms": 0}
        answer = self.fleet.ask(order, lambda _: told, payload)
        if isinstance(answer.ended, TimedOut):
            said = f"The code took longer than {self.timeout_s:g} s."
            return Interpreted(error=said, timed_out=True, files=files)
        return _heard(answer, files)


def _unpack(folder: Path) -> None:
    path = folder / "inside.py"
    path.write_bytes(Path(inside.__file__).read_bytes())
    path.chmod(0o644)


def _heard(answer: Answer, before: Mapping[str, bytes]) -> Interpreted:
    """A stranger's word: what is none of ours is an error of the code's."""
    if isinstance(answer.ended, Died):
        return Interpreted(error=f"The process ended: {answer.ended.how}", files=before)
    if answer.failure:
        return Interpreted(error=str(answer.failure.get("errorMessage"))[:1_000], files=before)
    try:
        said = mended_in(json.loads(answer.payload))
        return Interpreted(
            output=str(said["output"])[:_TEXT_MAX],
            error=str(said["error"])[:_TEXT_MAX],
            files=_files(said["files"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Interpreted(error="The process said what is no answer.", files=before)


def _files(given: Mapping[str, Any]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, text in list(given.items())[: inside.FILES_MAX]:
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error:
            continue
        if NAME.match(name) and sum(map(len, found.values())) + len(data) <= inside.BYTES_MAX:
            found[name] = data
    return found
