"""Where an alias of an agent leads to, for whoever may see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bastide.agents.aliases import ACCEPTS, found_alias
from bastide.agents.book import Book
from bastide.agents.model import DRAFT
from bastide.kernel.call import Call
from bastide.kernel.errors import invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`version`: a number, or DRAFT."""

    agent_id: str
    alias_id: str
    version: str
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    book: Book

    def found(self, call: Call, agent_id: str, alias_id: str) -> Found:
        """ResourceNotFoundException, or ValidationException for what cannot work now."""

        def read(c: Connection) -> Found:
            agent = self.book.agent_in(c, call, agent_id)
            alias = found_alias(c, agent, alias_id)
            if alias.asked.get("aliasInvocationState", ACCEPTS) != ACCEPTS:
                raise invalid(f"The alias {alias.id} rejects invocations.")
            if alias.version == DRAFT:
                definition = agent.prepared
            else:
                definition = self.book.version(c, call, agent, alias.version).definition
            if definition is None:
                raise invalid(f"Agent {agent.id} is not prepared. Prepare it first.")
            return Found(
                agent_id=agent.id, alias_id=alias.id, version=alias.version, definition=definition
            )

        return self.book.database.read(read)
