"""Labels, as operators see them: what a thing is marked, what it was made of, and lower ones, with
two officers' signatures. Labels, ARNs and edges; never what is in them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bastide.db import derivation_records as records
from bastide.db.database import Database
from bastide.db.derivations import Thing
from bastide.identity.agencies import Agencies
from bastide.kernel.errors import ServiceError
from bastide.store.downgrades import Asked, Downgrades

THINGS_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRoom:
    """What `bastide label …` asks for. `marked`: the markings at which an account has something
    of an ARN, whoever may see it."""

    agencies: Agencies
    database: Database
    marked: Callable[[str, str], Sequence[str]]
    downgrades: Downgrades

    def graph(self, agency: str, arn: str) -> dict[str, Any]:
        """The things of that ARN, and all that they were made of, as far as it is known."""
        account = self.agencies.account_of(agency)
        edges, markings = self.database.read(lambda c: _edges(c, account, arn))
        markings |= dict.fromkeys(self.marked(account, arn))
        if not markings:
            raise ServiceError("NoSuchEntity", f"Nothing of agency {agency} is called {arn[:300]}.")
        return {
            "arn": arn,
            "labels": sorted(markings),
            "edges": [
                {"arn": made.arn, "label": made.label, "from_arn": of.arn, "from_label": of.label}
                for made, of in edges
            ],
            "whole": len(edges) < THINGS_MAX,
        }

    def lower(self, agency: str, thing: Mapping[str, str], requester: str) -> dict[str, Any]:
        asked = Asked(
            account=self.agencies.account_of(agency),
            bucket=thing["bucket"],
            key=thing["key"],
            version_id=thing["version"] or None,
            above=thing["from"],
            below=thing["to"],
            requester=requester,
        )
        return self.downgrades.lower(asked)


def _edges(
    c: Connection, account: str, arn: str
) -> tuple[list[tuple[Thing, Thing]], dict[str, None]]:
    """(made, of what) down to what nothing is known of, and the markings of `arn` itself. What lies
    below a prefix of a bucket is what the prefix stands for."""
    edges: dict[tuple[Thing, Thing], None] = {}
    coming, seen = [arn], {arn}
    while coming and len(edges) < THINGS_MAX:
        now = coming.pop(0)
        found = records.sources_of(c, account, [now])
        below = records.made_below(c, account, now, THINGS_MAX) if ":s3:::" in now else []
        found += [(Thing(now, one.label), one) for one in below]
        edges |= dict.fromkeys(found)
        for _, of in found:
            if of.arn not in seen:
                seen.add(of.arn)
                coming.append(of.arn)
    return list(edges)[:THINGS_MAX], {made.label: None for made, _ in edges if made.arn == arn}
