"""What an agent remembers of ended sessions: summaries, kept at the label of each session, sealed.

A summary is made of what others wrote, so it is data, never instructions; one of a conversation
that held what functions returned is as tainted as that conversation was, and so is, to everybody
else, what one caller said. Source:
https://docs.aws.amazon.com/bedrock/latest/userguide/agents-memory.html
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bastide.agents import memory_records as records
from bastide.agents import session_records
from bastide.agents.memory_records import MemoryKey, MemoryRow
from bastide.agents.ports import Sealer
from bastide.agents.session_records import Key
from bastide.db.database import Database
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.errors import ServiceError, unsupported

MEMORIES_MAX = 10_000  # of an account at one label
RECENT_DEFAULT = 20
DAYS_DEFAULT = 30
DAY_MS = 86_400_000
KIND = "SESSION_SUMMARY"
MEMBERS = tuple(
    f"memoryConfiguration.{name}"
    for name in (
        "enabledMemoryTypes", "storageDays", "sessionSummaryConfiguration.maxRecentSessions"
    )
)  # fmt: skip
_PURPOSE = "agent-memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recollection:
    """`label`: at which it is kept."""

    session_id: str
    label: str
    text: str
    tainted: bool
    began: datetime
    expires: datetime
    by: str = ""  # who alone said it


@dataclass(frozen=True, slots=True)
class Remembers:
    """What an agent is asked to remember."""

    days: int
    recent: int


def remembers(agent: Mapping[str, Any]) -> Remembers | None:
    asked = agent.get("memoryConfiguration") or {}
    if KIND not in (asked.get("enabledMemoryTypes") or ()):
        return None
    most = (asked.get("sessionSummaryConfiguration") or {}).get("maxRecentSessions")
    days = asked.get("storageDays")
    return Remembers(
        days=DAYS_DEFAULT if days is None else days, recent=RECENT_DEFAULT if most is None else most
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memories:
    database: Database
    sealer: Sealer
    clock: Clock

    def recall(self, key: MemoryKey, seen: Collection[str], limit: int) -> Sequence[Recollection]:
        """The newest first, of all labels that are seen."""
        now_ms = epoch_ms(self.clock.now())
        rows = self.database.read(lambda c: records.newest(c, key, seen, now_ms, limit))
        return [self._opened(key, row) for row in rows]

    def keep(self, key: MemoryKey, label: str, said: Recollection, days: int) -> None:
        """Durable when it returns."""
        now_ms = epoch_ms(self.clock.now())
        row = MemoryRow(
            label=label, session_id=said.session_id, ended_ms=now_ms,
            expires_ms=now_ms + days * DAY_MS, sealed=b"",
        )  # fmt: skip
        kept = {
            "text": said.text, "tainted": said.tainted, "began_ms": epoch_ms(said.began),
            "by": said.by,
        }  # fmt: skip
        sealed = self.sealer.seal(_PURPOSE, json.dumps(kept).encode(), row.aad(key))

        def write(c: Connection) -> None:
            records.drop_expired(c, now_ms)
            if records.count(c, key.account, label) >= MEMORIES_MAX:
                message = f"{MEMORIES_MAX} summaries are kept. Delete some first."
                raise ServiceError("ServiceQuotaExceededException", message)
            records.put(
                c,
                key,
                MemoryRow(
                    label=label, session_id=row.session_id, ended_ms=row.ended_ms,
                    expires_ms=row.expires_ms, sealed=sealed,
                ),
            )  # fmt: skip

        self.database.write(write)

    def forget(self, key: MemoryKey, label: str, session_id: str) -> None:
        """Also what is still to be summed up."""
        whose = Key(
            account=key.account, label=label, agent_id=key.agent_id, alias_id=key.alias_id,
            id=session_id,
        )  # fmt: skip
        now_ms = epoch_ms(self.clock.now())

        def write(c: Connection) -> None:
            records.drop(c, key, label, session_id)
            session_records.drop_late(c, whose, key.id, now_ms)

        self.database.write(write)

    def _opened(self, key: MemoryKey, row: MemoryRow) -> Recollection:
        kept = json.loads(self.sealer.open(_PURPOSE, row.sealed, row.aad(key)))
        return Recollection(
            session_id=row.session_id, label=row.label, text=kept["text"], tainted=kept["tainted"],
            began=moment(kept["began_ms"]), expires=moment(row.expires_ms),
            by=kept.get("by", ""),
        )  # fmt: skip


def check(operation: str, req: Mapping[str, Any]) -> None:
    for kind in (req.get("memoryConfiguration") or {}).get("enabledMemoryTypes") or ():
        if kind != KIND:
            raise unsupported(operation, f"enabledMemoryTypes={kind}")
