"""Sessions that end with something to remember: their agent's model sums them up, as their agent's
role, and the summary is kept before the session is forgotten. One that ran out of time is summed up
when its memory is next asked for."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from bastide.agents.consulting import Consulting
from bastide.agents.memory import Memories, Recollection, Remembers
from bastide.agents.memory_records import MemoryKey
from bastide.agents.ports import Threads
from bastide.agents.session_records import Key
from bastide.agents.sessions import Held, Sessions
from bastide.agents.summing_up import request_of, summary_of
from bastide.agents.workers import Workers
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError

logger = logging.getLogger(__name__)
LATE_MAX = 4  # sessions that are summed up before one call
LOOKED_AT_MAX = 64  # of those that wait
RETRY_S = 600.0  # before one that could not be summed up is tried again: each try costs its tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """`definition`: of the agent at the version that the alias leads to."""

    key: MemoryKey
    label: str
    agent: Mapping[str, Any]
    asked: Remembers


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembering:
    workers: Workers
    sessions: Sessions
    memories: Memories
    consulting: Consulting
    threads: Threads
    failed_s: dict[Key, float] = field(default_factory=dict)  # when the last try failed

    async def end(self, call: Call, whose: Whose, key: Key) -> None:
        """The session is over, and summed up if that can be done now; else it waits, as what ran
        out of time."""
        await self.threads.run(call.whose, self.sessions.run_out, key)
        await self._settle(call, whose, key)

    async def catch_up(self, call: Call, whose: Whose, asked: Key) -> None:
        """With the sessions of this memory whose time has run out. One that cannot be summed up
        now, or that another call has, waits: who asks now has nothing to do with it. That of the
        session that is `asked` for is tried in any case: the new one takes its place."""
        waiting = await self.threads.run(
            call.whose, self.sessions.late, _session_key(whose, ""), whose.key.id, LOOKED_AT_MAX
        )
        self._forget_failures()
        ready = [one for one in waiting if one == asked or one not in self.failed_s]
        for key in sorted(ready, key=lambda one: one != asked)[:LATE_MAX]:
            try:
                with self.sessions.one_turn(key):
                    await self._settle(call, whose, key)
            except ServiceError:
                continue  # another call has it

    async def _settle(self, call: Call, whose: Whose, key: Key) -> None:
        """The session is summed up and gone."""
        held = await self.threads.run(call.whose, self.sessions.ended, key)
        try:
            await self._sum_up(call, whose, held)
        except ServiceError as error:
            self._forget_failures()
            self.failed_s[key] = self.memories.clock.monotonic_s()
            logger.warning("a session of an agent could not be summed up: %s", error.code)
            return
        await self.threads.run(call.whose, self.sessions.end, key)

    def _forget_failures(self) -> None:
        since = self.memories.clock.monotonic_s() - RETRY_S
        for key in [one for one, at in self.failed_s.items() if at <= since]:
            del self.failed_s[key]

    def recalled(self, whose: Whose, seen: Collection[str], by: str) -> tuple[str, bool]:
        """What is told to the model, and whether any of it is tainted: as what is another's than
        `by` is, and what was kept below, where others choose the same id."""
        found = self.memories.recall(whose.key, seen, whose.asked.recent)
        text = "\n\n".join(f"{one.began:%Y-%m-%d}: {one.text}" for one in found)
        mine = (by, whose.label)
        return text, any(one.tainted or (one.by, one.label) != mine for one in found)

    async def _sum_up(self, call: Call, whose: Whose, held: Held) -> None:
        if not held.turn.messages or not whose.asked.days:
            return
        role = whose.agent["agentResourceRoleArn"]
        worker = await self.threads.run(call.whose, self.workers.worker, call, role, whose.label)
        await self.threads.run(call.whose, self.workers.check, worker, whose.agent)
        req = request_of(whose.agent, held.turn.messages, held.turn.fence)
        summary = summary_of(await self.consulting.whole(call, worker, req))
        if not summary:
            return
        kept = Recollection(
            session_id=held.key.id, label=whose.label, text=summary, tainted=held.turn.tainted,
            began=held.began, expires=held.began, by=held.by,
        )  # fmt: skip
        await self.threads.run(
            call.whose, self.memories.keep, whose.key, whose.label, kept, whose.asked.days
        )


def _session_key(whose: Whose, session_id: str) -> Key:
    key = whose.key
    return Key(
        account=key.account, label=whose.label, agent_id=key.agent_id, alias_id=key.alias_id,
        id=session_id,
    )  # fmt: skip
