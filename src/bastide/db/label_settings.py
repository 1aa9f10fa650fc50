"""What the markings of a region mean: its scheme, default label and ceiling, kept beside its data.

Under others the same rows would mean something else. So a region starts with those that it has, or
with exactly those that two officers have signed for.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from bastide.db import setting_records as records
from bastide.db.database import Database
from bastide.kernel.labels.labelling import Labelling

TOLD_MAX = 10


class OtherMeaning(Exception):
    """These settings cannot be the region's; the text says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The markings that data carries; `anything`: whether there is anything to mean something."""

    markings: frozenset[str]
    anything: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSettings:
    """`held`: what there is in the region, whoever may see it."""

    database: Database
    held: Callable[[], Held]

    def is_new(self, asked: Labelling) -> bool:
        """Whether a region that starts with these has not had them before. Raises OtherMeaning
        where it may not start."""
        now, signed = self.database.read(lambda c: records.said(c, records.LABELS))
        if now == asked.said:
            return False
        if now is None or not self.held().anything:
            return True
        if signed != asked.said:
            raise OtherMeaning(
                f"What is stored was labelled under other settings: {difference(now, asked.said)}. "
                "Start the region with those that it had, change bastide.toml while it runs, and "
                "ask two security officers to sign for it: bastide label adopt. Then restart it."
            )
        self.check(asked)
        return True

    def begin(self, asked: Labelling) -> None:
        self.database.write(lambda c: records.say_now(c, records.LABELS, asked.said))

    def check(self, asked: Labelling) -> None:
        """OtherMeaning where what is stored could not stay what it is."""
        faults = list(asked.faults(self.held().markings))
        if faults:
            more = [f"{len(faults) - TOLD_MAX} more."] if len(faults) > TOLD_MAX else []
            raise OtherMeaning(" ".join(faults[:TOLD_MAX] + more))


def difference(before: str, after: str) -> str:
    """What two of `Labelling.said` say differently, in words."""
    one, other = json.loads(before), json.loads(after)
    words = [
        f"{name} was {one[name]}, and is {other[name]}"
        for name in ("default_label", "ceiling")
        if one[name] != other[name]
    ]
    if one["scheme"] != other["scheme"]:
        words.append(f"the scheme was {one['scheme']['name']}, and has other words now")
    return "; ".join(words)
