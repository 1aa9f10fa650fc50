"""An agency's own default label, as operators see and change it, with two officers' signatures.

It is the label of what has none of its own, IAM's things among it, and up to there those may see
who were granted nothing. So a higher one clears people for more, and a lower one is a downgrade.
What is stored keeps the label that it has.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from bastide.identity import records
from bastide.identity.agencies import Agencies
from bastide.identity.model import Agency
from bastide.kernel.approvals import Approvals, Kind
from bastide.kernel.errors import invalid
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import Labelling
from bastide.operators.ports import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyLabelRoom:
    """What `bastide agency label` asks for. `changed`: what is remembered of an account may be
    wrong from now on."""

    agencies: Agencies
    labelling: Labelling
    approvals: Approvals
    changed: Callable[[str], None]

    def row(self, name: str) -> Row:
        agency = self.agencies.get(name)
        return {
            "agency": agency.name,
            "account": agency.account_id,
            "label": self.labelling.of_account(agency.account_id).text,
            "own": bool(agency.label),
            "ungranted": self.labelling.clearance(agency.account_id, "").text,
        }

    def put(self, name: str, marking: str, requester: str) -> Row:
        """NotApproved until two officers have signed for exactly this."""
        agency = self.agencies.get(name)
        after = self.labelling.parse(marking, "ValidationException")
        kind, action = self._action(agency, after)

        def work(c: Connection) -> None:
            if not records.set_label(c, agency, after.text):
                raise invalid("It was changed meanwhile. Say it again.")

        try:
            self.approvals.carry_out(kind, action, requester, work)
        finally:
            self.changed(agency.account_id)
        return self.row(name)

    def _action(self, agency: Agency, after: Label) -> tuple[Kind, Row]:
        account = agency.account_id
        before, seen = self.labelling.of_account(account), self.labelling.clearance(account, "")
        if before == after:
            raise invalid(f"The default of {agency.name} is {before} already.")
        lowers, sees = not after.dominates(before), self.labelling.clearance(account, after.text)
        if lowers and not seen.dominates(sees):
            message = (
                f"{after} is neither above {before} nor below it: raise the default to what "
                "holds both first, then lower that."
            )
            raise invalid(message)
        return Kind.DOWNGRADE if lowers else Kind.CLEARANCE_GRANT, {
            "change": f"{'lower' if lowers else 'raise'} an agency's default label",
            "agency": agency.name,
            "account": account,
            "from": before.text,
            "to": after.text,
            "who_was_granted_nothing_sees_up_to": sees.text,
            "and_before": seen.text,
            "users_roles_and_policies_are": after.text,
        }
