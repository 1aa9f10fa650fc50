"""The code interpreter: a function of an agent's that runs what the model wrote, and keeps the
files of its conversation.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/agents-code-interpretation.html
"""

import base64
import json
import logging
import mimetypes
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bastide.agents import file_records
from bastide.agents.ports import Interpreter, Sealer, Threads
from bastide.agents.session_records import Key
from bastide.db.database import Database
from bastide.functions.model import Interpreted
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import NOT_NOW, ServiceError, Unavailable, invalid

logger = logging.getLogger(__name__)
Params = dict[str, Any]
NAME = re.compile(r"(?!\.)[\w .()-]{1,128}\Z")
FILES_MAX = 5  # in one event
FILE_BYTES_MAX = 1_000_000  # of each, as the event's shape has it
KEPT_MAX, KEPT_BYTES_MAX = 40, 8 * 1024 * 1024  # of a conversation
CODE_MAX = 100_000  # characters
_PURPOSE = "agent-files"
_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """`read`: by the model itself; else it is for the code interpreter."""

    name: str
    data: bytes
    read: bool = False


@dataclass(slots=True, kw_only=True)
class Folder:
    """A conversation's files, once they are looked at. `made`: what code wrote in this turn."""

    given: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, bytes] | None = None
    made: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreting:
    interpreter: Interpreter
    database: Database
    sealer: Sealer
    clock: Clock
    threads: Threads

    async def run(self, worker: Call, key: Key, folder: Folder, code: str) -> Interpreted:
        """What was printed and why it failed; and the folder as it is then."""
        before = await self._opened(key, folder)
        if len(code) > CODE_MAX:
            return Interpreted(error=f"The code is longer than {CODE_MAX} characters.")
        try:
            ran = await self.interpreter.run(worker, code, before)
        except Unavailable as error:
            logger.info("code was not run: %s", error)
            return Interpreted(error=f"The code was not run: {NOT_NOW}")
        except ServiceError as error:
            return Interpreted(error=f"The code was not run: {error.message}")
        for name, data in ran.files.items():
            if before.get(name) != data:
                folder.made[name] = data
        folder.files = ran.files
        return ran

    async def opened(self, key: Key, folder: Folder) -> bytes | None:
        """What is to be kept of a folder, sealed; None: nothing has changed."""
        if folder.files is None and not folder.given:
            return None
        files = await self._opened(key, folder)
        plain = {name: base64.b64encode(data).decode() for name, data in files.items()}
        return await self.threads.run(
            key.whose, self.sealer.seal, _PURPOSE, json.dumps(plain).encode(), key.aad
        )

    async def _opened(self, key: Key, folder: Folder) -> Mapping[str, bytes]:
        if folder.files is None:
            kept = await self.threads.run(key.whose, self._kept, key)
            folder.files = {**kept, **folder.given}
            size = sum(map(len, folder.files.values()))
            if size > KEPT_BYTES_MAX or len(folder.files) > KEPT_MAX:
                raise invalid(
                    f"A session keeps {KEPT_MAX} files and {KEPT_BYTES_MAX} bytes of them at most."
                )
        return folder.files

    def _kept(self, key: Key) -> dict[str, bytes]:
        now_ms = epoch_ms(self.clock.now())
        sealed = self.database.read(lambda c: file_records.find(c, key, now_ms))
        if sealed is None:
            return {}
        plain = json.loads(self.sealer.open(_PURPOSE, sealed, key.aad))
        return {name: base64.b64decode(data) for name, data in plain.items()}


def told(ran: Interpreted, folder: Folder) -> str:
    """To the model."""
    parts = [ran.output.rstrip(), ran.error.rstrip()]
    if folder.made:
        parts.append(f"Files written: {', '.join(sorted(folder.made))}")
    large = sorted(name for name, data in folder.made.items() if len(data) > FILE_BYTES_MAX)
    if large:
        parts.append(f"Too large to be handed to the user: {', '.join(large)}")
    return "\n".join(part for part in parts if part)


def output(ran: Interpreted) -> Params:
    """As a trace tells it."""
    found: Params = {
        "executionOutput": ran.output,
        "executionTimeout": ran.timed_out,
        "files": sorted(ran.files),
    }
    return {**found, **({"executionError": ran.error} if ran.error else {})}


def events(folder: Folder) -> Iterator[Params]:
    """The files that code wrote in this turn, as the caller gets them."""
    found = [
        {"name": name, "type": mimetypes.guess_type(name)[0] or _TYPE, "bytes": data}
        for name, data in sorted(folder.made.items())
        if len(data) <= FILE_BYTES_MAX
    ]
    for start in range(0, len(found), FILES_MAX):
        yield {"files": {"files": found[start : start + FILES_MAX]}}
