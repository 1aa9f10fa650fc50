"""Who may see up to what, as operators see it. They change it with two officers' signatures."""

from dataclasses import dataclass
from typing import Any

from bastide.identity import clearance_records
from bastide.identity.agencies import Agencies
from bastide.identity.clearances import Clearances
from bastide.kernel.approvals import Approvals, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearanceRoom:
    """What `bastide clearance …` asks for. `who` is `user/NAME` or `role/NAME`."""

    agencies: Agencies
    clearances: Clearances
    approvals: Approvals

    def rows(self, agency: str) -> list[dict[str, Any]]:
        return self.clearances.rows(self.agencies.account_of(agency))

    def grant(self, agency: str, who: str, label: str, requester: str) -> list[dict[str, Any]]:
        account = self.agencies.account_of(agency)
        offered = self.clearances.offer(account, who, label)
        action = {
            "change": "grant clearance",
            "account": account,
            "principal": who,
            "principal_id": offered.entity_id,
            "clearance": offered.label,
            "before": self.clearances.now(account, who).text,
        }
        self.approvals.carry_out(
            Kind.CLEARANCE_GRANT, action, requester, lambda c: clearance_records.put(c, offered)
        )
        self.clearances.changed(account)
        return self.clearances.rows(account)

    def revoke(self, agency: str, who: str) -> dict[str, Any]:
        return self.clearances.revoke(self.agencies.account_of(agency), who)
