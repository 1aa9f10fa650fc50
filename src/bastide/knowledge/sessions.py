"""What was asked and answered before, in one conversation about a knowledge base.

A conversation is kept, sealed, at the label of the session that has it: another session's, be it
above or below, is another conversation.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bastide.kernel.call import Call
from bastide.kernel.errors import invalid
from bastide.knowledge import records
from bastide.knowledge.ports import Sealer
from bastide.knowledge.prompting import TURNS_MAX
from bastide.knowledge.shelf import Shelf

PURPOSE = "knowledge-session"
AGE_MAX_MS = 24 * 3600 * 1000
SESSIONS_MAX = 10_000  # of an agency
Turn = Mapping[str, str]  # question, answer, label, base


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    shelf: Shelf
    sealer: Sealer

    def turns(self, call: Call, base: str, session_id: str) -> list[Turn]:
        """ValidationException where the caller's label has no such conversation."""
        label = self.shelf.marks.own(call.principal)
        since = self.shelf.now_ms() - AGE_MAX_MS
        raw = self.shelf.database.read(
            lambda c: records.session_of(c, call.account, session_id, label, since)
        )
        if raw is None:
            raise invalid(f"Session with Id {session_id} is not valid. Please check and try again.")
        turns: list[Turn] = json.loads(self.sealer.open(PURPOSE, raw, _bound(call, session_id)))
        if any(turn["base"] != base for turn in turns):
            raise invalid(f"Session with Id {session_id} is about another knowledge base.")
        return turns

    def keep(self, call: Call, session_id: str, turns: Sequence[Turn]) -> None:
        label, now_ms = self.shelf.marks.own(call.principal), self.shelf.now_ms()
        plain = json.dumps(list(turns[-TURNS_MAX:])).encode()
        blob = self.sealer.seal(PURPOSE, plain, _bound(call, session_id))
        where = (call.account, session_id, label)
        self.shelf.database.write(
            lambda c: records.keep_session(
                c, where, now_ms, blob, keep=(now_ms - AGE_MAX_MS, SESSIONS_MAX)
            )
        )


def _bound(call: Call, session_id: str) -> bytes:
    return "\0".join((call.account, session_id, call.principal.session.text)).encode()
