"""What a session finds of knowledge bases and their sources; what is above it, is found by none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bastide.db.database import Database
from bastide.db.marks import Marks
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.view import View
from bastide.knowledge import records
from bastide.knowledge.model import BaseRow, BaseStatus, Job, Source, SourceStatus
from bastide.logs import tokens

PAGE_DEFAULT = 100
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    database: Database
    clock: Clock
    ids: Ids
    marks: Marks

    def view(self, call: Call) -> View:
        return self.marks.view(call.principal)

    def now_ms(self) -> int:
        return epoch_ms(self.clock.now())

    def base(self, call: Call, named: str) -> BaseRow:
        """By its id or its ARN."""
        id_ = named.rpartition("/")[2]
        view = self.view(call)
        found = self.database.read(lambda c: records.find_base(c, call.account, id_, view))
        if found is None or named not in (found.id, found.arn):
            raise _missing("knowledge base", id_)
        return found

    def working(self, call: Call, named: str) -> BaseRow:
        """One that is not going away."""
        base = self.base(call, named)
        if base.status is BaseStatus.DELETING:
            raise _missing("knowledge base", base.id)
        return base

    def source(self, call: Call, base: BaseRow, id_: str) -> Source:
        view = self.view(call)
        found = self.database.read(
            lambda c: records.find_source(c, call.account, base.id, id_, view)
        )
        if found is None:
            raise _missing("data source", id_)
        return found

    def working_source(self, call: Call, base: BaseRow, id_: str) -> Source:
        source = self.source(call, base, id_)
        if source.status is SourceStatus.DELETING:
            raise _missing("data source", id_)
        return source

    def job(self, call: Call, source: Source, id_: str) -> Job:
        view = self.view(call)
        found = self.database.read(lambda c: records.find_job(c, source, id_, view))
        if found is None:
            raise _missing("ingestion job", id_)
        return found

    def label(self, who: Principal, arn: str, version: str | None) -> Label | None:
        """Of a knowledge base, for the authorizer; None where the principal sees none."""
        id_, view = arn.rpartition("/")[2], self.marks.view(who)
        found = self.database.read(lambda c: records.find_base(c, who.account, id_, view))
        return None if found is None else self.marks.parse(found.label)


def arn_of(call: Call, id_: str) -> str:
    return arns.regional(call.region, "bedrock", call.account, f"knowledge-base/{id_}")


def page(
    req: dict[str, Any], read: Callable[[str, int], Sequence[Row]], last: Callable[[Row], str]
) -> tuple[Sequence[Row], dict[str, str]]:
    """Rows behind a token's place, and what the answer says of the next page."""
    begun = tokens.load(req.get("nextToken"), str, code="ValidationException")
    limit = req.get("maxResults") or PAGE_DEFAULT
    rows = read(begun[0] if begun else "", limit + 1)
    if len(rows) <= limit:
        return rows, {}
    return rows[:limit], {"nextToken": tokens.dump(last(rows[limit - 1]))}


def _missing(noun: str, id_: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"There is no {noun} with the id {id_}.")
