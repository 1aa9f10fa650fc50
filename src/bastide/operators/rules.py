"""What one person may do alone in a region, as operators see and change it, with two officers'
signatures."""

import json
from dataclasses import dataclass

from bastide.db import setting_records as records
from bastide.db import label_records as records
from bastide.db.database import Database
from bastide.db.site_rules import difference
from bastide.kernel.approvals import Approvals, Kind
from bastide.kernel.errors import ServiceError
from bastide.operators.ports import Row
from bastide.settings import Rules, SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRoom:
    """`now`: what the region works with until it is started anew."""

    now: Rules
    database: Database
    approvals: Approvals

    def row(self) -> Row:
        return _told(self.now)

    def adopt(self, rules: str, requester: str) -> Row:
        """NotApproved until two security officers have signed for exactly this. What the region
        works with is not asked for: it takes back what was signed for and has not begun."""
        try:
            asked = Rules.parse(rules)
        except SettingsError as error:
            raise ServiceError("ValidationException", str(error)) from error
        if asked == self.now:
            if self.database.write(lambda c: records.unsay_next(c, records.RULES)):
                return _told(asked)
            message = "The region works with exactly these rules already."
            raise ServiceError("ValidationException", message)
        action = {
            "change": "adopt other rules of what one person may do alone",
            "in_words": difference(self.now.said, asked.said),
            "from": _told(self.now), "to": _told(asked),
        }  # fmt: skip
        self.approvals.carry_out(
            Kind.TRUST_ANCHOR_CHANGE, action, requester,
            lambda c: records.say_next(c, records.RULES, asked.said),
        )  # fmt: skip
        return _told(asked)


def _told(rules: Rules) -> Row:
    told: Row = json.loads(rules.said)
    return told
