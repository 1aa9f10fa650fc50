"""What one person may do alone in a region, as operators see and change it, with two officers'
signatures."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from bastide.db import setting_records as records
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
        asked = _read(rules, self.now)
        if rules == self.now.said:
            if self.database.write(lambda c: records.unsay_next(c, records.RULES)):
                return asked
            message = "The region works with exactly these rules already."
            raise ServiceError("ValidationException", message)
        action = {
            "change": "adopt other rules of what one person may do alone",
            "in_words": difference(self.now.said, rules),
            "from": _told(self.now), "to": asked,
        }  # fmt: skip
        self.approvals.carry_out(
            Kind.TRUST_ANCHOR_CHANGE, action, requester,
            lambda c: records.say_next(c, records.RULES, rules),
        )  # fmt: skip
        return asked


def _read(text: str, now: Rules) -> Row:
    """The rules in their one spelling. A version of Bastide that has others by name asks for them
    while this one runs: what they may say, it judges as it starts."""
    try:
        found = _told(Rules.parse(text))
    except SettingsError as error:
        found = _of_another_version(text)
        if not found or _names(found) == _names(_told(now)):
            raise ServiceError("ValidationException", str(error)) from error
    if msgspec.json.encode(found).decode() != text:
        raise ServiceError("ValidationException", "These rules are not in their one spelling.")
    return found


def _of_another_version(text: str) -> Row:
    try:
        return dict(msgspec.json.decode(text, type=dict[str, dict[str, Any]]))
    except (msgspec.DecodeError, RecursionError):
        return {}


def _names(rules: Row) -> set[tuple[str, str]]:
    return {(section, name) for section, values in rules.items() for name in values}


def _told(rules: Rules) -> Row:
    told: Row = json.loads(rules.said)
    return told
