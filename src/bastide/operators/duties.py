"""Who is an auditor, as operators see it. They change it with two officers' signatures, both ways:
who reads the evidence decides who is watched, and who is freed from it reads content again.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bastide.identity import records
from bastide.identity.agencies import ADMINISTRATOR, Agencies
from bastide.identity.directory import Directory
from bastide.identity.model import Entity, Kind
from bastide.kernel.approvals import Approvals
from bastide.kernel.approvals import Kind as Deed
from bastide.kernel.call import Duty
from bastide.kernel.errors import ServiceError, invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyRoom:
    """What `bastide duty …` asks for. `who` is `user/NAME` or `role/NAME`."""

    agencies: Agencies
    directory: Directory
    approvals: Approvals

    def rows(self, agency: str) -> list[dict[str, Any]]:
        account = self.agencies.account_of(agency)
        found = self.directory.database.read(lambda c: records.with_duty(c, account))
        return [
            {"principal": f"{each.kind.value}/{each.name}", "duty": str(each.duty)}
            for each in found
        ]

    def grant(self, agency: str, who: str, duty: str, requester: str) -> list[dict[str, Any]]:
        if duty not in set(Duty):
            raise invalid(f"The duties are: {', '.join(Duty)}.")
        entity = self._named(agency, who)
        if (entity.kind, entity.name) == (Kind.USER, ADMINISTRATOR):
            raise invalid("The agency would have no administrator: make a user or a role for it.")
        if entity.duty:
            raise invalid(f"{who} is {entity.duty} already.")
        self._change(entity, "grant duty", Duty(duty), requester)
        return self.rows(agency)

    def remove(self, agency: str, who: str, requester: str) -> list[dict[str, Any]]:
        entity = self._named(agency, who)
        if not entity.duty:
            raise invalid(f"{who} has no duty.")
        self._change(entity, "remove duty", None, requester)
        return self.rows(agency)

    def _named(self, agency: str, who: str) -> Entity:
        return self.directory.named(self.agencies.account_of(agency), who)

    def _change(self, entity: Entity, change: str, duty: Duty | None, requester: str) -> None:
        """Of that very user or role, whatever it is called by then."""
        action = {
            "change": change,
            "account": entity.account,
            "principal": f"{entity.kind.value}/{entity.name}",
            "principal_id": entity.id,
            "duty": str(duty or entity.duty),
        }

        def store(c: Connection) -> None:
            now = records.find_by_id(c, entity.account, entity.id)
            if now is None:
                raise ServiceError("NoSuchEntity", f"{action['principal']} is gone.")
            records.change_entity(c, replace(now, duty=duty))

        self.approvals.carry_out(Deed.TRUST_ANCHOR_CHANGE, action, requester, store)
        self.directory.memory.forget(entity.account)
