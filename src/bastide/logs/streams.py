"""Log streams.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogStreams.html
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.logs import records, tokens
from bastide.logs.lookup import group_name, own_stream, the_group
from bastide.logs.model import Group, Stream

Params = dict[str, Any]
PAGE_DEFAULT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStreams:
    database: Database
    labels: LabelsInUse
    clock: Clock

    @operation("logGroupName", "logStreamName")
    def create_log_stream(self, call: Call, req: Params) -> Params:
        now = epoch_ms(self.clock.now())
        view = self.labels.at(call.principal.session.text)

        def write(c: Connection) -> Stream | None:
            group = the_group(c, call, req["logGroupName"], view)
            return records.add_stream(c, group, req["logStreamName"], now)

        if self.database.write(write):
            return {}
        raise ServiceError(
            "ResourceAlreadyExistsException", "The specified log stream already exists"
        )

    @operation("logGroupName", "logStreamName")
    def delete_log_stream(self, call: Call, req: Params) -> Params:
        view = self.labels.view(call.principal.session)

        def write(c: Connection) -> None:
            group = the_group(c, call, req["logGroupName"], view)
            records.drop_stream(c, own_stream(c, group, req["logStreamName"]))

        self.database.write(write)
        return {}

    @operation(
        "logGroupName", "logGroupIdentifier", "logStreamNamePrefix", "orderBy", "descending",
        "nextToken", "limit",
    )  # fmt: skip
    def describe_log_streams(self, call: Call, req: Params) -> Params:
        name, limit = group_name(call, req), req.get("limit") or PAGE_DEFAULT
        by_time = req.get("orderBy") == "LastEventTime"
        if by_time and req.get("logStreamNamePrefix"):
            raise ServiceError(
                "InvalidParameterException",
                "Cannot order by LastEventTime with a logStreamNamePrefix.",
            )
        beyond = tokens.load(req.get("nextToken"), int, str)
        down, view = bool(req.get("descending")), self.labels.view(call.principal.session)

        def read(c: Connection) -> list[Stream]:
            group = the_group(c, call, name, view)
            if by_time:
                return records.streams_by_time(
                    c, group, tuple(beyond) if beyond else None, down, limit + 1
                )
            prefix, last = req.get("logStreamNamePrefix") or "", beyond[1] if beyond else None
            return records.streams_by_name(c, group, prefix, last, down, limit + 1)

        page = self.database.read(read)
        answer: Params = {"logStreams": [_described(call, name, each) for each in page[:limit]]}
        if len(page) > limit:
            last = page[limit - 1]
            answer["nextToken"] = tokens.dump(last.last_ms or 0, last.name)
        return answer


def _described(call: Call, group: Group | str, stream: Stream) -> Params:
    resource = f"log-group:{group}:log-stream:{stream.name}"
    described: Params = {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "arn": arns.regional(call.region, "logs", call.account, resource),
        "storedBytes": 0,  # AWS answers 0 here since 2019, too
    }
    seen = {
        "firstEventTimestamp": stream.first_ms,
        "lastEventTimestamp": stream.last_ms,
        "lastIngestionTime": stream.ingested_ms,
    }
    return described | {key: value for key, value in seen.items() if value is not None}
