"""Log groups.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.labels.labelling import TAG, Labelling
from bastide.kernel.operation import operation
from bastide.logs import records, tokens
from bastide.logs.lookup import named_group, own_group, the_group
from bastide.logs.model import Group

Params = dict[str, Any]
PAGE_DEFAULT = 50
TAGS_MAX = 50
TOO_MANY_TAGS = f"A resource can have no more than {TAGS_MAX} tags."
RETENTIONS = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731}
    | {1096, 1827, 2192, 2557, 2922, 3288, 3653}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogGroups:
    database: Database
    labels: LabelsInUse
    labelling: Labelling
    clock: Clock

    @operation("logGroupName", "tags", "logGroupClass")
    def create_log_group(self, call: Call, req: Params) -> Params:
        if req.get("logGroupClass", "STANDARD") != "STANDARD":
            raise unsupported(call.operation, f"logGroupClass={req['logGroupClass']}")
        name, now = req["logGroupName"], epoch_ms(self.clock.now())
        tags, view = req.get("tags") or {}, self.labels.at(self._label_of_new(call, req))
        if self.database.write(lambda c: records.add_group(c, call.account, name, now, tags, view)):
            return {}
        raise ServiceError(
            "ResourceAlreadyExistsException", "The specified log group already exists"
        )

    @operation("logGroupName")
    def delete_log_group(self, call: Call, req: Params) -> Params:
        name, view = req["logGroupName"], self.labels.view(call.principal.session)
        self.database.write(lambda c: records.drop_group(c, own_group(c, call, name, view)))
        return {}

    @operation("logGroupNamePrefix", "logGroupNamePattern", "nextToken", "limit")
    def describe_log_groups(self, call: Call, req: Params) -> Params:
        if req.get("logGroupNamePrefix") and req.get("logGroupNamePattern"):
            raise ServiceError(
                "InvalidParameterException",
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
            )
        limit = req.get("limit") or PAGE_DEFAULT
        where = []
        if req.get("logGroupNamePrefix"):
            where.append(records.with_prefix(req["logGroupNamePrefix"]))
        if req.get("logGroupNamePattern"):
            where.append(records.with_part(req["logGroupNamePattern"]))
        if beyond := tokens.load(req.get("nextToken"), str):
            where.append(records.after_name(beyond[0]))
        view = self.labels.view(call.principal.session)
        page = self.database.read(
            lambda c: records.list_groups(c, call.account, where, limit + 1, view)
        )
        answer: Params = {"logGroups": [_described(call, group) for group in page[:limit]]}
        if len(page) > limit:
            answer["nextToken"] = tokens.dump(page[limit - 1].name)
        return answer

    @operation("logGroupName", "retentionInDays")
    def put_retention_policy(self, call: Call, req: Params) -> Params:
        if req["retentionInDays"] not in RETENTIONS:
            raise ServiceError(
                "InvalidParameterException",
                f"Invalid retention value. Valid values are: {sorted(RETENTIONS)}",
            )
        return self._retain(call, req["logGroupName"], req["retentionInDays"])

    @operation("logGroupName")
    def delete_retention_policy(self, call: Call, req: Params) -> Params:
        return self._retain(call, req["logGroupName"], None)

    @operation("logGroupName", "tags")
    def tag_log_group(self, call: Call, req: Params) -> Params:
        excess = ServiceError("InvalidParameterException", TOO_MANY_TAGS)
        return self._tag(call, req["logGroupName"], lambda tags: _with(tags, req["tags"], excess))

    @operation("logGroupName", "tags")
    def untag_log_group(self, call: Call, req: Params) -> Params:
        return self._tag(call, req["logGroupName"], lambda tags: _without(tags, req["tags"]))

    @operation("logGroupName")
    def list_tags_log_group(self, call: Call, req: Params) -> Params:
        return self._tags(call, req["logGroupName"])

    @operation("resourceArn", "tags")
    def tag_resource(self, call: Call, req: Params) -> Params:
        excess = ServiceError("TooManyTagsException", TOO_MANY_TAGS)
        return self._tag(
            call, named_group(call, req), lambda tags: _with(tags, req["tags"], excess)
        )

    @operation("resourceArn", "tagKeys")
    def untag_resource(self, call: Call, req: Params) -> Params:
        return self._tag(call, named_group(call, req), lambda tags: _without(tags, req["tagKeys"]))

    @operation("resourceArn")
    def list_tags_for_resource(self, call: Call, req: Params) -> Params:
        return self._tags(call, named_group(call, req))

    def _tags(self, call: Call, name: str) -> Params:
        view = self.labels.view(call.principal.session)
        group = self.database.read(lambda c: the_group(c, call, name, view))
        return {"tags": dict(group.tags)}

    def _tag(
        self, call: Call, name: str, change: Callable[[Mapping[str, str]], dict[str, str]]
    ) -> Params:
        view = self.labels.view(call.principal.session)

        def write(c: Connection) -> None:
            group = own_group(c, call, name, view)
            tags = change(group.tags)
            if tags.get(TAG, group.tags.get(TAG)) != group.tags.get(TAG):
                raise unsupported(call.operation, f"Another {TAG} for a log group")
            records.set_tags(c, group, tags)

        self.database.write(write)
        return {}

    def _label_of_new(self, call: Call, req: Params) -> str:
        """The session's own: whether a name is free at another could not be told."""
        session, default = call.principal.session, self.labelling.of_account(call.account)
        tags = req.get("tags") or {}
        label = self.labelling.of_new(session, tags, default, "InvalidParameterException")
        if label != session:
            raise unsupported(call.operation, f"A group at {label}, above the session's {session}")
        return label.text

    def _retain(self, call: Call, name: str, days: int | None) -> Params:
        view = self.labels.view(call.principal.session)
        self.database.write(
            lambda c: records.set_retention(c, own_group(c, call, name, view), days)
        )
        return {}


def _with(tags: Mapping[str, str], more: Mapping[str, str], excess: ServiceError) -> dict[str, str]:
    found = {**tags, **more}
    if len(found) > TAGS_MAX:
        raise excess
    return found


def _without(tags: Mapping[str, str], gone: Iterable[str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in gone}


def _described(call: Call, group: Group) -> Params:
    arn = arns.regional(call.region, "logs", call.account, f"log-group:{group.name}")
    described: Params = {
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "storedBytes": group.stored_bytes,
        "logGroupClass": "STANDARD",
        "logGroupArn": arn,
    }
    if group.retention_days is not None:
        described["retentionInDays"] = group.retention_days
    return described
