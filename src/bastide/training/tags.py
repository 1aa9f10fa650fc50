"""Tags of SageMaker's resources, of training and of serving alike.

`nouns` says for each kind of ARN in which table its resources are; `app.py` fills it, so that this
one class owns AddTags, ListTags and DeleteTags.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table

from bastide.db import named
from bastide.db.database import Database
from bastide.db.marks import Marks
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.kernel.operation import operation
from bastide.training import records

Params = dict[str, Any]
TAGS_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TagStore:
    """The tags themselves: what training and serving call when they make or delete a thing."""

    def checked(self, tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
        return checked_tags(tags)

    def put(
        self, c: Connection, account: str, arn: str, label: str, tags: Mapping[str, str]
    ) -> None:
        """In the transaction that makes what they are put on."""
        records.set_tags(c, account, arn, label, tags)

    def drop(self, c: Connection, account: str, arn: str, label: str) -> None:
        records.drop_tags(c, account, arn, label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Things:
    """What a principal finds by an ARN: for tags, and for the authorizer."""

    database: Database
    marks: Marks
    nouns: Mapping[str, Table]  # by "training-job", …

    def marking(self, who: Principal, arn: str) -> str | None:
        """None: it finds nothing."""
        table = self._table(arn)
        if table is None:
            return None
        view = self.marks.view(who)
        return self.database.read(lambda c: named.label_of(c, table, who.account, arn, view))

    def label(self, who: Principal, arn: str) -> Label | None:
        marking = self.marking(who, arn)
        return None if marking is None else self.marks.parse(marking)

    def tags(self, who: Principal, arn: str) -> Mapping[str, str]:
        label = self.marking(who, arn)
        if label is None:
            return {}
        return self.database.read(lambda c: records.tags_of(c, who.account, arn, label))

    def marked(self, account: str, arn: str) -> Sequence[str]:
        """The markings of all that has that ARN, for operators."""
        table = self._table(arn)
        if table is None:
            return ()
        return self.database.read(lambda c: named.labels_of(c, table, account, arn))

    def _table(self, arn: str) -> Table | None:
        parsed = arns.parse(arn)
        return self.nouns.get(parsed.resource.partition("/")[0]) if parsed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    database: Database
    marks: Marks
    things: Things

    @operation("ResourceArn", "Tags")
    def add_tags(self, call: Call, req: Params) -> Params:
        more = checked_tags(req["Tags"])
        arn, label = self._changed(call, req["ResourceArn"], more)

        def write(c: Connection) -> dict[str, str]:
            merged = {**records.tags_of(c, call.account, arn, label), **more}
            _check_count(merged)
            records.set_tags(c, call.account, arn, label, merged)
            return merged

        return {"Tags": _listed(self.database.write(write))}

    @operation("ResourceArn", "NextToken", "MaxResults")
    def list_tags(self, call: Call, req: Params) -> Params:
        arn = req["ResourceArn"]
        call.notes.label = label = self._found(call, arn)
        tags = self.database.read(lambda c: records.tags_of(c, call.account, arn, label))
        return {"Tags": _listed(tags)}  # 50 at most: always one page

    @operation("ResourceArn", "TagKeys")
    def delete_tags(self, call: Call, req: Params) -> Params:
        gone = set(req["TagKeys"])
        arn, label = self._changed(call, req["ResourceArn"], {})

        def write(c: Connection) -> None:
            tags = records.tags_of(c, call.account, arn, label)
            left = {key: value for key, value in tags.items() if key not in gone}
            records.set_tags(c, call.account, arn, label, left)

        self.database.write(write)
        return {}

    def _changed(self, call: Call, arn: str, tags: Mapping[str, str]) -> tuple[str, str]:
        label = self._found(call, arn)
        self.marks.check_own(call, label)
        self.marks.check_tags(call, tags, label)
        return arn, label

    def _found(self, call: Call, arn: str) -> str:
        """The label of the caller's thing of that ARN. All that it does not find answers alike."""
        mine = arns.regional(call.region, "sagemaker", call.account, "")
        label = self.things.marking(call.principal, arn) if arn.startswith(mine) else None
        if label is None:
            raise ServiceError("ValidationException", "Requested resource not found.")
        return label


def checked_tags(tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    keys = [each["Key"] for each in tags]
    if len(set(keys)) != len(keys):
        raise ServiceError("ValidationException", "Tag keys must be unique.")
    if any(key.lower().startswith("aws:") for key in keys):
        raise ServiceError("ValidationException", "Tag keys that start with aws: are reserved.")
    found = {each["Key"]: each["Value"] for each in tags}
    _check_count(found)
    return found


def _check_count(tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise ServiceError("ValidationException", f"A resource has at most {TAGS_MAX} tags.")


def _listed(tags: Mapping[str, str]) -> list[Params]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
