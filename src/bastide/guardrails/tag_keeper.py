"""The tags of guardrails: `models.tags.Keeper`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.guardrails import records
from bastide.guardrails.shelf import Shelf, absent
from bastide.kernel.call import Call
from bastide.models.tags import with_room


@dataclass(frozen=True, slots=True, kw_only=True)
class TagKeeper:
    shelf: Shelf

    def tags_of(self, call: Call, arn: str) -> Mapping[str, str]:
        found = self.shelf.seen(call.principal, arn)
        if found is None:
            raise absent()
        return found.tags

    def retag(self, call: Call, arn: str, put: Mapping[str, str], dropped: frozenset[str]) -> None:
        def work(c: Connection) -> None:
            one = self.shelf.mine(c, call, arn)
            self.shelf.marks.check_tags(call, put, one.label)
            left = {key: value for key, value in one.tags.items() if key not in dropped}
            records.save(c, replace(one, tags=with_room({**left, **put})))

        self.shelf.database.write(work)
