"""Conversations between turns: kept whole or not at all, and of one turn at a time."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bastide.agents import file_records
from bastide.agents import session_records as records
from bastide.agents.loop import Message, Mode, Phase, Turn, Use, adapted
from bastide.agents.ports import Sealer
from bastide.agents.session_records import Key
from bastide.db.database import Database
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids

SESSIONS_MAX = 10_000  # of an account at one label
SIZE_MAX = 256 * 1024  # of a conversation: its oldest turns are left out
_PURPOSE = "agent-session"
_FENCE_SIZE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A conversation as it stands. `number`: how many turns it had. `invocation_id`: of the
    control that its caller has now, else "". `attributes`: for the functions of its turns. `by`:
    who alone has said all of it, "" for several. `story`: its turns, as an orchestrator is told."""

    key: Key
    number: int
    turn: Turn
    invocation_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    began_ms: int = 0
    memory_id: str = ""
    by: str = ""
    story: Sequence[Mapping[str, Any]] = ()

    @property
    def began(self) -> datetime:
        return moment(self.began_ms)


class Sessions:
    def __init__(self, database: Database, sealer: Sealer, clock: Clock, ids: Ids) -> None:
        self._database, self._sealer, self._clock, self._ids = database, sealer, clock, ids
        self._busy: set[Key] = set()
        self._lock = threading.Lock()

    @contextmanager
    def one_turn(self, key: Key) -> Iterator[None]:
        """ConflictException while another turn of it is under way."""
        with self._lock:
            if key in self._busy:
                message = f"Session {key.id} has a turn under way. Try again when it has ended."
                raise ServiceError("ConflictException", message)
            self._busy.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(key)

    def open(self, key: Key, empty: Turn) -> Held:
        """As it was left; `empty`, with a fence of its own, if there is none."""
        found = self._database.read(lambda c: records.find(c, key, self._now_ms()))
        if found is None:
            fence = self._ids.word(_FENCE_SIZE)
            return Held(
                key=key, number=0, turn=replace(empty, fence=fence), began_ms=self._now_ms()
            )
        return self._opened(key, empty, *found)

    def late(self, key: Key, memory_id: str, limit: int) -> list[Key]:
        """Those of one memory whose time has run out; `key` says whose, but not which."""
        now_ms = self._now_ms()
        found = self._database.read(lambda c: records.late(c, key, memory_id, now_ms, limit))
        return [replace(key, id=each) for each in found]

    def ended(self, key: Key) -> Held:
        """As it was left, also past its time."""
        found = self._database.read(lambda c: records.find(c, key, 0))
        empty = Turn(tools={}, fence="")
        return (
            Held(key=key, number=0, turn=empty)
            if found is None
            else self._opened(key, empty, *found)
        )

    def _opened(self, key: Key, empty: Turn, number: int, sealed: bytes) -> Held:
        kept = json.loads(self._sealer.open(_PURPOSE, sealed, key.aad))
        return Held(
            key=key, number=number, turn=adapted(_turn(empty, kept)),
            invocation_id=kept["invocation_id"], attributes=kept.get("attributes") or {},
            began_ms=kept.get("began_ms", 0), memory_id=kept.get("memory_id", ""),
            by=kept.get("by", ""), story=kept.get("story") or (),
        )  # fmt: skip

    def save(self, held: Held, ttl_s: int, files: bytes | None = None) -> None:
        """Durable when it returns. `files`: those of the conversation, sealed, if they changed."""
        now_ms, key = self._now_ms(), held.key
        kept = _kept(held)
        sealed = self._sealer.seal(_PURPOSE, kept.encode(), key.aad)

        def write(c: Connection) -> None:
            records.drop_expired(c, now_ms)
            file_records.drop_expired(c, now_ms)
            if held.number == 0 and records.count(c, key.account, key.label) >= SESSIONS_MAX:
                message = f"{SESSIONS_MAX} sessions are open. Try again when one has ended."
                raise ServiceError("ServiceQuotaExceededException", message)
            turned = records.Turned(
                expires_ms=now_ms + ttl_s * 1000, sealed=sealed, memory_id=held.memory_id
            )
            if not records.save(c, key, held.number, turned):
                raise ServiceError("ConflictException", f"Session {key.id} went on elsewhere.")
            if files is None:
                file_records.touch(c, key, now_ms + ttl_s * 1000)
            else:
                file_records.put(c, key, now_ms + ttl_s * 1000, files)

        self._database.write(write)

    def run_out(self, key: Key) -> None:
        """Its time is over now. What is to be remembered of it still is."""
        self._database.write(lambda c: records.expire(c, key, self._now_ms()))

    def end(self, key: Key) -> None:
        def write(c: Connection) -> None:
            records.drop(c, key)
            file_records.drop(c, key)

        self._database.write(write)

    def _now_ms(self) -> int:
        return epoch_ms(self._clock.now())


def _kept(held: Held) -> str:
    turn = held.turn
    messages = list(turn.messages)
    while True:
        kept = {
            "fence": turn.fence,
            "messages": messages,
            "words": turn.words,
            "tainted": turn.tainted,
            "phase": str(turn.phase),
            "steps": turn.steps,
            "calls": turn.calls,
            "tokens": turn.tokens,
            "made": sorted(turn.made),
            "faults": sorted(turn.faults),
            "uses": [{"id": use.id, "name": use.name, "args": use.args} for use in turn.uses],
            "results": turn.results,
            "held": turn.held,
            "invocation_id": held.invocation_id,
            "attributes": dict(held.attributes),
            "began_ms": held.began_ms,
            "memory_id": held.memory_id,
            "by": held.by,
        }  # fmt: skip
        text, shorter = json.dumps(kept), without_oldest(messages)
        if len(text) <= SIZE_MAX or not shorter:
            return json.dumps({**kept, "story": list(held.story)}) if held.story else text
        messages = shorter


def without_oldest(messages: Sequence[Message]) -> list[Message]:
    """From the second request of the user on; nothing if there is no second one."""
    starts = [
        at
        for at, message in enumerate(messages)
        if message["role"] == "user" and all("toolResult" not in one for one in message["content"])
    ]
    return list(messages[starts[1] :]) if len(starts) > 1 else []


def _turn(empty: Turn, kept: Mapping[str, Any]) -> Turn:
    return replace(
        empty,
        fence=kept["fence"],
        messages=tuple(kept["messages"]),
        words=kept["words"],
        tainted=kept["tainted"],
        phase=Phase(kept["phase"]),
        steps=kept["steps"],
        calls=kept["calls"],
        tokens=kept["tokens"],
        made=frozenset(kept["made"]),
        faults=frozenset(kept["faults"]),
        uses=tuple(Use(**use) for use in kept["uses"]),
        results=kept["results"],
        held={use_id: Mode(mode) for use_id, mode in kept["held"].items()},
    )
