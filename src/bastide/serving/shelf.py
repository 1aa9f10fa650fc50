"""Models and endpoint configurations: kept with their tags, in one transaction, or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table

from bastide.db import derivation_records
from bastide.db.database import Database
from bastide.db.derivations import Thing
from bastide.db.marks import Marks
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.serving import records
from bastide.serving.model import Resource
from bastide.serving.paging import page_of
from bastide.serving.ports import Tagging


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Of one noun of SageMaker's, e.g. `endpoint-config`."""

    database: Database
    clock: Clock
    tags: Tagging
    marks: Marks
    table: Table
    noun: str

    def add(
        self, call: Call, name: str, req: Mapping[str, Any], sources: Sequence[Thing]
    ) -> Resource | None:
        """None if the name is taken. ValidationException for tags that cannot be. `sources`: what
        it is made of."""
        tags = self.tags.checked(req.get("Tags") or [])
        new = Resource(
            account=call.account,
            name=name,
            label=self.label_of_new(call, req),
            arn=self.arn(call, name),
            created_ms=epoch_ms(self.clock.now()),
            request={key: value for key, value in req.items() if key != "Tags"},
        )

        def write(c: Connection) -> bool:
            if not records.add(c, self.table, new):
                return False
            self.tags.put(c, new.account, new.arn, new.label, tags)
            derivation_records.put(c, new.account, Thing(new.arn, new.label), sources)
            return True

        return new if self.database.write(write) else None

    def label_of_new(self, call: Call, req: Mapping[str, Any]) -> str:
        tags = self.tags.checked(req.get("Tags") or [])
        return self.marks.of_new(call, tags, f"A thing of the kind {self.noun}")

    def find(self, call: Call, name: str) -> Resource | None:
        """What the caller sees of that name."""
        view = self.marks.view(call.principal)
        return self.database.read(lambda c: records.find(c, self.table, call.account, name, view))

    def found(self, call: Call, name: str) -> Resource | None:
        """The same, for an answer that is about it alone."""
        found = self.find(call, name)
        if found is not None:
            call.notes.label = found.label
        return found

    def page(self, call: Call, req: Mapping[str, Any]) -> tuple[list[Any], str | None]:
        return page_of(self.database, self.table, self.marks.view(call.principal), call, req)

    def remove(self, call: Call, name: str) -> bool:
        """False if there was nothing."""
        gone = self.find(call, name)
        if gone is None:
            return False
        self.marks.check_own(call, gone.label)

        def write(c: Connection) -> bool:
            self.tags.drop(c, gone.account, gone.arn, gone.label)
            return records.remove(c, self.table, gone)

        return self.database.write(write)

    def arn(self, call: Call, name: str) -> str:
        return arns.regional(call.region, "sagemaker", call.account, f"{self.noun}/{name.lower()}")
