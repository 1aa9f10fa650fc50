"""Log events: put, get, filter.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.logs import patterns, records, tokens
from bastide.logs.lookup import group_name, own_stream, the_group, the_stream
from bastide.logs.model import EVENT_OVERHEAD, MESSAGE_SIZE_MAX, Event, Group, Span, Stream

Params = dict[str, Any]
BATCH_SIZE_MAX = 1_048_576
PAGE_MAX = 10_000
DAY_MS = records.DAY_MS
OLDEST_MS = 14 * DAY_MS
NEWEST_MS = 2 * 3600 * 1000
BATCH_SPAN_MS = DAY_MS
END_OF_TIME = 2**62
STREAMS_SEARCHED_MAX = 500
SCANNED_MAX = 50_000  # events that one FilterLogEvents looks at before it answers a token


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvents:
    database: Database
    labels: LabelsInUse
    clock: Clock

    @operation(
        "logGroupName", "logStreamName", "logEvents",
        accepted={
            "sequenceToken": "AWS ignores it since 2023, and so do we",
        },
    )  # fmt: skip
    def put_log_events(self, call: Call, req: Params) -> Params:
        given = req["logEvents"]
        _check_batch(given)
        now, view = epoch_ms(self.clock.now()), self.labels.view(call.principal.session)

        def write(c: Connection) -> Params:
            group = the_group(c, call, req["logGroupName"], view)
            stream = own_stream(c, group, req["logStreamName"])
            lines, rejected = _accepted(given, now, group)
            records.add_events(c, group, stream, now, lines)
            return rejected

        rejected = self.database.write(write)
        answer: Params = {"nextSequenceToken": f"{now:056d}"}
        if rejected:
            answer["rejectedLogEventsInfo"] = rejected
        return answer

    @operation(
        "logGroupName", "logGroupIdentifier", "logStreamName", "startTime", "endTime",
        "nextToken", "limit", "startFromHead",
        accepted={"unmask": "nothing is masked here, so there is nothing to unmask"},
    )  # fmt: skip
    def get_log_events(self, call: Call, req: Params) -> Params:
        name = group_name(call, req)
        token = tokens.load(req.get("nextToken"), str, int, int)
        forward = token[0] == "f" if token else bool(req.get("startFromHead"))
        beyond = (token[1], token[2]) if token else None
        limit, view = req.get("limit") or PAGE_MAX, self.labels.view(call.principal.session)

        def read(c: Connection) -> list[Event]:
            group = the_group(c, call, name, view)
            stream = the_stream(c, group, req["logStreamName"])
            place = (*beyond, stream.id) if beyond else None
            span = self._span(group, req, place, forward, limit)
            return records.read_events(c, [stream.id], span)

        page = _within_size(self.database.read(read))
        if not forward:
            page.reverse()
        return {"events": [_answered(event) for event in page], **_edges(page, beyond)}

    @operation(
        "logGroupName", "logGroupIdentifier", "logStreamNames", "logStreamNamePrefix",
        "startTime", "endTime", "filterPattern", "nextToken", "limit", "startFromHead",
        accepted={
            "interleaved": "AWS interleaves always, whatever is said, and so do we",
            "unmask": "nothing is masked here, so there is nothing to unmask",
        },
    )  # fmt: skip
    def filter_log_events(self, call: Call, req: Params) -> Params:
        if req.get("logStreamNames") and req.get("logStreamNamePrefix"):
            raise ServiceError(
                "InvalidParameterException",
                "Only one of logStreamNames and logStreamNamePrefix can be specified.",
            )
        name, limit = group_name(call, req), req.get("limit") or PAGE_MAX
        pattern = patterns.parse(req.get("filterPattern") or "", call.operation)
        token = tokens.load(req.get("nextToken"), int, int, str)
        view = self.labels.view(call.principal.session)

        def read(c: Connection) -> tuple[dict[int, Stream], list[Event]]:
            group = the_group(c, call, name, view)
            streams = {each.id: each for each in _searched(c, group, req)}
            span = self._span(group, req, _beyond(streams, token), True, SCANNED_MAX)
            return streams, records.read_events(c, list(streams), span)

        streams, scanned = self.database.read(read)
        found, last = _matching(scanned, pattern, limit)
        answer: Params = {
            "events": [_found(each, streams[each.stream_id]) for each in found],
            "searchedLogStreams": [],
        }
        if last is not None:
            answer["nextToken"] = tokens.dump(last.at_ms, last.seq, streams[last.stream_id].name)
        return answer

    def _span(self, group: Group, req: Params, beyond: Any, forward: bool, limit: int) -> Span:
        """The time asked for, without what the group's retention no longer keeps."""
        start = max(req.get("startTime") or 0, 0)
        if group.retention_days is not None:
            kept = epoch_ms(self.clock.now()) - group.retention_days * DAY_MS
            start = max(start, kept)
        end = req.get("endTime")
        return Span(
            start_ms=start,
            end_ms=END_OF_TIME if end is None else end,
            beyond=beyond,
            forward=forward,
            limit=limit,
        )


def _check_batch(given: Sequence[Params]) -> None:
    size = 0
    for each in given:
        length = len(each["message"].encode())
        if length + EVENT_OVERHEAD > MESSAGE_SIZE_MAX:
            raise ServiceError(
                "InvalidParameterException", f"Log event too large: {length} bytes exceeds limit"
            )
        size += length + EVENT_OVERHEAD
    if size > BATCH_SIZE_MAX:
        raise ServiceError(
            "InvalidParameterException",
            f"Upload too large: {size} bytes exceeds limit of {BATCH_SIZE_MAX}",
        )
    times = [each["timestamp"] for each in given]
    if times != sorted(times):
        raise ServiceError(
            "InvalidParameterException",
            "Log events in a single PutLogEvents request must be in chronological order.",
        )
    if times[-1] - times[0] > BATCH_SPAN_MS:
        raise ServiceError(
            "InvalidParameterException",
            "The batch of log events in a single PutLogEvents request cannot span more than "
            "24 hours.",
        )


def _accepted(
    given: Sequence[Params], now: int, group: Group
) -> tuple[list[tuple[int, str]], Params]:
    """The lines to keep, and AWS's words for the others. Indexes are into the sorted batch:
    too old up to but without one index, too new from another."""
    kept_ms = END_OF_TIME if group.retention_days is None else group.retention_days * DAY_MS
    old = sum(each["timestamp"] < now - OLDEST_MS for each in given)
    expired = sum(each["timestamp"] < now - kept_ms for each in given)
    new = sum(each["timestamp"] <= now + NEWEST_MS for each in given)
    lines = [(each["timestamp"], each["message"]) for each in given[max(old, expired) : new]]
    rejected: Params = {}
    if old:
        rejected["tooOldLogEventEndIndex"] = old
    if expired:
        rejected["expiredLogEventEndIndex"] = expired
    if new < len(given):
        rejected["tooNewLogEventStartIndex"] = new
    return lines, rejected


def _within_size(page: list[Event]) -> list[Event]:
    """As many as fit into 1 MB, at least one."""
    size = 0
    for index, event in enumerate(page):
        size += len(event.message.encode()) + EVENT_OVERHEAD
        if size > BATCH_SIZE_MAX and index:
            return page[:index]
    return page


def _edges(page: list[Event], beyond: Any) -> Params:
    """Tokens for both directions. At the end the same token comes back, never null: that is how
    clients know (the SageMaker SDK loops until it does)."""
    if page:
        first, last = page[0], page[-1]
        backward = tokens.dump("b", first.at_ms, first.seq)
        forward = tokens.dump("f", last.at_ms, last.seq)
    else:
        at, number = beyond or (0, 0)
        backward, forward = tokens.dump("b", at, number), tokens.dump("f", at, number)
    return {"nextForwardToken": forward, "nextBackwardToken": backward}


def _searched(c: Connection, group: Group, req: Params) -> list[Stream]:
    if req.get("logStreamNames"):
        return [the_stream(c, group, name) for name in req["logStreamNames"]]
    prefix = req.get("logStreamNamePrefix") or ""
    found = records.streams_by_name(c, group, prefix, None, False, STREAMS_SEARCHED_MAX + 1)
    if len(found) > STREAMS_SEARCHED_MAX:
        raise ServiceError(
            "InvalidParameterException",
            f"More than {STREAMS_SEARCHED_MAX} log streams match; name a prefix.",
        )
    return found


def _matching(
    scanned: list[Event], pattern: patterns.Pattern, limit: int
) -> tuple[list[Event], Event | None]:
    """What matches, and the event to go on from (None: all was seen)."""
    found: list[Event] = []
    size = 0
    for event in scanned:
        if not pattern.matches(event.message):
            continue
        size += len(event.message.encode()) + EVENT_OVERHEAD
        if found and (len(found) == limit or size > BATCH_SIZE_MAX):
            return found, found[-1]
        found.append(event)
    return found, scanned[-1] if len(scanned) == SCANNED_MAX else None


def _answered(event: Event) -> Params:
    return {
        "timestamp": event.at_ms,
        "message": event.message,
        "ingestionTime": event.ingested_ms,
    }


def _beyond(streams: Mapping[int, Stream], token: Any) -> tuple[int, int, int] | None:
    """The place that a token names. Its stream is named by name: numbers of streams are counted
    over all labels. One that is gone leaves its neighbours of the same place to be seen again."""
    if not token:
        return None
    at, seq, name = token
    return at, seq, next((each.id for each in streams.values() if each.name == name), -1)


def _found(event: Event, stream: Stream) -> Params:
    """56 digits, as AWS's: the moment, the stream and its line."""
    which = f"{stream.name}\n{stream.label}\n{stream.created_ms}".encode()
    digest = int.from_bytes(hashlib.sha256(which).digest()[:7]) % 10**16
    number = f"{event.at_ms:020d}{digest:016d}{event.seq:020d}"
    return {**_answered(event), "logStreamName": stream.name, "eventId": number}
