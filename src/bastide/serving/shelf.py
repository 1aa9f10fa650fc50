"""Models and endpoint configurations: kept with their tags, in one transaction, or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table

from bastide.db.database import Database
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.serving import records
from bastide.serving.model import Resource
from bastide.serving.ports import Tagging


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Of one noun of SageMaker's, e.g. `endpoint-config`."""

    database: Database
    clock: Clock
    tags: Tagging
    table: Table
    noun: str

    def add(self, call: Call, name: str, req: Mapping[str, Any]) -> Resource | None:
        """None if the name is taken. ValidationException for tags that cannot be."""
        tags = self.tags.checked(req.get("Tags") or [])
        new = Resource(
            account=call.account,
            name=name,
            arn=self.arn(call, name),
            created_ms=epoch_ms(self.clock.now()),
            request={key: value for key, value in req.items() if key != "Tags"},
        )

        def write(c: Connection) -> bool:
            if not records.add(c, self.table, new):
                return False
            self.tags.put(c, call.account, new.arn, tags)
            return True

        return new if self.database.write(write) else None

    def find(self, account: str, name: str) -> Resource | None:
        return self.database.read(lambda c: records.find(c, self.table, account, name))

    def remove(self, account: str, name: str) -> bool:
        """False if there was nothing."""

        def write(c: Connection) -> bool:
            gone = records.remove(c, self.table, account, name)
            if gone is not None:
                self.tags.drop(c, account, gone.arn)
            return gone is not None

        return self.database.write(write)

    def arn(self, call: Call, name: str) -> str:
        return arns.regional(call.region, "sagemaker", call.account, f"{self.noun}/{name.lower()}")
