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
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.training import records

Params = dict[str, Any]
TAGS_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TagStore:
    """The tags themselves: what training and serving call when they make or delete a thing."""

    database: Database

    def of(self, account: str, arn: str) -> Mapping[str, str]:
        return self.database.read(lambda c: records.tags_of(c, account, arn))

    def set(self, account: str, arn: str, tags: Sequence[Mapping[str, str]]) -> None:
        checked = checked_tags(tags)
        if checked:
            self.database.write(lambda c: records.set_tags(c, account, arn, checked))

    def checked(self, tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
        return checked_tags(tags)

    def put(self, c: Connection, account: str, arn: str, tags: Mapping[str, str]) -> None:
        """In the transaction that makes what they are put on."""
        records.set_tags(c, account, arn, tags)

    def drop(self, c: Connection, account: str, arn: str) -> None:
        records.drop_tags(c, account, arn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    database: Database
    nouns: Mapping[str, Table]  # by "training-job", …

    @operation("ResourceArn", "Tags")
    def add_tags(self, call: Call, req: Params) -> Params:
        arn, more = self._own(call, req["ResourceArn"]), checked_tags(req["Tags"])

        def write(c: Connection) -> dict[str, str]:
            merged = {**records.tags_of(c, call.account, arn), **more}
            _check_count(merged)
            records.set_tags(c, call.account, arn, merged)
            return merged

        return {"Tags": _listed(self.database.write(write))}

    @operation("ResourceArn", "NextToken", "MaxResults")
    def list_tags(self, call: Call, req: Params) -> Params:
        arn = self._own(call, req["ResourceArn"])
        tags = self.database.read(lambda c: records.tags_of(c, call.account, arn))
        return {"Tags": _listed(tags)}  # 50 at most: always one page

    @operation("ResourceArn", "TagKeys")
    def delete_tags(self, call: Call, req: Params) -> Params:
        arn, gone = self._own(call, req["ResourceArn"]), set(req["TagKeys"])

        def write(c: Connection) -> None:
            tags = records.tags_of(c, call.account, arn)
            left = {key: value for key, value in tags.items() if key not in gone}
            records.set_tags(c, call.account, arn, left)

        self.database.write(write)
        return {}

    def _own(self, call: Call, text: str) -> str:
        """The ARN, if it names something of the caller's account. All else answers alike."""
        mine = arns.regional(call.region, "sagemaker", call.account, "")
        table = self.nouns.get(text.removeprefix(mine).partition("/")[0])
        if table is None or not self._is_there(table, call.account, text):
            raise ServiceError("ValidationException", "Requested resource not found.")
        return text

    def _is_there(self, table: Table, account: str, arn: str) -> bool:
        return self.database.read(lambda c: named.exists(c, table, account, arn))


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
