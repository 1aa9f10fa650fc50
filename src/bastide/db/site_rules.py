"""What one person may do alone in a region, kept beside its data.

It stands in a file that one person edits: who may break glass and for what, which bundles nobody is
asked about, how much goes down in a day. So once there are officers, a region starts with the rules
that it had, or with exactly those that two of them have signed for.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bastide.db import setting_records as records
from bastide.db.database import Database


class OtherRules(Exception):
    """These rules cannot be the region's; the text says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRules:
    """`has_officers`: whether anybody could sign."""

    database: Database
    has_officers: Callable[[], bool]

    def is_new(self, asked: str) -> bool:
        """Whether a region that starts with these has not had them before. Raises OtherRules where
        it may not start."""
        now, signed = self.database.read(lambda c: records.said(c, records.RULES))
        if now == asked:
            return False
        if now is None or signed == asked or not self.has_officers():
            return True
        raise OtherRules(
            f"What one person may do alone is not what it was: {difference(now, asked)}. "
            "Start the region with the rules that it had, change bastide.toml while it runs, and "
            "ask two security officers to sign for it: bastide rules adopt. Then restart it."
        )

    def begin(self, asked: str) -> None:
        self.database.write(lambda c: records.say_now(c, records.RULES, asked))


def difference(before: str, after: str) -> str:
    """What two of `Rules.said` say differently, in words."""
    one, other = dict(_flat(json.loads(before))), dict(_flat(json.loads(after)))
    names = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
    return "; ".join(
        f"{name} was {_told(one.get(name))}, and is {_told(other.get(name))}" for name in names
    )


def _flat(rules: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for section, values in rules.items():
        for name, value in values.items():
            yield f"{section}.{name}", value


def _told(value: Any) -> str:
    """`None`: of a rule that another version of Bastide does not have."""
    return "not there" if value is None else json.dumps(value)
